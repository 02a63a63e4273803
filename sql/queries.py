"""Named queries: one file per reader, blocks of `-- name: foo --`, loaded by name."""

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- name: (\w+) --\s*$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, str]:
    """The queries of `sql/queries/<file>.sql` by name.

    Raises KeyError for a name that is defined twice.
    """
    text = files("sql").joinpath("queries", f"{file}.sql").read_text("utf-8")
    _, *parts = _BLOCK.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise KeyError(f"sql/queries/{file}.sql defines a name twice: {names}")
    return {
        name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)
    }
