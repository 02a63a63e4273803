"""Who is told of an export: a pipeline by its webhook, and MLflow."""

from __future__ import annotations

import base64
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scheduler import pipeline
from sql.connect import Connection
from sql.errors import BadSetting
from sql.model_health.retraining import move
from sql.model_health.training_set import Exported, Wish, export
from tests.support.cli import floorpulse
from tests.support.local_server import ROOT
from tests.support.training import approve

SECRET = "0123456789abcdef0123"  # noqa: S105 - the tests'


class Receiver:
    """A pipeline's end of the webhook; answers as it is told."""

    def __init__(self) -> None:
        self.status, self.wait_s, self.kill = 200, 0.0, 0
        self.calls: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(
                    ({k.lower(): v for k, v in self.headers.items()}, body)
                )
                time.sleep(receiver.wait_s)
                if receiver.kill:
                    os.kill(receiver.kill, signal.SIGKILL)
                    return
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("Location", receiver.url)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=hidden"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def exported(dsn: str, conn: Connection, tmp_path: Path) -> Exported:
    approve(dsn, conn)
    return export(conn, 1, Wish(tmp_path), "Ann")


def to(receiver: Receiver) -> pipeline.Targets:
    return pipeline.Targets(receiver.url, SECRET.encode())


def calls(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select call_state, attempts, answer, last_error"
        " from analytics.retraining_calls where target = 'webhook' order by export_id"
    ).fetchall()


def due(conn: Connection) -> None:
    conn.execute("update ops.retraining_calls set next_at = now() - interval '1 s'")


