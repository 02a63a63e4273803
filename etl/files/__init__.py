"""Files and folders: found, cut into parts, read by some processes, followed."""
