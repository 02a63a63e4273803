"""URLs that Apprise takes, those it does not, and what is left of them in texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler import apprise_post
from scheduler.apprise_post import Notes, RefusedError, blotted, read_url, service_of

# Of a library below Apprise, when its plugins are loaded.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr'.*:DeprecationWarning")
WEBHOOK = (
    "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/C0ffeeC0ffeeC0ffeeC0ffee"
)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("mailto://u:p@mail.example?from=a@b.example&to=c@d.example", "E-Mail"),
        ("mailtos://u:p@mail.example:587?from=a@b.example&to=c@d.example", "E-Mail"),
        (WEBHOOK, "Slack"),
        (
            "https://prod-00.westeurope.logic.azure.com:443/workflows/0123abcd/triggers"
            "/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun"
            "&sv=1.0&sig=abcDEF",
            "Power Automate / Workflows (for MSTeams)",
        ),
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


def test_it_stands_alone() -> None:
    """Run as a script, it finds no module of ours."""
    text = Path(apprise_post.__file__).read_text("utf-8")
    assert "import sql" not in text
    assert "from sql" not in text
    assert "from scheduler" not in text
