"""`floorpulse alerts channel`, `outbox`, `resend`, and what doctor says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.connect import Connection
from tests.support.alerting import Alerting
from tests.support.cli import floorpulse, json_of

pytestmark = pytest.mark.plain
CHANNEL = ("alerts", "channel")
UNCHECKED = ("--url-env", "PLANT_MAIL", "--unchecked")


@pytest.fixture
def house(conn: Connection) -> Alerting:
    return Alerting(conn)


def test_a_channel_is_added_changed_listed_and_removed(
    dsn: str, conn: Connection
) -> None:
    Alerting(conn)
    options = ("--site", "plant", "--severity", "critical", "--digest", "news")
    quiet = ("--quiet", "22:00-06:00", "--quiet", "sat-sun 00:00-24:00")
    made = json_of(dsn, *CHANNEL, "add", "mail", *UNCHECKED, *options, *quiet)
    assert made | {"quiet": None} == made | {
        "name": "mail",
        "url_env": "PLANT_MAIL",
        "url_file": None,
        "sites": ["plant"],
        "severity": "critical",
        "transitions": ["opened", "reopened", "woken", "resolved"],
        "digest": "news",
        "pierce": "critical",
        "channel_state": "ok",
        "quiet": None,
    }
    shown = floorpulse(dsn, *CHANNEL, "list").stdout
    assert "$PLANT_MAIL" in shown
    assert "mon-sun 22:00-06:00" in shown
    assert "sat,sun 00:00-24:00" in shown
    change = ("change", "mail", "--all-sites", "--no-quiet", "--on", "opened,resolved")
    changed = json_of(dsn, *CHANNEL, *change)
    assert (changed["sites"], changed["quiet"]) == (None, [])
    assert changed["transitions"] == ["opened", "resolved"]
    assert (changed["severity"], changed["url_env"]) == ("critical", "PLANT_MAIL")
    changed = json_of(dsn, *CHANNEL, "change", "mail", "--enabled", "false")
    assert changed["channel_state"] == "off"
    floorpulse(dsn, *CHANNEL, "remove", "mail")
    assert json_of(dsn, *CHANNEL, "list") == {"channels": []}
    acts = conn.execute("select action from ops.audit_log order by at").fetchall()
    assert [action for (action,) in acts] == [
        "channel.add",
        "channel.change",
        "channel.change",
        "channel.remove",
    ]


@pytest.mark.parametrize(
    ("arguments", "said", "exit_code"),
    [
        (("add", "a b", *UNCHECKED), "letters, digits", 2),
        (("add", "mail"), "nowhere to go", 2),
        (("add", "mail", "--url-env", "X", "--url-file", "Y"), "one of the two", 2),
        (("add", "mail", "--url-env", "NOT_SET_HERE"), "NOT_SET_HERE is not set", 2),
        (("add", "mail", "--url-file", "/nowhere/x"), "No such file", 2),
        (("add", "mail", *UNCHECKED, "--severity", "high"), "one of warning", 2),
        (("add", "mail", *UNCHECKED, "--on", "opened,closed"), "'closed'", 2),
        (("add", "mail", *UNCHECKED, "--digest", "daily"), "one of never", 2),
        (("add", "mail", *UNCHECKED, "--quiet", "night"), "are no hours", 2),
        (("add", "mail", *UNCHECKED, "--quiet", "06:00-06:00"), "whole days", 2),
        (("add", "mail", *UNCHECKED, "--quiet", "x 22:00-06:00"), "no weekdays", 2),
        (("add", "mail", *UNCHECKED, "--site", "nowhere"), "no site 'nowhere'", 1),
        (("change", "mail", "--severity", "none"), "no channel 'mail'", 1),
        (("change", "mail", "--site", "a", "--all-sites"), "one or the other", 2),
        (("remove", "mail"), "no channel 'mail'", 1),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    dsn: str, arguments: tuple[str, ...], said: str, exit_code: int
) -> None:
    result = floorpulse(dsn, *CHANNEL, *arguments, exit_code=exit_code)
    assert said in " ".join(result.stderr.replace("\u2502", " ").split())
    assert "Traceback" not in result.stderr


def test_a_url_of_a_service_that_is_not_known_is_refused(
    dsn: str, tmp_path: Path, conn: Connection
) -> None:
    path = tmp_path / "url"
    path.write_text("nosuch://somewhere")
    add = (*CHANNEL, "add", "mail", "--url-file", str(path))
    result = floorpulse(dsn, *add, exit_code=2)
    assert f"The file {path} holds no URL that Apprise can use" in result.stderr
    assert conn.execute("select count(*) from ops.channels").fetchone() == (0,)
    path.write_text("json://127.0.0.1:9/x")
    floorpulse(dsn, *add)
    again = floorpulse(dsn, *add, exit_code=2)
    assert "There is a channel 'mail' already" in again.stderr


def test_the_outbox_tells_what_became_of_everything(dsn: str, house: Alerting) -> None:
    house.channel("mail")
    alert = house.raise_alert()
    claimed = house.claim()
    assert claimed is not None
    house.settle("failed", claimed[1])
    (message,) = json_of(dsn, "alerts", "outbox")["messages"]
    assert (message["alert_id"], message["message_state"]) == (alert, "waiting")
    assert (message["attempts"], message["message_error"]) == (1, "no reason")
    assert json_of(dsn, "alerts", "outbox", "--state", "failed")["messages"] == []
    floorpulse(dsn, "alerts", "outbox", "--state", "lost", exit_code=2)
    floorpulse(dsn, "alerts", "outbox", "--channel", "x", exit_code=1)
    (channel,) = json_of(dsn, *CHANNEL, "list")["channels"]
    assert (channel["channel_state"], channel["last_error"]) == ("failing", "no reason")
    assert json_of(dsn, "alerts", "resend", "--channel", "mail") == {"messages": 1}
    assert house.claim() is not None


def findings(dsn: str) -> list[tuple[str, str]]:
    found = json_of(dsn, "doctor", exit_code=1)["findings"]
    return [(f["level"], f["found"]) for f in found if f["check"] == "notifications"]


def test_doctor_names_what_nobody_is_told(dsn: str, house: Alerting) -> None:
    assert findings(dsn) == []
    house.raise_alert()
    assert findings(dsn) == [
        ("note", "1 alerts are not resolved, and nobody is told of any")
    ]
    house.channel("mail")
    assert findings(dsn) == [("ok", "1 channels")]
    house.raise_alert("other")
    claimed = house.claim()
    assert claimed is not None
    house.settle("failed", claimed[1])
    assert findings(dsn) == [("wrong", "channel mail fails: no reason")]
    house.conn.execute("select ops.give_up_messages(now() + interval '8 days')")
    assert findings(dsn)[1] == (
        "note",
        "1 messages were given up in the last 31 days",
    )
