"""What every room of tests shares: a server per engine, a database per test."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sql.connect import connect
from tests.support.cases import SHARED, cases_in
from tests.support.servers import (
    DEMO,
    EMPTY,
    MIGRATED,
    REFRESHED,
    TIMESCALEDB_OF_RUN,
    Databases,
    Engine,
    engines_found,
    folder_of_run,
    timescaledb_folder,
)

ENGINES = ("plain", "community", "apache")
TIMESCALEDB = timescaledb_folder()
FOUND = engines_found()
#: Whether what is marked `plain` runs on every engine, too.
EVERYWHERE = "FLOORPULSE_TEST_EVERYWHERE" in os.environ
SERVERS = "FLOORPULSE_TEST_SERVERS"
KEPT = {
    SERVERS,
    TIMESCALEDB_OF_RUN,
    "FLOORPULSE_EXAMPLES",
    "FLOORPULSE_SHARED_CASES",
    "FLOORPULSE_SERVER_USER",
    "FLOORPULSE_TEST_EVERYWHERE",
}


def missing() -> list[str]:
    """What this run does not cover, one sentence each."""
    absent = [name for name in ENGINES if name not in FOUND]
    said = []
    if absent:
        said.append(
            f"ENGINES NOT FOUND, NOT TESTED: {', '.join(absent)} "
            f"(no TimescaleDB build in {TIMESCALEDB})"
        )
    if not cases_in(SHARED):
        said.append(f"SHARED CASES NOT FOUND, NOT TESTED: {SHARED}")
    return said


def pytest_report_header() -> list[str]:
    return [f"floorpulse engines: {', '.join(FOUND)}", *missing()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for sentence in missing():
        terminalreporter.write_line(sentence, yellow=True, bold=True)


def pytest_configure(config: pytest.Config) -> None:
    """Nobody's own settings reach a test; all workers share one folder of servers."""
    config.addinivalue_line("markers", "plain: cares for no engine, runs on one")
    for name in [n for n in os.environ if n.startswith("FLOORPULSE_")]:
        if name not in KEPT:
            del os.environ[name]
    if not hasattr(config, "workerinput"):
        folder = folder_of_run()
        folder.chmod(0o711)  # as root, the servers run as another account
        os.environ[SERVERS] = str(folder)
        os.environ[TIMESCALEDB_OF_RUN] = str(TIMESCALEDB)
        # `timeout` and CI end a run with SIGTERM: leave no server behind then either
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    # No test may start a server in a home of its own by accident.
    os.environ["FLOORPULSE_HOME"] = str(Path(os.environ[SERVERS]) / "home")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run that made the servers' folder ends them, once all workers have gone."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ.pop(SERVERS))
    for engine in FOUND.values():
        if (folder / engine.name).exists():
            engine.server(folder).remove()
    shutil.rmtree(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each engine in turn, for what says nothing of engines itself.

    What is marked `plain` cares for none: its run on one is enough for every day.
    """
    definition = metafunc.definition
    chosen = any(m.args[0] == "engine" for m in definition.iter_markers("parametrize"))
    if "engine" in metafunc.fixturenames and not chosen:
        one = definition.get_closest_marker("plain") and not EVERYWHERE
        names = ["plain"] if one else list(FOUND)
        metafunc.parametrize("engine", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each in turn; some only: parametrize("engine", ["community"], indirect=True)."""
    if request.param not in FOUND:
        pytest.skip(f"ENGINE NOT FOUND: {request.param}")
    return FOUND[request.param]


@pytest.fixture(scope="session")
def databases(engine: Engine) -> Databases:
    """The server of an engine."""
    return Databases(engine, Path(os.environ[SERVERS]))


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from lent(databases, MIGRATED)


@pytest.fixture(scope="module")
def common_dsn(databases: Databases) -> Iterator[str]:
    """A migrated database for a whole module, whose tests use sites of their own."""
    yield from lent(databases, MIGRATED)


@pytest.fixture
def demo_dsn(databases: Databases) -> Iterator[str]:
    """Three days of the demo plant in a database of this test's own, not refreshed."""
    yield from lent(databases, DEMO)


@pytest.fixture(scope="module")
def refreshed_dsn(databases: Databases) -> Iterator[str]:
    """The demo plant, refreshed, for a whole module of tests that only read."""
    yield from lent(databases, REFRESHED)


@pytest.fixture
def fresh_dsn(databases: Databases) -> Iterator[str]:
    """An empty database of this test's own."""
    yield from lent(databases, EMPTY)


def lent(databases: Databases, template: str) -> Iterator[str]:
    """A database for as long as a test runs."""
    dsn = databases.create(template)
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the product's own to `dsn`, autocommit."""
    with connect(dsn) as connection:
        yield connection
