"""URLs that Apprise takes, those it does not, and what is left of them in texts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from scheduler import apprise_post
from scheduler.apprise_post import (
    Notes,
    RefusedError,
    answer,
    blotted,
    read_url,
    service_of,
)

# Of a library below Apprise, when its plugins are loaded.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr'.*:DeprecationWarning")
WEBHOOK = (
    "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/C0ffeeC0ffeeC0ffeeC0ffee"
)
TEAMS = (
    "https://prod-00.westeurope.logic.azure.com:443/workflows/0123abcd/triggers"
    "/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun"
    "&sv=1.0&sig=abcDEF"
)
SMS = "twilio://AC0123456789abcdef0123456789abcdef:t0ken@+15550001111/+15550002222"
# What a camera may be called, and a person may note.
NASTY = "<!channel> <at>all</at> <https://x.example|here> [a](https://x.example) *b* &"


class Outside:
    """The services' side of HTTPS: keeps what is posted, and answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.status, self.down = monkeypatch, 200, False
        self.posted: list[requests.PreparedRequest] = []
        self.pauses: list[float] = []
        monkeypatch.setattr(HTTPAdapter, "send", lambda _, r, **__: self.take(r))
        monkeypatch.setattr(time, "sleep", self.pauses.append)

    def take(self, request: requests.PreparedRequest) -> requests.Response:
        if self.down:
            raise requests.ConnectionError(f"Connection refused: {request.url}")
        self.posted.append(request)
        response = requests.Response()
        response.status_code, response.url = self.status, str(request.url)
        response._content = b"ok"
        return response

    def tell(self, url: str, title: str, body: str) -> str | None:
        """Have a message sent; the error."""
        self.monkeypatch.setenv("A_VARIABLE", url)
        said = {"title": title, "body": body, "kind": "failure", "check": False}
        return answer(said | {"url_env": "A_VARIABLE", "url_file": None})

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(str(request.body)) for request in self.posted]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    return Outside(monkeypatch)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("mailto://u:p@mail.example?from=a@b.example&to=c@d.example", "E-Mail"),
        ("mailtos://u:p@mail.example:587?from=a@b.example&to=c@d.example", "E-Mail"),
        (WEBHOOK, "Slack"),
        (TEAMS, "Power Automate / Workflows (for MSTeams)"),
        ("jsons://user:pass@mes.example/alerts?+X-Key=k", "JSON"),
    ],
)
def test_the_documented_services_are_known(url: str, service: str) -> None:
    found = service_of(url, "it", Notes())
    assert str(found.service_name) == service
    assert found.socket_read_timeout > 4
    assert not found.redirects


@pytest.mark.parametrize("url", ["", "x", "nosuch://a/b", "slack://a", "mailto://"])
def test_what_apprise_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="no URL that Apprise can use"):
        service_of(url, "it", Notes())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"json://a\njson://b", "more than one URL"),
        (b"\xff\xfe", "is no text"),
        (b"j" * 20_000, "more than one URL"),
    ],
)
def test_a_file_holds_one_url(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "url"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=said):
        read_url(None, str(path))


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        read_url(None, "/nowhere/url")
    with pytest.raises(RefusedError, match="NO_SUCH_VARIABLE is not set"):
        read_url("NO_SUCH_VARIABLE", None)
    monkeypatch.setenv("A_VARIABLE", " json://a \n")
    assert read_url("A_VARIABLE", None) == "json://a"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (
            "mailto://bob:p%40ss%2Fw0rd@h.example?to=a@b.c",
            ["bob", "p@ss/w0rd", "p%40ss%2fw0rd"],
        ),
        ("slack://T0kenA/T0kenB/T0kenC/#room", ["T0kenA", "T0kenC", "room"]),
        (WEBHOOK, ["T0AAAAAAA", "B0BBBBBBB", "hooks.slack.com"]),
        ("json://h.example/p?-sig=a%2Bb%3D&+X-Key=KEY", ["a%2Bb%3D", "a+b=", "KEY"]),
    ],
)
def test_no_part_of_a_url_is_left(url: str, secrets: list[str]) -> None:
    for secret in secrets:
        said = f"failed to reach {secret} and {url}, with {secret.upper()}"
        left = blotted(said, url).lower()
        assert secret.lower() not in left
        assert left.startswith("failed to reach ***")


