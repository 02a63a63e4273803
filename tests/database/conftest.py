"""What the tests on databases share beside those of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from etl.door.admit import Door
from tests.support.brokers import Broker, rabbitmq_broker
from tests.support.certificates import Certificates, make_certificates
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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of ours, a server and a client that it vouches for."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def rabbitmq(certificates: Certificates) -> Iterator[Broker]:
    """One for all tests, in clear and over TLS: it takes some seconds to start."""
    with rabbitmq_broker(certificates) as broker:
        yield broker
