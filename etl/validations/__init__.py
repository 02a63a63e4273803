"""People's verdicts on events."""
