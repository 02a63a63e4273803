"""The agent as one file: a zip that Python runs (`python3 floorpulse-edge.pyz`)."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path

_MAIN = b'''"""The floorpulse edge agent; see docs/edge.md of floorpulse."""

import sys

if sys.version_info < (3, 11):
    sys.exit("floorpulse-edge needs Python 3.11 or newer")

from etl.edge.command import main

sys.exit(main())
'''
_KINDS = (".py", ".sql")
# The same content is the same file, whenever it is packed.
_TIME = (1980, 1, 1, 0, 0, 0)


def pack(path: Path) -> int:
    """Write the file, whole or not at all; how many bytes it has."""
    package = resources.files("etl.edge")
    files = {
        f"etl/edge/{item.name}": item.read_bytes()
        for item in sorted(package.iterdir(), key=lambda item: item.name)
        if item.name.endswith(_KINDS)
    }
    files |= {"etl/__init__.py": b"", "__main__.py": _MAIN}
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                info = zipfile.ZipInfo(name, _TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)
    draft.chmod(0o755)
    draft.replace(path)
    return path.stat().st_size
