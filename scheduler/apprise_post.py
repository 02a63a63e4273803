"""Hands one message to Apprise, in a process of its own (scheduler/post.py starts it).

A process of its own: a service that hangs is ended with it, and what Apprise and the
libraries below it log, URLs included, is logged by nobody. It imports nothing of ours.
It reads one JSON object, where the URL is and what to say, and writes one: the error,
in which no part of the URL is left, or null.
"""

import json
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import apprise

CONNECT_S, READ_S = 8.0, 12.0
# A long message goes in parts, and Apprise pauses 5.5 s between them: five parts would
# take longer than a channel may, and the first four come again with every try.
LONGEST_PAUSE_S = 1.0
# What takes less is a text message: paid by the part, so it is told the beginning.
SHORTEST_BODY = 1_000
# A card of Teams may have 28 KB, a character up to 6 bytes; Apprise fills 1,000.
TEAMS, TEAMS_BODY = "NotifyWorkflows", 4_000
MARKUP = re.compile(r"([\\`*_\[\](){}<>#~|!])")
LONGEST_URL = 16_384
LONGEST_ERROR = 300
BLOT = "***"
# Shorter parts are no secrets, and blotting them out would leave no text.
SHORTEST_SECRET = 3
# What went wrong below the service, in our own words: the libraries' hold URLs.
REASONS = (
    ("refused", "connection refused"),
    ("timed out", "timed out"),
    ("getaddrinfo|name resolution|Name or service", "the host name is not known"),
    ("CERTIFICATE|certificate|SSL", "no secure connection"),
    (r"\(53[45],|Authentication", "the login was refused"),
    ("unreachable|No route", "the network does not reach it"),
    ("reset by peer|Remote end closed|aborted|unexpectedly", "it hung up"),
)


class RefusedError(Exception):
    """There is no URL to send to; says why, without it."""


class Notes(logging.Handler):
    """Keeps what Apprise says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.below: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Warnings are for people, the rest is looked through for a reason."""
        told = self.said if record.levelno >= logging.WARNING else self.below
        told.append(record.getMessage())

    def text(self) -> str:
        """Its warnings, and why."""
        below = "\n".join(line for line in self.below if "xception" in line)
        reason = next((r for words, r in REASONS if re.search(words, below)), None)
        told = "; ".join(dict.fromkeys(word.strip(" .") for word in self.said))
        return ": ".join(part for part in (told, reason) if part)


def read_url(url_env: str | None, url_file: str | None) -> str:
    """The Apprise URL that a variable or a file holds. RefusedError."""
    if url_env is not None:
        text = os.environ.get(url_env, "")
        place = f"the variable {url_env}"
        missing = f"{place} is not set in the environment of this process"
    else:
        place = f"the file {url_file}"
        try:
            text = Path(url_file or "").read_text("utf-8")
        except OSError as error:
            raise RefusedError(f"cannot read {place}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RefusedError(f"{place} is no text") from error
        missing = f"{place} is empty"
    url = text.strip()
    if not url:
        raise RefusedError(missing)
    if len(url) > LONGEST_URL or not url.isprintable():
        raise RefusedError(f"{place} holds more than one URL, or none: write one line")
    return url


def service_of(url: str, place: str, notes: Notes) -> Any:
    """The Apprise service behind a URL. RefusedError where Apprise knows none."""
    asset = apprise.AppriseAsset(storage_mode="memory", service_timeout=0)
    asset.app_id = asset.app_desc = "floorpulse"
    # No icons from elsewhere, and no answer taken from where a receiver points to.
    asset.app_url = asset.image_url_mask = asset.image_url_logo = ""
    asset.async_mode = asset.http_redirects = False
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        said = "; ".join(w for w in notes.said if "URL" not in w)
        raise RefusedError(
            f"{place} holds no URL that Apprise can use"
            + (f" ({said.strip(' .')})" if said else "")
        )
    if service.socket_connect_timeout == apprise.URLBase.socket_connect_timeout:
        service.socket_connect_timeout = CONNECT_S
    if service.socket_read_timeout == apprise.URLBase.socket_read_timeout:
        service.socket_read_timeout = READ_S
    service.request_rate_per_sec = min(service.request_rate_per_sec, LONGEST_PAUSE_S)
    if is_teams(service):
        service.body_maxlen = TEAMS_BODY
    if "overflow=" not in url:
        is_short = service.body_maxlen < SHORTEST_BODY
        modes = apprise.OverflowMode
        service.overflow_mode = modes.TRUNCATE if is_short else modes.SPLIT
    return service


def is_teams(service: Any) -> bool:
    """Whether a service makes cards of Teams."""
    return type(service).__name__ == TEAMS


def worded(service: Any, title: str, body: str) -> tuple[str, str]:
    """Title and body, so that a service shows what was said.

    Teams reads all of a card as Markdown: a line feed alone is a blank to it. Apprise
    escapes the body, not the title.
    """
    if not is_teams(service):
        return title, body
    return MARKUP.sub(r"\\\1", title), body.replace("\n", "\n\n")


def blotted(text: str, url: str) -> str:
    """A text in which no part of the URL is left, its scheme apart."""
    _, _, rest = url.partition("://")
    path, _, query = rest.partition("?")
    parts = {rest, path, query, *re.split(r"[&=]", query)[1::2]}
    parts |= {value for _, value in parse_qsl(query, keep_blank_values=True)}
    parts |= {unquote(part) for part in parts}
    parts |= {word for part in parts for word in re.split(r"[/:@,;#<>\s]+", part)}
    parts |= {unquote(part) for part in parts}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = re.sub(re.escape(part), BLOT, text, flags=re.IGNORECASE)
    return text


def answer(asked: dict[str, Any]) -> str | None:
    """Send (or with `check` only look whether one could); the error, or None."""
    notes = Notes()
    logger = logging.getLogger("apprise")
    logger.addHandler(notes)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    url_env, url_file = asked["url_env"], asked["url_file"]
    place = f"the variable {url_env}" if url_env else f"the file {url_file}"
    try:
        url = read_url(url_env, url_file)
    except RefusedError as error:
        return str(error)
    try:
        service = service_of(url, place, notes)
    except RefusedError as error:
        # The place is ours to tell, and may share words with the URL.
        return place + blotted(str(error).removeprefix(place), url)
    if asked["check"]:
        return None
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    notes.said.clear()
    title, body = worded(service, asked["title"], asked["body"])
    if sender.notify(
        body=body,
        title=title,
        notify_type=apprise.NotifyType(asked["kind"]),
        body_format=apprise.NotifyFormat.TEXT,
    ):
        return None
    return blotted(notes.text(), url)[:LONGEST_ERROR] or "the service did not take it"


def main() -> None:
    """Answer what standard input asks; whatever else is printed goes nowhere."""
    out = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    asked = json.load(sys.stdin)
    signal.alarm(asked["limit_s"])  # whoever asked may be gone
    json.dump({"error": answer(asked)}, out)
    out.flush()


if __name__ == "__main__":
    main()
