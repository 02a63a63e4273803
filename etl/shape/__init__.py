"""Text columns to typed events, and what breaks a rule: the one rulebook."""
