"""A web process, a plant with history, Debian's Chromium: shared by all tests here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from etl.simulation.options import SimulatorOptions, working_zone
from etl.simulation.simulator import Told, run
from scheduler.refresh import refresh_site
from sql.connect import connect
from sql.plant.sites import SiteChange, set_site
from tests.support.local_server import ROOT
from tests.support.ports import free_port
from tests.support.servers import Databases, Engine

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SITE, OTHER_SITE = "hall-a", "hall-b"
START_S = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest-base-url, which pytest-playwright brings, has a fixture of an older style.
    old_style = pytest.mark.filterwarnings(
        "ignore:Session-scoped fixtures defined as instance methods"
        ":pytest.PytestRemovedIn10Warning"
    )
    no_browser = pytest.mark.skipif(
        CHROMIUM is None, reason="CHROMIUM NOT FOUND, NOT TESTED"
    )
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(old_style)
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's browser: nothing is downloaded."""
    return {"executable_path": CHROMIUM, "args": list(FLAGS)}


def load_plant(dsn: str, site: str, hours: float, workers: int, zone: str) -> None:
    """A simulated plant with that much history, told and refreshed up to now."""
    stop = threading.Event()

    def until_caught_up(told: Told) -> None:
        if told.caught_up:
            stop.set()

    options = SimulatorOptions(
        site=site, hours=hours, workers=workers, stations=workers, timezone=zone
    )
    run(dsn, options, stop, until_caught_up)
    refresh_site(dsn, site)


@pytest.fixture(scope="session")
def plant_dsn() -> Iterator[str]:
    """Two sites in one database: 48 hours of six workers, and a smaller one.

    At the first it is a time of work, so that something happened today.
    """
    databases = Databases(Engine("plain"), Path(os.environ["FLOORPULSE_TEST_SERVERS"]))
    dsn = databases.create()
    load_plant(dsn, SITE, 48, 6, working_zone(datetime.now(UTC)))
    load_plant(dsn, OTHER_SITE, 30, 3, "Asia/Kolkata")
    with connect(dsn) as conn:
        set_site(conn, SITE, SiteChange(name="Hall A"))
    yield dsn
    databases.drop(dsn)


@contextmanager
def serving(dsn: str, log: Path) -> Iterator[str]:
    """A web process of its own on a free port; its address."""
    port = free_port()
    command = [sys.executable, "-m", "cli", "serve", "--port", str(port)]
    environment = {**os.environ, "FLOORPULSE_DSN": dsn}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        try:
            wait_until_answers(f"http://127.0.0.1:{port}/api/v1/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def wait_until_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the web process has ended"
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")


@pytest.fixture(scope="session")
def server(plant_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The web process of the plant."""
    log = tmp_path_factory.mktemp("serve") / "serve.log"
    with serving(plant_dsn, log) as address:
        yield address


class Watched:
    """A page whose complaints and requests are kept; `look` waits for its numbers."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        own = (address, address.replace("http:", "ws:"), "data:", "blob:")
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith(own) else self.foreign.append(r.url),
        )

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def look(self, search: str = "", *, numbers: bool = True) -> Page:
        """Open the overview; until its numbers stand, and the page is live."""
        self.page.goto(f"{self.address}/{search}")
        if numbers:
            self.page.wait_for_selector("[data-kpi]")
            self.page.wait_for_selector("#trend .main-svg")
        self.page.wait_for_selector("#live-state[data-state=live]")
        return self.page

    def kpi(self, label: str) -> str:
        """What a card shows, with plain spaces."""
        text = self.page.inner_text(f'[data-kpi="{label}"]')
        return text.replace("\N{NO-BREAK SPACE}", " ").strip()


@pytest.fixture
def watched(server: str, context: BrowserContext) -> Watched:
    """A fresh page on the plant's web process."""
    context.set_default_timeout(20_000)
    return Watched(context.new_page(), server)
