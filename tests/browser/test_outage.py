"""The database is killed under the page, and comes back."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from etl.simulation.options import working_zone
from sql.migrate import migrate
from tests.browser.conftest import Watched, load_plant, serving
from tests.support.local_server import open_folder, plain_server, postmaster

WAIT_MS = 30_000


def test_a_killed_database_is_said_and_waited_for(
    context: BrowserContext, tmp_path: Path
) -> None:
    with open_folder() as folder:
        database = plain_server(folder / "home")
        dsn = database.start()
        migrate(dsn)
        load_plant(dsn, "plant", 12, 2, working_zone(datetime.now(UTC)))
        with serving(dsn, tmp_path / "serve.log") as address:
            watched = Watched(context.new_page(), address)
            page = watched.look("?range=7d")
            shown = watched.kpi("Units")

            os.kill(postmaster(folder / "home"), signal.SIGKILL)
            trouble = page.locator("#trouble")
            expect(trouble).to_contain_text("does not answer", timeout=WAIT_MS)
            assert watched.kpi("Units") == shown
            expect(page.locator("#live-state")).to_have_text("Database lost")

            assert database.start() == dsn
            expect(trouble).to_be_empty(timeout=WAIT_MS)
            expect(page.locator("#live-state")).to_have_text("Live", timeout=WAIT_MS)
            assert watched.kpi("Units") == shown
        assert "Traceback" not in (tmp_path / "serve.log").read_text()
        database.remove()


def test_a_database_without_a_site_says_how_to_begin(
    context: BrowserContext, tmp_path: Path
) -> None:
    with open_folder() as folder:
        database = plain_server(folder / "home")
        dsn = database.start()
        migrate(dsn)
        with serving(dsn, tmp_path / "serve.log") as address:
            watched = Watched(context.new_page(), address)
            page = watched.look(numbers=False)
            expect(page.locator("#empty")).to_contain_text("No site yet")
            load_plant(dsn, "plant", 12, 2, working_zone(datetime.now(UTC)))
            expect(page.locator("[data-kpi]").first).to_be_visible(timeout=WAIT_MS)
            assert watched.complaints == []
        database.remove()
