"""What ends the agent: one sentence that says what to do."""

from __future__ import annotations


class EdgeError(Exception):
    """The agent cannot go on."""


class WrongUse(EdgeError):  # noqa: N818 - what it is
    """An argument that cannot be."""
