"""The command line's commands: one module per group, wired together by cli.py.

Nothing heavy is imported at the top of a command module: `floorpulse --help` and every
shell completion load all of them.
"""
