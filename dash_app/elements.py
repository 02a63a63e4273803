"""Small helpers for elements."""

from typing import Any


def marks(**named: str) -> dict[str, Any]:
    """Attributes `data-*` of an element: what CSS, tests and people's tools go by."""
    return {f"data-{name}": text for name, text in named.items()}


def aria(**named: str) -> dict[str, Any]:
    """Attributes `aria-*` of an element."""
    return {f"aria-{name}": text for name, text in named.items()}
