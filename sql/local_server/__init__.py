"""The parts of the local server; its door is sql/embedded.py."""
