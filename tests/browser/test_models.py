"""Model health in a real browser: what it shows is what SQL says, and it is quiet."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from scheduler.refresh import refresh_site
from sql.connect import connect
from sql.model_health.drift import check_drift
from sql.model_health.retraining import request
from tests.browser.conftest import SITE, Watched

MODELS = f"models?site={SITE}"


@pytest.fixture(scope="module")
def judged(plant_dsn: str) -> str:
    """The plant's models judged, one alert, one request."""
    refresh_site(plant_dsn, SITE)
    with connect(plant_dsn) as conn:
        check_drift(conn, SITE)
        ((version,),) = conn.execute(
            "select model_version from analytics.model_versions where site_id = %s"
            " order by events_seen desc limit 1",
            (SITE,),
        ).fetchall()
        conn.execute(
            "select ops.raise_alert(site_key, 'rolling_low', %s, 'critical',"
            ' \'{"current": 0.61, "threshold": 0.75}\', now())'
            " from floor.sites where site_id = %s",
            (version, SITE),
        )
        request(conn, SITE, version, "Ann", "new lamps")
    return str(version)


def open_models(watched: Watched, search: str = MODELS) -> Any:
    page = watched.page
    page.goto(f"{watched.address}/{search}")
    page.wait_for_selector("[data-health]")
    page.wait_for_selector("#confidence .main-svg")
    page.wait_for_selector("#live-state[data-state=live]")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_is_quiet_and_keeps_to_itself(
    browser: Browser, server: str, judged: str, scheme: Any, width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    watched = Watched(context.new_page(), server)
    page = open_models(watched)
    page.wait_for_selector(".fp-stage")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.locator('[data-table="alerts"]')).to_contain_text("0.610")
    expect(page.locator('[data-table="signals"]')).to_contain_text(judged)
    expect(page.locator('[data-table="retraining"]')).to_contain_text("by Ann")
    assert page.inner_text('[data-health="Retraining"]') == "1"
    assert watched.complaints == []
    assert watched.foreign == []
    context.close()


@pytest.mark.usefixtures("judged")
def test_pages_lead_to_each_other_and_keep_the_site(watched: Watched) -> None:
    page = open_models(watched)
    page.evaluate("window.sameDocument = true")
    page.click("#nav-overview")
    page.wait_for_url(re.compile(rf"/\?site={SITE}$"))
    expect(page.locator("#content")).to_be_visible()
    expect(page.locator("#models-content")).to_be_hidden()
    page.click("#nav-models")
    page.wait_for_url(re.compile(rf"/models\?site={SITE}$"))
    expect(page.locator("#content")).to_be_hidden()
    expect(page.locator("#subtitle")).to_contain_text("Model health")
    page.get_by_role("textbox", name="Site").click()
    page.get_by_role("option", name="All sites").click()
    page.wait_for_url(re.compile(r"/models$"))
    expect(page.locator("#title")).to_have_text("All sites")
    assert page.evaluate("window.sameDocument") is True
    assert watched.complaints == []


def test_a_site_that_is_not_there(watched: Watched) -> None:
    watched.page.goto(f"{watched.address}/models?site=nowhere")
    expect(watched.page.locator("#empty")).to_contain_text("no site 'nowhere'")