@pytest.mark.plain
@pytest.mark.usefixtures("exported")
def test_the_webhook_is_signed_and_tried_until_it_works(
    conn: Connection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "TIMEOUT_S", 0.2)
    trouble = [(500, 0.0, "500"), (302, 0.0, "302"), (200, 0.6, "timed out")]
    for number, (status, wait_s, words) in enumerate(trouble, 1):
        receiver.status, receiver.wait_s = status, wait_s
        told = pipeline.deliver(conn, to(receiver))
        assert (told.delivered, len(told.failed)) == (0, 1)
        assert pipeline.deliver(conn, to(receiver)).failed == [], "not due yet"
        ((state, attempts, _, error),) = calls(conn)
        assert (state, attempts) == ("pending", number)
        assert words in error
        assert "hidden" not in error
        assert SECRET not in error
        due(conn)
    gone = pipeline.Targets("http://127.0.0.1:9/", SECRET.encode())
    assert "refused" in pipeline.deliver(conn, gone, request=1).failed[0]
    receiver.status, receiver.wait_s = 200, 0.0
    assert pipeline.deliver(conn, to(receiver), request=1).delivered == 1
    assert calls(conn) == [("delivered", 5, "200", None)]
    assert pipeline.deliver(conn, to(receiver), request=1) == pipeline.Told()
    assert len({headers["webhook-id"] for headers, _ in receiver.calls}) == 1
    headers, body = receiver.calls[-1]
    said = json.loads(body)
    assert (said["request_id"], said["model_version"]) == (1, "v1")
    assert said["manifest"]["counts"]["events"] > 0
    at_s = headers["webhook-timestamp"]
    assert abs(time.time() - int(at_s)) < 60
    signed = f"{headers['webhook-id']}.{at_s}.".encode() + body
    digest = hmac.digest(SECRET.encode(), signed, "sha256")
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.plain
@pytest.mark.usefixtures("exported")
def test_killed_between_the_call_and_its_note(
    dsn: str, conn: Connection, receiver: Receiver
) -> None:
    code = (
        "import sys; from sql.connect import connect;"
        "from scheduler.pipeline import Targets, deliver;"
        "sys.stdin.readline();"
        "deliver(connect(sys.argv[1]), Targets(sys.argv[2], sys.argv[3].encode()))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, dsn, receiver.url, SECRET],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
    )
    receiver.kill = process.pid
    process.communicate(b"\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    receiver.kill = 0
    assert [state for state, *_ in calls(conn)] == ["pending"]
    due(conn)
    assert pipeline.deliver(conn, to(receiver)).delivered == 1
    first, second = (headers["webhook-id"] for headers, _ in receiver.calls)
    assert first == second


@pytest.mark.plain
def test_only_what_still_matters_is_told(
    conn: Connection, exported: Exported, receiver: Receiver
) -> None:
    export(conn, 1, Wish(exported.folder.parent), "Ann")
    assert [state for state, *_ in calls(conn)] == ["dropped", "pending"]
    move(conn, 1, "rejected", "Ann")
    assert pipeline.deliver(conn, to(receiver)) == pipeline.Told()
    assert receiver.calls == []
    conn.execute("update ops.retraining_requests set state = 'exported'")
    conn.execute("update ops.retraining_calls set attempts = 11")
    receiver.status = 503
    pipeline.deliver(conn, to(receiver))
    assert [state for state, *_ in calls(conn)] == ["dropped", "given up"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"": "ftp://x"}, "no http"),
        ({"": "http://[::1"}, "no http"),
        ({"": "http://me:pass@x/"}, "names a user"),
        ({"": "http://x/"}, "signed"),
        ({"": "http://x/", "SECRET": "a" * 20, "SECRET_FILE": "f"}, "signed"),
        ({"": "http://x/", "SECRET": "short"}, "shorter than 16"),
        ({"": "http://x/", "SECRET": "whsec_!!"}, "no base64"),
        ({"": "http://x/", "SECRET_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_webhook_that_is_set_wrongly(environ: dict[str, str], words: str) -> None:
    said = {f"FLOORPULSE_RETRAINING_{k or 'WEBHOOK'}": v for k, v in environ.items()}
    with pytest.raises(BadSetting, match=words) as raised:
        pipeline.targets(said)
    assert "pass" not in raised.value.message
    assert "short" not in raised.value.message.replace("shorter", "")


def test_secrets_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    said = {pipeline.URL: "https://x/", pipeline.SECRET_FILE: str(path)}
    assert pipeline.targets(said).secret == SECRET.encode()
    assert SECRET not in repr(pipeline.targets(said))
    coded = "whsec_" + base64.b64encode(SECRET.encode()).decode()
    said = {pipeline.URL: "https://x/", pipeline.SECRET: coded}
    assert pipeline.targets(said).secret == SECRET.encode()


@pytest.mark.plain
def test_an_export_stands_though_nobody_can_be_told(
    dsn: str, conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(dsn, conn)
    monkeypatch.setenv(pipeline.URL, "http://127.0.0.1:9/")
    result = floorpulse(dsn, "retraining", "export", "1", "--output", str(tmp_path))
    assert "Not told yet: FLOORPULSE_RETRAINING_WEBHOOK wants" in result.stderr
    monkeypatch.setenv(pipeline.SECRET, SECRET)
    result = floorpulse(dsn, "retraining", "send", "1", exit_code=1)
    assert "cannot be reached" in result.stderr
    monkeypatch.delenv(pipeline.URL)
    assert "Nobody to tell" in floorpulse(dsn, "retraining", "send").stderr


@pytest.mark.plain
def test_mlflow_gets_one_run_with_the_evidence(
    conn: Connection,
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "runs").as_uri()
    tracked = pipeline.Targets(tracking_uri=uri)
    told = pipeline.deliver(conn, tracked)
    assert (told.delivered, told.failed) == (1, [])
    conn.execute("update ops.retraining_calls set delivered_at = null")
    assert pipeline.deliver(conn, tracked, request=1).delivered == 1
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("floorpulse-plant")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["manifest_sha256"] == exported.sha256
    assert run.data.metrics["events"] == exported.manifest["counts"]["events"]
    assert run.data.metrics["accuracy_accuracy"] == 0
    path = client.download_artifacts(run.info.run_id, "evidence.json", str(tmp_path))
    assert json.loads(Path(path).read_text())["accuracy"]["validated"] > 0


@pytest.mark.plain
@pytest.mark.usefixtures("exported")
def test_without_mlflow_it_says_how_to_install_it(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    told = pipeline.deliver(conn, pipeline.Targets(tracking_uri="file:///nowhere"))
    assert "pip install mlflow-skinny" in told.failed[0]
