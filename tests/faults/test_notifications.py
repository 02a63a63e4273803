"""Notifications that reach someone: real receivers, down, slow, failing; real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheduler import post
from scheduler.job import Detail, Work
from scheduler.jobs import notify as job
from scheduler.notify import run_pass
from sql.connect import Connection, connect
from sql.local_server.account import find_binaries
from sql.model_health.channels import change_channel, channel_of, send_again
from tests.support.alerting import Alerting
from tests.support.cli import floorpulse
from tests.support.local_server import ROOT
from tests.support.ports import free_port
from tests.support.receivers import (
    Receiver,
    http_receiver,
    smtp_server,
)

pytestmark = pytest.mark.plain
SECRETS = ("Tok3nInThePath", "Hunter2%2FHunter2", "Hunter2/Hunter2", "S1gnature")
# Tells once, and is killed when the receiver has it and the outbox does not know.
KILLED_BEFORE_IT_IS_WRITTEN_DOWN = """
import os, signal, sys, threading
from scheduler import notify
from sql.connect import connect
notify.settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with connect(sys.argv[1]) as conn:
    notify.run_pass(conn, threading.Event())
"""
# A pass that logs whatever there is to log, from every library.
LOUD = """
import sys, threading
from commands import logs
from scheduler.notify import run_pass
from sql.connect import connect
logs.configure("debug")
with connect(sys.argv[1]) as conn:
    told = run_pass(conn, threading.Event())
