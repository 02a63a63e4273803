"""One message to one channel: through Apprise, within a time, in its own process."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

SENDER = Path(__file__).with_name("apprise_post.py")
#: What a channel may take for one message.
LIMIT_S = 20
LOOK_EVERY_S = 0.1
# The sender has no business with the database.
NOT_FOR_IT = ("FLOORPULSE_DSN",)

Kind = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel's Apprise URL is: in a variable, or in a file."""

    url_env: str | None
    url_file: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said; kind gives it its colour."""

    title: str
    body: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: delivered, failed (and why), or unknown: we were stopped."""

    state: Literal["delivered", "failed", "unknown"]
    error: str | None = None


def post(place: Place, message: Message, stop: Event) -> Outcome:
    """Say something once; never raises for what the other side does."""
    asked = {"title": message.title, "body": message.body, "kind": message.kind}
    return _ask(place, asked | {"check": False}, stop)


def check(place: Place) -> str | None:
    """What keeps anything from being sent there, or None; sends nothing."""
    return _ask(place, {"check": True}, Event()).error


def _ask(place: Place, asked: dict[str, object], stop: Event) -> Outcome:
    where = {"url_env": place.url_env, "url_file": place.url_file, "limit_s": LIMIT_S}
    text: str | None = json.dumps(asked | where)
    until = time.monotonic() + LIMIT_S
    with subprocess.Popen(
        [sys.executable, "-P", str(SENDER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k not in NOT_FOR_IT},
        text=True,
        process_group=0,
    ) as child:
        while True:
            try:
                said, _ = child.communicate(text, timeout=LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                text = None
            else:
                return _outcome(said, child.returncode)
            if stop.is_set():
                child.kill()
                return Outcome("unknown")
            if time.monotonic() > until:
                child.kill()
                return Outcome("failed", f"it took longer than {LIMIT_S} s")


def _outcome(said: str, code: int) -> Outcome:
    if code:
        ended = f"signal {-code}" if code < 0 else f"code {code}"
        return Outcome("failed", f"the process that sends ended with {ended}")
    error = json.loads(said)["error"]
    return Outcome("delivered") if error is None else Outcome("failed", str(error))
