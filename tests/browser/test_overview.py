"""The overview in a real browser: what it shows is what SQL says."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser, expect
from psycopg.rows import dict_row

from dash_app import formats
from etl.batch import batch_of
from etl.door.admit import Door
from scheduler.refresh import refresh_site
from sql.connect import connect
from tests.browser.conftest import OTHER_SITE, SITE, Watched

TODAY = f"?site={SITE}"
WEEK = f"?site={SITE}&range=7d"


def ask(dsn: str, query: str, *values: object) -> dict[str, Any]:
    with connect(dsn) as conn:
        row = conn.cursor(row_factory=dict_row).execute(query, values).fetchone()
    assert row is not None
    return row


def last_days(dsn: str, count: int) -> tuple[object, object]:
    """The production dates of the last days of the site, today included."""
    row = ask(
        dsn,
        "select from_date, to_date from analytics.dashboard_period(%s, %s)",
        SITE,
        f"{count}d",
    )
    return row["from_date"], row["to_date"]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_it_shows_what_sql_says(watched: Watched, plant_dsn: str) -> None:
    watched.look(WEEK)
    dates = last_days(plant_dsn, 7)
    factory = ask(
        plant_dsn,
        "select * from analytics.factory_metrics_by_date(%s, %s, %s)",
        SITE,
        *dates,
    )
    presence = ask(
        plant_dsn,
        "select sum(occupied_s) as occupied_s, sum(operating_s) as operating_s"
        " from analytics.workstation_metrics_by_date(%s, %s, %s)",
        SITE,
        *dates,
    )
    assert watched.kpi("Utilization") == formats.percent(
        factory["weighted_utilization"]
    )
    assert watched.kpi("Units") == formats.number(factory["units"])
    rate = formats.number(factory["production_rate"], 1)
    assert watched.kpi("Production rate") == f"{rate} / h"
    assert watched.kpi("Active workers") == str(factory["active_workers"])
    occupied, operating = presence["occupied_s"], presence["operating_s"]
    assert watched.kpi("Occupied time") == plain(formats.duration(occupied))
    assert watched.kpi("Operating time") == plain(formats.duration(operating))


def test_it_lists_every_worker_as_sql_does(watched: Watched, plant_dsn: str) -> None:
    page = watched.look(WEEK)
    page.wait_for_selector('.ag-row[row-index="5"] [col-id="units"]')
    with connect(plant_dsn) as conn:
        expected = conn.execute(
            "select worker_id, utilization, units, idle_s, break_s"
            " from analytics.worker_metrics_by_date(%s, %s, %s)"
            " order by utilization desc",
            (SITE, *last_days(plant_dsn, 7)),
        ).fetchall()
    shown = []
    for index in range(len(expected)):
        cells = page.locator(f'.ag-row[row-index="{index}"]')
        shown.append(
            [
                cells.locator(f'[col-id="{column}"]').inner_text()
                for column in ("name", "utilization", "units", "idle_s", "break_s")
            ]
        )
    assert shown == [
        [worker, formats.percent(share), formats.number(units), hm(idle), hm(pause)]
        for worker, share, units, idle, pause in expected
    ]


def test_the_file_has_what_the_table_shows(watched: Watched) -> None:
    page = watched.look(WEEK)
    page.wait_for_selector('.ag-row[row-index="5"] [col-id="units"]')
    shown = page.locator('.ag-row [col-id="units"]').all_inner_texts()
    with page.expect_download() as saved:
        page.click("#download")
    assert saved.value.suggested_filename.startswith(f"workers-{SITE}-20")
    with saved.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(formats.number(int(row["Units"])) for row in rows) == sorted(shown)
    expect(page).to_have_title(re.compile("^Hall A · Last 7 days, .* floorpulse$"))


def test_on_paper_every_worker_is_in_a_table(watched: Watched) -> None:
    page = watched.look(WEEK)
    page.click("#scheme-toggle")
    page.wait_for_selector('.ag-row[row-index="5"] [col-id="units"]')
    page.click('.ag-header-cell[col-id="name"]')
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    names = page.locator(".fp-paper tbody tr td:first-child").all_text_contents()
    assert names == [f"W0{number}" for number in range(1, 7)]
    light = page.locator("html[data-mantine-color-scheme=light]")
    expect(light).to_have_count(1)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".fp-paper")).to_have_count(0)
    expect(light).to_have_count(0)
    assert watched.complaints == []


def hm(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_it_is_quiet_and_keeps_to_itself(
    browser: Browser, server: str, scheme: Any, width: int
) -> None:
    """No complaint of the browser, no request to anybody else, nothing sticks out."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    watched = Watched(context.new_page(), server)
    page = watched.look(TODAY)
    page.wait_for_selector("#leaderboard .ag-row")
    page.wait_for_selector(".fp-stage")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown = page.evaluate("document.documentElement.dataset.mantineColorScheme")
    assert shown == scheme
    template = page.evaluate(
        "document.getElementById('trend').querySelector"
        "('.js-plotly-plot').layout.template.layout.font.color"
    )
    assert template == {"light": "#12161c", "dark": "#e8ebf0"}[scheme]
    assert watched.complaints == []
    assert watched.foreign == []
    context.close()