def test_a_reason_is_told_in_our_own_words() -> None:
    notes = Notes()
    notes.said = ["A Connection error occurred."]
    notes.below = ["Payload: it timed out", "POST to http://127.0.0.1:53535/"]
    assert notes.text() == "A Connection error occurred"
    notes.below += ["Socket Exception: url: /secret ([Errno 111] Connection refused)"]
    assert notes.text() == "A Connection error occurred: connection refused"
    notes.below = ["Socket Exception: (535, b'5.7.8 credentials invalid')"]
    assert notes.text() == "A Connection error occurred: the login was refused"


def test_slack_shows_what_was_said_and_nothing_else(outside: Outside) -> None:
    assert (
        outside.tell(WEBHOOK, f"Critical: {NASTY}", f"What: {NASTY}\nWhere: x") is None
    )
    (request,), (body,) = outside.posted, outside.bodies
    assert request.url == WEBHOOK
    (shown,) = body["attachments"]
    assert body["mrkdwn"] is False
    escaped = NASTY.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown["title"] == f"Critical: {escaped}"
    assert shown["text"] == f"What: {escaped}\nWhere: x"


def test_a_card_of_teams_shows_lines_and_no_markup(outside: Outside) -> None:
    lines = ["What: v2.1 cam_07", f"Note: {NASTY}"]
    assert outside.tell(TEAMS, f"Critical: {NASTY}", "\n".join(lines)) is None
    (request,), (body,) = outside.posted, outside.bodies
    assert str(request.url).startswith("https://prod-00.westeurope.logic.azure.com:443")
    assert "sig=abcDEF" in str(request.url)
    (card,) = (part["content"] for part in body["attachments"])
    title, text = (block["text"] for block in card["body"])
    assert text.split("\n\n")[0] == "What: v2\\.1 cam\\_07"
    assert "entities" not in card["msteams"], "nobody is called"
    for shown in (title, text):
        assert shown.count("\n") == shown.count("\n\n") * 2
        assert "\\[a\\]\\(https" in shown
        assert "\\*b\\*" in shown


def test_a_long_list_takes_no_longer_than_a_channel_may(outside: Outside) -> None:
    """20 alerts: Apprise would send Teams six parts, 5.5 s between them."""
    body = "\n".join(
        f"- New: cam-{i:02d} is not sure, {'long ' * 40}" for i in range(20)
    )
    for url, parts in ((WEBHOOK, 1), (TEAMS, 2), (SMS, 1)):
        outside.posted.clear()
        assert outside.tell(url, "plant: 20 alerts", body) is None
        assert len(outside.posted) == parts
    assert max(outside.pauses) <= 1
    assert "20+alerts" in str(outside.posted[0].body), "the beginning of it"


@pytest.mark.parametrize("url", [WEBHOOK, TEAMS, SMS])
def test_what_failed_is_told_without_the_url(outside: Outside, url: str) -> None:
    outside.status = 403
    refused = outside.tell(url, "t", "b")
    outside.down = True
    unreached = outside.tell(url, "t", "b")
    assert refused is not None
    assert "403" in refused
    assert unreached is not None
    assert unreached.endswith("connection refused")
    for said in (refused, unreached):
        for secret in ("C0ffee", "T0AAAAAAA", "abcDEF", "0123abcd", "t0ken", "example"):
            assert secret not in said


def test_it_stands_alone() -> None:
    """Run as a script, it finds no module of ours."""
    text = Path(apprise_post.__file__).read_text("utf-8")
    assert "import sql" not in text
    assert "from sql" not in text
    assert "from scheduler" not in text
