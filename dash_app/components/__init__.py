"""What pages are made of: one component a file, records to elements, nothing else."""
