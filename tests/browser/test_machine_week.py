"""A week of a real machine, loaded by the command line, seen on the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dash_app import formats
from tests.browser.conftest import Watched
from tests.support.cases import SHARED, Case, instant
from tests.support.local_server import ROOT
from tests.support.plant import Plant
from tests.support.wallclock import Settings

WEEK = Case(SHARED / "machine_week")


@pytest.mark.skipif(not WEEK.folder.exists(), reason="SHARED CASES NOT FOUND")
def test_a_week_of_a_real_machine(
    watched: Watched, plant_dsn: str, tmp_path: Path
) -> None:
    site, (start, end) = WEEK.spec["site"], WEEK.spec["window"]
    plant = Plant(plant_dsn, site, tmp_path)
    plant.settle(Settings(WEEK.spec["settings"]), WEEK.shifts)
    command = [sys.executable, "-m", "cli", "load", str(WEEK.folder / "events.csv")]
    subprocess.run(
        [*command, "--site", site],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "FLOORPULSE_DSN": plant_dsn},
    )
    plant.refresh(instant(WEEK.spec["now"]))

    page = watched.look(f"?site={site}&range=custom&from={start}&to={end}")
    expected = WEEK.spec["expect"]["factory_metrics"]
    shown = formats.percent(expected["weighted_utilization"])
    expect(page.locator('[data-kpi="Utilization"]')).to_have_text(shown)
    assert watched.kpi("Units") == formats.number(expected["units"])
    assert watched.kpi("Active workers") == str(expected["active_workers"])
    expect(page.locator("#subtitle")).to_contain_text("23 Nov 2020")
    expect(page.locator("#staleness")).to_contain_text("Numbers are behind")
    page.wait_for_selector(".ag-row")
    assert page.locator('.ag-row [col-id="name"]').all_inner_texts() == ["M1"]
    assert watched.complaints == []