print(told)
"""


@pytest.fixture
def house(conn: Connection) -> Alerting:
    return Alerting(conn)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def run_job(dsn: str, conn: Connection) -> Detail:
    return job.run(Work(dsn, conn, None, threading.Event()))


def write(path: Path, url: str) -> str:
    path.write_text(f"{url}\n")
    return str(path)


def test_mail_and_webhook_are_told_of_an_alert_and_of_its_end(
    dsn: str,
    house: Alerting,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLOORPULSE_BASE_URL", "https://floor.example.org/")
    with smtp_server() as mailbox:
        monkeypatch.setenv("PLANT_MAIL", mailbox.url())
        hook = write(tmp_path / "hook", receiver.url())
        add = ("alerts", "channel", "add")
        floorpulse(dsn, *add, "mail", "--url-env", "PLANT_MAIL")
        floorpulse(dsn, *add, "hook", "--url-file", hook, "--unchecked")
        alert = house.raise_alert()
        assert run_job(dsn, house.conn) == {"delivered": 2, "waiting": 0}
        assert run_job(dsn, house.conn) == {"delivered": 0, "waiting": 0}
        house.resolve(alert)
        assert run_job(dsn, house.conn) == {"delivered": 2, "waiting": 0}
    assert mailbox.recipients == [["manager@example.org"]] * 2
    opened, over = mailbox.messages
    assert opened["Subject"] == "Warning: events are rejected - plant"
    assert over["Subject"] == "Over: events are rejected - plant"
    text = opened.get_content().replace("\r\n", "\n")
    for line in (
        "Where: plant",
        "5.0 % of the events of an hour were rejected (50 events in two hours); "
        "limit 1.0 %.",
        f"floorpulse alerts ack {alert}",
        "Dashboard: https://floor.example.org/?site=plant",
    ):
        assert line in text
    assert "Ended: by Ann" in over.get_content()
    assert receiver.titles == [opened["Subject"], over["Subject"]]
    assert [message["type"] for message in receiver.got] == ["warning", "success"]
    assert {state for _, _, state in house.messages()} == {"delivered"}


def test_channels_that_are_down_slow_or_failing_hold_up_no_other(
    dsn: str, house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    with http_receiver() as broken, http_receiver() as slow:
        broken.status, slow.wait_s = 500, 3.0
        urls = {
            "broken": broken.url(),
            "down": f"json://127.0.0.1:{free_port()}/",
            "good": receiver.url(),
            "slow": slow.url(query="?rto=1"),
            "wrong": "nosuch://127.0.0.1/secret",
        }
        for name, url in urls.items():
            house.channel(name, url_file=write(tmp_path / name, url))
        house.channel("unset", url_env="FLOORPULSE_NOT_SET")
        house.raise_alert()
        told = run_job(dsn, house.conn)
        assert (told["delivered"], told["waiting"]) == (1, 5)
        assert told["failed"] == {
            "broken": "Failed to send JSON POST notification: Internal server error., "
            "error=500",
            "down": "A Connection error occurred sending JSON notification to ***: "
            "connection refused",
            "slow": "A Connection error occurred sending JSON notification to ***: "
            "timed out",
            "unset": "the variable FLOORPULSE_NOT_SET is not set in the environment of "
            "this process",
            "wrong": f"the file {tmp_path / 'wrong'} holds no URL that Apprise can use",
        }
        # They recover, and nothing is lost; what the slow one took already comes again.
        broken.status, slow.wait_s = 200, 0.0
        assert channel_of(house.conn, "broken")["channel_state"] == "failing"
        assert send_again(house.conn, "broken") == send_again(house.conn, "slow") == 1
        assert run_job(dsn, house.conn)["delivered"] == 2
    assert channel_of(house.conn, "broken")["channel_state"] == "ok"
    assert (len(broken.got), len(slow.got), len(receiver.got)) == (1, 2, 1)


def test_a_receiver_that_never_ends_is_cut_off(
    house: Alerting,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(post, "LIMIT_S", 2)
    receiver.wait_s = 4
    url = write(tmp_path / "hook", receiver.url(query="?rto=60"))
    house.channel(url_file=url)
    house.raise_alert()
    told = run_pass(house.conn, threading.Event())
    assert told.failed == {"team": "it took longer than 2 s"}


def test_a_stopped_pass_leaves_the_message_to_the_next(
    house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.wait_s = 3
    house.channel(url_file=write(tmp_path / "hook", receiver.url()))
    house.raise_alert()
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert run_pass(house.conn, stop).delivered == 0
    receiver.wait_s = 0
    assert run_pass(house.conn, threading.Event()).delivered == 1


def test_killed_between_sending_and_writing_down_it_is_sent_again(
    dsn: str, house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    house.channel(url_file=write(tmp_path / "hook", receiver.url()))
    house.raise_alert()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_IT_IS_WRITTEN_DOWN, dsn],
        check=False,
        cwd=ROOT,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(receiver.got) == 1
    assert house.messages() == [("team", "opened", "waiting")]
    assert run_pass(house.conn, threading.Event()).delivered == 0, "still its own"
    house.conn.execute("update ops.channels set claimed_until = clock_timestamp()")
    assert run_pass(house.conn, threading.Event()).delivered == 1
    assert receiver.titles == ["Warning: events are rejected - plant"] * 2


def test_two_senders_at_once_tell_everything_once(
    dsn: str, house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    for name in "abcd":
        url = write(tmp_path / name, receiver.url(f"/{name}"))
        house.channel(name, url_file=url)
    for number in range(30):
        house.raise_alert(f"camera {number}")

    def tell(_: int) -> int:
        with connect(dsn) as own:
            return run_pass(own, threading.Event()).delivered

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(tell, range(2))) == 120
    assert sorted(receiver.paths) == ["/a", "/b", "/c", "/d"]
    assert set(receiver.titles) == {"plant: 30 alerts"}
    assert receiver.got[0]["message"].count("\n- New: ") == 19
    assert "... and 10 more." in receiver.got[0]["message"]


def test_no_secret_is_in_a_log_an_answer_or_the_database(
    dsn: str, house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 500
    path, password, _, query = SECRETS
    urls = {
        "hook": f"json://bob:{password}@127.0.0.1:{receiver.port}/{path}?-sig={query}",
        "down": f"json://bob:{password}@127.0.0.1:{free_port()}/{path}",
        "mail": f"mailto://bob:{password}@127.0.0.1:{free_port()}"
        f"?from={query}@example.org&to=a@example.org&mode=insecure",
        "wrong": f"slack://{path}/{query}",
    }
    said = []
    for name, url in urls.items():
        house.channel(name, url_file=write(tmp_path / name, url))
    refused = ("alerts", "channel", "add", "x")
    for place in ("--url-env", "--url-file"):
        result = floorpulse(dsn, *refused, place, urls["hook"], exit_code=2)
        said.append(result.output)
    result = floorpulse(dsn, "alerts", "channel", "add", urls["hook"], exit_code=2)
    said.append(result.output)
    file = str(tmp_path / "wrong")
    result = floorpulse(dsn, *refused, "--url-file", file, exit_code=2)
    assert "no URL that Apprise can use" in result.output
    house.raise_alert()
    loud = subprocess.run(
        [sys.executable, "-c", LOUD, dsn],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert loud.stderr.count("a channel failed") == 4
    run_job(dsn, house.conn)
    test = ("alerts", "test-channel", "hook")
    said += [
        result.output,
        loud.stdout,
        loud.stderr,
        floorpulse(dsn, *test, exit_code=1).output,
        floorpulse(dsn, "alerts", "channel", "list").output,
        floorpulse(dsn, "alerts", "outbox").output,
        floorpulse(dsn, "doctor", exit_code=1).output,
        dump(dsn),
    ]
    assert "Internal server error" in "".join(said)
    for text in said:
        for secret in SECRETS:
            assert secret.lower() not in text.lower()


def dump(dsn: str) -> str:
    """Everything that the database holds."""
    command = [str(find_binaries() / "pg_dump"), "--data-only", f"--dbname={dsn}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "a test" in done.stdout
    return done.stdout


def test_a_mended_url_is_tried_at_once(
    house: Alerting, receiver: Receiver, tmp_path: Path
) -> None:
    from sql.model_health.channels import ChannelTerms

    house.channel(url_env="FLOORPULSE_NOT_SET")
    house.raise_alert()
    assert run_pass(house.conn, threading.Event()).delivered == 0
    terms = ChannelTerms(url_file=write(tmp_path / "hook", receiver.url()))
    change_channel(house.conn, "team", terms, "a test")
    assert run_pass(house.conn, threading.Event()).delivered == 1
