"""What the tests on databases share beside those of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from etl.door.admit import Door
from tests.support.http import serving


@pytest.fixture
def door(dsn: str) -> Iterator[Door]:
    """The door to this test's own database."""
    with Door(dsn) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its file of events."""
    return tmp_path / "events.csv"


@pytest.fixture
def api(dsn: str) -> Iterator[httpx.Client]:
    """A client of the HTTP API on this test's own database."""
    with serving(dsn) as client:
        yield client