def test_the_scheme_changes_on_the_page(watched: Watched) -> None:
    page = watched.look(TODAY)
    page.click("#scheme-toggle")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.wait_for_function(
        "document.querySelector('#trend .js-plotly-plot')"
        ".layout.template.layout.font.color === '#e8ebf0'"
    )
    assert watched.complaints == []


def test_the_address_says_what_is_chosen_and_back_goes_back(watched: Watched) -> None:
    page = watched.look(f"?site={SITE}")
    page.get_by_text("7 days", exact=True).click()
    page.wait_for_url(re.compile(r"\?site=hall-a&range=7d$"))
    expect(page.locator("#subtitle")).to_contain_text("Last 7 days")
    page.get_by_role("textbox", name="Shift").click()
    page.get_by_role("option", name="early").click()
    page.wait_for_url(re.compile(r"range=7d&shift=early$"))
    expect(page.locator("#subtitle")).to_contain_text("shift early")
    page.go_back()
    page.go_back()
    page.wait_for_url(re.compile(r"\?site=hall-a$"))
    expect(page.locator("#subtitle")).to_contain_text("Today")
    expect(page.get_by_role("radio", name="Today")).to_be_checked()
    expect(page.get_by_role("textbox", name="Shift")).to_have_value("All shifts")


def test_all_sites_are_one_choice(watched: Watched) -> None:
    page = watched.look("?range=7d")  # whatever hour it is there, somebody worked
    expect(page.locator("#title")).to_have_text("All sites")
    page.wait_for_selector('.ag-header-cell[col-id="site_id"]')
    page.get_by_role("textbox", name="Site").click()
    page.get_by_role("option", name=OTHER_SITE).click()
    page.wait_for_url(re.compile(rf"[?&]site={OTHER_SITE}\b"))
    expect(page.locator("#footer")).to_contain_text("Times in Asia/Kolkata")
    expect(page.locator('.ag-header-cell[col-id="site_id"]')).to_have_count(0)
    assert watched.complaints == []


def test_a_window_of_ones_own_is_widened_to_utc_hours(watched: Watched) -> None:
    """Kolkata is half an hour off: 08:00 there lies within a UTC hour."""
    now = datetime.now(UTC)
    day = (now - timedelta(days=1)).date()
    search = f"?site={OTHER_SITE}&range=custom&from={day}T08:00&to={day}T16:00"
    page = watched.look(search, numbers=False)
    expect(page.locator("#subtitle")).to_contain_text("07:30 \N{EN DASH} 16:30")
    expect(page.get_by_role("button", name="From")).to_contain_text("07:30")


def test_new_events_arrive_without_a_reload(watched: Watched, plant_dsn: str) -> None:
    page = watched.look(WEEK)
    page.evaluate("window.sameDocument = true")
    before = watched.kpi("Units")
    at = datetime.now(UTC)
    event = {
        "site_id": SITE,
        "time": at.isoformat(),
        "worker_id": "W01",
        "workstation_id": "S01",
        "event_type": "product_count",
        "confidence": "0.9",
        "count": "4321",
    }
    with Door(plant_dsn) as door:
        assert door.admit(batch_of(pl.DataFrame([event])), "test").stored == 1
    refresh_site(plant_dsn, SITE)
    expect(page.locator('[data-kpi="Units"]')).not_to_have_text(before)
    units = int(before.replace(",", "")) + 4321
    assert watched.kpi("Units") == formats.number(units)
    assert page.evaluate("window.sameDocument") is True
    assert watched.complaints == []


def test_it_says_what_is_not_there(watched: Watched) -> None:
    page = watched.look("?site=nowhere", numbers=False)
    expect(page.locator("#empty")).to_contain_text("There is no site 'nowhere'")
    search = f"?site={SITE}&range=custom&from=2020-01-01T00:00&to=2020-01-02T00:00"
    page = watched.look(search, numbers=False)
    expect(page.locator("#empty")).to_contain_text("Nothing in this range")
    page.locator("#empty a").click()
    page.wait_for_selector("[data-kpi]")
    expect(page.locator("#content")).to_be_visible()
    assert watched.complaints == []
