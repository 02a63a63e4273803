"""The scheduler room: one process, one leader, one module per job."""
