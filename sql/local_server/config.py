"""The settings of the local server: safe, quiet and of a size that fits the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sql.local_server.timescale import TimescaleBuild

MB = 1024 * 1024
GB = 1024 * MB

ACCESS_RULES = """\
# Written by floorpulse: passwords everywhere, loopback and Unix socket only.
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
local replication all scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""

INCLUDES = """\

# floorpulse writes the first file at every start; settings of your own go into
# postgresql.local.conf in the home folder, which is copied here as the second.
include 'floorpulse.conf'
include_if_exists 'postgresql.local.conf'
"""


def usable_memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or its cgroup's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [_cgroup_limit(path) for path in _cgroup_limit_files()]
    return min(limit for limit in limits if limit)


def _cgroup_limit_files() -> list[Path]:
    top = Path("/sys/fs/cgroup")
    files = [top / "memory.max", top / "memory" / "memory.limit_in_bytes"]
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return files
    for line in lines:
        if line.startswith("0::/"):
            group = top / line.removeprefix("0::/")
            files += [
                parent / "memory.max"
                for parent in (group, *group.parents)
                if parent.is_relative_to(top)
            ]
    return files


def _cgroup_limit(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def memory_settings(memory_bytes: int, free_disk_bytes: int) -> dict[str, str]:
    """Return memory and WAL settings for a machine of that size."""

    def share(part: int, least: int, most: int) -> str:
        return f"{min(max(memory_bytes // part, least), most) // MB}MB"

    wal_bytes = min(max(free_disk_bytes // 10, 256 * MB), 4 * GB)
    return {
        "shared_buffers": share(8, 32 * MB, 4 * GB),
        "effective_cache_size": share(2, 128 * MB, 1024 * GB),
        "work_mem": share(512, 4 * MB, 64 * MB),
        "maintenance_work_mem": share(32, 32 * MB, 1 * GB),
        "max_wal_size": f"{wal_bytes // MB}MB",
        "min_wal_size": f"{min(wal_bytes // 4, 512 * MB) // MB}MB",
    }


def shared_memory_kind(folder: Path = Path("/dev/shm")) -> str:  # noqa: S108
    """Return how parallel queries share memory: containers often have 64 MB only."""
    try:
        roomy = shutil.disk_usage(folder).total >= 512 * MB
    except OSError:
        return "sysv"
    return "posix" if roomy else "mmap"


def base_settings(wal_compression: str) -> dict[str, str]:
    """Return what is the same on every machine."""
    return {
        "listen_addresses": "127.0.0.1",
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "fsync": "on",
        "synchronous_commit": "on",
        "wal_compression": wal_compression,
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_lock_waits": "on",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
    }


def timescale_settings(
    build: TimescaleBuild | None, folder: Path | None
) -> dict[str, str]:
    """Return what loads the build from `folder`, its place or a copy of it."""
    if build is None or folder is None:
        return {}
    settings = {
        "extension_control_path": f"{folder}:$system",
        "dynamic_library_path": f"{folder / 'lib'}:$libdir",
        "shared_preload_libraries": "timescaledb",
        "timescaledb.license": build.license,
        # floorpulse schedules everything itself, and the workers would keep
        # CREATE DATABASE .. TEMPLATE from copying a database.
        "timescaledb.max_background_workers": "0",
    }
    if build.telemetry:
        settings["timescaledb.telemetry_level"] = "off"
    return settings


def render(settings: Mapping[str, str]) -> str:
    """Return settings as the text of a configuration file."""
    lines = ["# Written by floorpulse at every start: changes here are lost."]
    lines += [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def wal_compression(binaries: Path) -> str:
    """Return the best compression of full pages that these binaries know."""
    done = subprocess.run(
        [binaries / "pg_config", "--configure"],
        check=False,
        capture_output=True,
        text=True,
    )
    return "lz4" if "lz4" in done.stdout else "pglz"
