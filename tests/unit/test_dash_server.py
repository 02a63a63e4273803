"""The web process without its database: alive, strict, plain about what is wrong."""

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from dash_app.server import create_app

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a real server on a free port."""
    config = uvicorn.Config(
        create_app(NOWHERE), host="127.0.0.1", port=0, log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join()


def test_whichever_page_comes_first_has_its_scripts(client: httpx.Client) -> None:
    """First in this file: the process has answered no request for a page yet."""
    page = client.get("/models").text
    for asset in ("theme.css", "theme_models.css", "live.js", "page.js"):
        assert f"assets/{asset}" in page


def test_it_is_alive_and_not_ready(client: httpx.Client) -> None:
    assert client.get("/api/v1/health").json() == {"status": "ok"}
    answer = client.get("/api/v1/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "reason": "The database does not answer.",
    }


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1/nothing", "/api/v9/x/y"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_of_the_api_is_a_json_404(
    client: httpx.Client, method: str, path: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


def test_its_policy_lets_scripts_come_from_here_only(client: httpx.Client) -> None:
    answer = client.get("/")
    policy = dict(
        part.split(" ", 1)
        for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert "http" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_names_no_other_host(client: httpx.Client) -> None:
    head = client.get("/").text.split("</head>")[0]
    assert "//" not in head.replace("<!DOCTYPE", "")
    assert "swagger" not in client.get("/docs").text


def test_scripts_come_compressed_and_are_kept(client: httpx.Client) -> None:
    path = "/_dash-component-suites/plotly/package_data/plotly.min.js"
    first = client.get(path, headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert "plotly.js (cartesian" in first.text[:100]
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert plain.content == first.content
    assert "content-encoding" not in plain.headers
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_versioned_files_are_good_for_ever(client: httpx.Client) -> None:
    assert "immutable" in client.get("/assets/theme.css?m=1").headers["cache-control"]
    assert client.get("/assets/theme.css").headers["cache-control"] == "no-cache"
    assert client.get("/assets/nothing.css").status_code == 404


def test_a_page_of_another_host_may_not_listen(client: httpx.Client) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(channel(client), origin=Origin("http://elsewhere.example")).close()


def test_the_live_channel_says_that_the_database_is_gone(client: httpx.Client) -> None:
    with connect(channel(client)) as socket:
        assert json.loads(socket.recv(10)) == {"kind": "hello", "up": False}


def channel(client: httpx.Client) -> str:
    return str(client.base_url.copy_with(scheme="ws", path="/live"))


def test_the_page_says_so_too_and_goes_on(client: httpx.Client) -> None:
    """No stack trace, nothing of the DSN: what is on screen stays, under a banner."""
    wanted = "subtitle.children"
    answer = client.post(
        "/_dash-update-component",
        json=load_request(client, wanted),
    )
    assert answer.status_code == 200
    shown = answer.json()["response"]
    assert "does not answer" in str(shown["trouble"])
    assert shown["retry"] == {"disabled": False}
    assert wanted.split(".", maxsplit=1)[0] not in shown
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def load_request(client: httpx.Client, wanted: str) -> dict[str, object]:
    """What a browser posts to have the page loaded."""
    callbacks = client.get("/_dash-dependencies").json()
    load = next(c for c in callbacks if wanted in c["output"])
    outputs = [part.rsplit(".", 1) for part in load["output"].strip(".").split("...")]
    return {
        "output": load["output"],
        "outputs": [{"id": i, "property": p} for i, p in outputs],
        "inputs": [{**i, "value": None} for i in load["inputs"]],
        "changedPropIds": [],
    }
