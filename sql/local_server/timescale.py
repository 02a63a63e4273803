"""The TimescaleDB build that the local server loads from a folder of its own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from sql.errors import BadSetting, ServerError

LIBRARY = re.compile(r"timescaledb-(\d[^/]*)\.(?:so|dylib)")


@dataclass(frozen=True)
class TimescaleBuild:
    """A build: its folder, its versions, and the licence it is to run under."""

    folder: Path
    version: str
    versions: frozenset[str]
    license: str
    telemetry: bool


def find_build(
    folder: Path | str | None = None, license_name: str | None = None
) -> TimescaleBuild | None:
    """Return the build to load, None when there is none or it is switched off.

    `folder` stands for FLOORPULSE_TIMESCALEDB ('' or 'none' switches TimescaleDB
    off), `license_name` for FLOORPULSE_LICENSE. A folder that was named must hold a
    build, the default folder may be missing. Raises BadSetting.
    """
    chosen_license = _license_setting(license_name)
    setting = folder if folder is not None else os.environ.get("FLOORPULSE_TIMESCALEDB")
    if setting is not None and str(setting).strip().lower() in {"", "none"}:
        return None
    if setting is None:
        path = platformdirs.user_data_path("floorpulse", appauthor=False)
        path /= "timescaledb"
        if not (path / "extension" / "timescaledb.control").is_file():
            return None
    else:
        path = Path(setting).expanduser().absolute()
    return _read_build(path, chosen_license)


def _license_setting(license_name: str | None) -> str:
    chosen = license_name or os.environ.get("FLOORPULSE_LICENSE") or "timescale"
    if chosen not in {"timescale", "apache"}:
        raise BadSetting(
            f"FLOORPULSE_LICENSE is {chosen!r}: it must be 'timescale' or 'apache'"
        )
    return chosen


def _read_build(path: Path, license_name: str) -> TimescaleBuild:
    control = path / "extension" / "timescaledb.control"
    try:
        text = control.read_text()
        libraries = sorted((path / "lib").iterdir())
    except OSError as error:
        raise BadSetting(
            f"FLOORPULSE_TIMESCALEDB names {path}, but {error.filename} cannot be read "
            f"({error.strerror}): name a folder with extension/ and lib/, or 'none'"
        ) from error
    if ":" in str(path):
        raise BadSetting(
            f"The path of the TimescaleDB folder {path} holds a colon, which "
            "PostgreSQL takes for a separator: move it elsewhere"
        )
    found = re.search(r"default_version\s*=\s*'([^']+)'", text)
    named = {m[1]: file for file in libraries if (m := LIBRARY.fullmatch(file.name))}
    if not found or found[1] not in named:
        raise BadSetting(
            f"{path} holds no whole TimescaleDB build: {control.name} and the "
            "library it names do not match; install it again, or set "
            "FLOORPULSE_TIMESCALEDB=none"
        )
    community = any(file.name.startswith("timescaledb-tsl-") for file in libraries)
    return TimescaleBuild(
        folder=path,
        version=found[1],
        versions=frozenset(named),
        license=license_name if community else "apache",
        # Builds without telemetry refuse the setting that switches it off.
        telemetry=b"telemetry_level" in named[found[1]].read_bytes(),
    )


def check_build(build: TimescaleBuild | None, installed: str | None) -> None:
    """Refuse to serve a database whose TimescaleDB version is not at hand."""
    if installed is None:
        return
    if build is None:
        raise ServerError(
            f"The database was made with TimescaleDB {installed}, but no TimescaleDB "
            "folder is set or found: name the folder that holds it in "
            "FLOORPULSE_TIMESCALEDB; nothing was changed"
        )
    if installed not in build.versions:
        raise ServerError(
            f"The database was made with TimescaleDB {installed}, but {build.folder} "
            f"holds {build.version}: copy the libraries timescaledb-{installed} and "
            f"timescaledb-tsl-{installed} into its lib folder, start, and move with "
            "`alter extension timescaledb update`; nothing was changed"
        )
