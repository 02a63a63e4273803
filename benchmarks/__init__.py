"""What is measured: ratios of one run on one server, never absolute promises."""
