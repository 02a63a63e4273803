"""Settings of the local server fit machines from a small board to a big host."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.local_server import config
from sql.local_server.timescale import TimescaleBuild

MB = 1024 * 1024
GB = 1024 * MB


@pytest.mark.parametrize(
    ("memory", "buffers", "work", "maintenance"),
    [
        (256 * MB, "32MB", "4MB", "32MB"),
        (1 * GB, "128MB", "4MB", "32MB"),
        (4 * GB, "512MB", "8MB", "128MB"),
        (24 * GB, "3072MB", "48MB", "768MB"),
        (512 * GB, "4096MB", "64MB", "1024MB"),
    ],
)
def test_memory_follows_the_machine(
    memory: int, buffers: str, work: str, maintenance: str
) -> None:
    settings = config.memory_settings(memory, 100 * GB)
    assert settings["shared_buffers"] == buffers
    assert settings["work_mem"] == work
    assert settings["maintenance_work_mem"] == maintenance
    assert settings["max_wal_size"] == "4096MB"


def test_wal_follows_the_disk() -> None:
    settings = config.memory_settings(8 * GB, 5 * GB)
    assert settings["max_wal_size"] == "512MB"
    assert settings["min_wal_size"] == "128MB"
    assert config.memory_settings(8 * GB, 0)["max_wal_size"] == "256MB"


def test_this_machine_has_memory() -> None:
    assert 64 * MB < config.usable_memory_bytes() < 100_000 * GB


def test_a_missing_shared_memory_folder_is_no_obstacle(tmp_path: Path) -> None:
    assert config.shared_memory_kind(tmp_path / "none") == "sysv"
    assert config.shared_memory_kind() in {"posix", "mmap", "sysv"}


def test_values_are_quoted() -> None:
    text = config.render({"a": "it's a\\b"})
    assert "a = 'it''s a\\\\b'\n" in text


def test_timescaledb_runs_no_workers_and_sends_nothing() -> None:
    build = TimescaleBuild(
        Path("/t s"), "2.29.2", frozenset({"2.29.2"}), "apache", True
    )
    settings = config.timescale_settings(build, Path("/t s"))
    assert settings["extension_control_path"] == "/t s:$system"
    assert settings["timescaledb.license"] == "apache"
    assert settings["timescaledb.max_background_workers"] == "0"
    assert settings["timescaledb.telemetry_level"] == "off"
    assert config.timescale_settings(None, None) == {}
