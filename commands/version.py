"""`floorpulse --version`."""

from __future__ import annotations

import typer


def tell(asked: bool) -> None:
    """Print it and end, where it is asked for."""
    if asked:
        from importlib.metadata import version

        print(f"floorpulse {version('floorpulse')}")
        raise typer.Exit
