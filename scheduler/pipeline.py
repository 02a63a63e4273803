"""Telling of exports: a signed webhook that starts a pipeline, and MLflow.

Every call is a row; whoever takes one pushes its next attempt into the future before he
makes it, so that a call is made again if he dies, and by nobody else meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from scheduler.tracking import record
from sql.connect import Connection
from sql.errors import BadSetting, NotDelivered
from sql.plant.sites import rows_of
from sql.queries import load

WEBHOOK, MLFLOW = "webhook", "mlflow"
URL = "FLOORPULSE_RETRAINING_WEBHOOK"
SECRET = "FLOORPULSE_RETRAINING_SECRET"  # noqa: S105 - a variable's name
SECRET_FILE = f"{SECRET}_FILE"
TRACKING = "MLFLOW_TRACKING_URI"
SHORTEST_SECRET = 16
MOST_ATTEMPTS = 12
TIMEOUT_S = 10.0
_PREFIX = "whsec_"
_ANSWER_BYTES = 500


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom to tell; None: nobody of that kind. The secret never shows."""

    url: str | None = None
    secret: bytes = field(default=b"", repr=False)
    tracking_uri: str | None = None

    @property
    def names(self) -> list[str]:
        """Which kinds of calls can be made."""
        known = {WEBHOOK: self.url, MLFLOW: self.tracking_uri}
        return [name for name, where in known.items() if where]


@dataclass
class Told:
    """What became of calls: how many worked, and why others did not."""

    delivered: int = 0
    failed: list[str] = field(default_factory=list)


def targets(environ: Mapping[str, str] = os.environ) -> Targets:
    """As the environment says. BadSetting for a webhook that cannot be signed."""
    url = environ.get(URL, "").strip() or None
    tracking = environ.get(TRACKING, "").strip() or None
    if url is None:
        return Targets(tracking_uri=tracking)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadSetting(f"{URL} is no http or https address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSetting(f"{URL} is no http or https address")
    if parts.username is not None:
        raise BadSetting(f"{URL} names a user: calls are signed, leave that out")
    return Targets(url, _secret(environ), tracking)


def deliver(
    conn: Connection,
    to: Targets,
    *,
    request: int | None = None,
    stop: Event | None = None,
) -> Told:
    """Make the calls that are due; of one request: at once, and each once."""
    told = Told()
    seen: list[int] = []
    asked = {"targets": to.names, "request": request, "seen": seen}
    while to.names and not (stop is not None and stop.is_set()):
        rows = rows_of(conn, load("retraining")["claim_call"], asked)
        if not rows:
            break
        seen.append(rows[0]["call_key"])
        _make(conn, to, rows[0], told)
    return told


def _make(conn: Connection, to: Targets, call: dict[str, Any], told: Told) -> None:
    try:
        if call["target"] == WEBHOOK:
            answer = _post(to, call)
        else:
            answer = record(str(to.tracking_uri), call)
    except NotDelivered as error:
        said = f"request {call['request_key']}: {error.message}"
        told.failed.append(said)
        failed = {"call": call["call_key"], "error": error.message}
        query = load("retraining")["call_failed"]
        conn.execute(query, failed | {"most": MOST_ATTEMPTS})
        return
    told.delivered += 1
    done = {"call": call["call_key"], "answer": answer}
    conn.execute(load("retraining")["call_delivered"], done)


def body_of(call: Mapping[str, Any]) -> bytes:
    """What a pipeline is told."""
    said = {
        "type": "retraining.exported",
        "request_id": call["request_key"],
        "site_id": call["site_id"],
        "model_version": call["model_version"],
        "reason": call["reason"],
        "folder": call["folder"],
        "manifest_sha256": call["manifest_sha256"],
        "manifest": json.loads(call["manifest"]),
    }
    return json.dumps(said, ensure_ascii=False).encode()


def signature(secret: bytes, delivery: str, at_s: int, body: bytes) -> str:
    """As www.standardwebhooks.com has it: HMAC-SHA256 over id, time and body."""
    signed = f"{delivery}.{at_s}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed body goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(to: Targets, call: Mapping[str, Any]) -> str:
    """The status of the answer; NotDelivered unless it is 2xx."""
    body, delivery, at_s = body_of(call), str(call["delivery_id"]), int(time.time())
    posted = urllib.request.Request(  # noqa: S310 - http or https, see targets
        str(to.url),
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "floorpulse",
            "webhook-id": delivery,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(to.secret, delivery, at_s, body),
        },
        method="POST",
    )
    where = urlsplit(str(to.url)).hostname
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(posted, timeout=TIMEOUT_S) as answer:
            return f"{answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(_ANSWER_BYTES).decode("utf-8", "replace")
        said = f"the webhook at {where} answered {error.code}: {text!r}"
        raise NotDelivered(said) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Of others than OSError the words may hold the address, and what is in it.
        words = getattr(error, "reason", None) or error
        reason = words if isinstance(error, OSError) else type(error).__name__
        said = f"the webhook at {where} cannot be reached: {reason}"
        raise NotDelivered(said) from error


def _secret(environ: Mapping[str, str]) -> bytes:
    said, path = environ.get(SECRET, ""), environ.get(SECRET_FILE, "").strip()
    if bool(said) == bool(path):
        raise BadSetting(f"{URL} wants one of {SECRET} and {SECRET_FILE}: it is signed")
    if path:
        try:
            said = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"{SECRET_FILE}: {path} cannot be read") from error
    said = said.strip()
    secret = said.encode()
    if said.startswith(_PREFIX):
        try:
            secret = base64.b64decode(said.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            said = f"what follows {_PREFIX} in the webhook's secret is no base64"
            raise BadSetting(said) from error
    if len(secret) < SHORTEST_SECRET:
        said = f"shorter than {SHORTEST_SECRET} bytes"
        raise BadSetting(f"the webhook's secret is {said}")
    return secret
