"""How events get in: shaping, the door, files, and the simulated plant."""
