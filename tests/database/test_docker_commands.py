"""Every command of the image and the compose file, run for real outside a container.

What a container would change is changed back: the address of the web server, and the
paths of the scripts that the image copies.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sql.connect import connect
from tests.support.database import one
from tests.support.local_server import wait_until
from tests.support.ports import free_port
from tests.unit.test_docker import ROOT, last, services

pytestmark = pytest.mark.parametrize("engine", ["community"], indirect=True)
SCRIPTS = "/opt/floorpulse/docker"
FLOORPULSE = Path(sys.executable).parent / "floorpulse"


def outside(command: list[str], port: int) -> list[str]:
    """A command of the image as it is run here."""
    here = {
        "floorpulse": str(FLOORPULSE),
        "python": sys.executable,
        "0.0.0.0": "127.0.0.1",  # noqa: S104
        "8050": str(port),
    }
    return [
        here.get(part, part.replace(SCRIPTS, str(ROOT / "docker"))) for part in command
    ]


def of_service(name: str) -> list[str]:
    """Entry point and command of a service."""
    return [*json.loads(last("ENTRYPOINT")), *services()[name]["command"]]


def health_of(name: str) -> list[str]:
    kind, *command = services()[name]["healthcheck"]["test"]
    assert kind == "CMD"
    return list(command)


def settings(dsn: str, port: int) -> dict[str, str]:
    return os.environ | {"FLOORPULSE_DSN": dsn, "FLOORPULSE_PORT": str(port)}


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A service; SIGTERM must end it well, as `docker stop` does."""
    process = subprocess.Popen(command, env=env, text=True, stderr=subprocess.DEVNULL)
    try:
        yield process
        process.terminate()
        assert process.wait(timeout=10) in (0, -15)
    finally:
        process.kill()
        process.wait()


def well(command: list[str], env: dict[str, str]) -> bool:
    run = subprocess.run(command, env=env, capture_output=True, check=False)
    return run.returncode == 0


def test_the_services_of_the_compose_file(fresh_dsn: str, port: int) -> None:
    env = settings(fresh_dsn, port)
    web_health = outside(health_of("web"), port)
    scheduler_health = outside(health_of("scheduler"), port)
    assert not well(web_health, env)
    subprocess.run(outside(of_service("migrate"), port), env=env, check=True)
    assert not well(scheduler_health, env)
    with ExitStack() as stack:
        for name in ("scheduler", "scheduler", "web", "simulate"):
            command = outside(of_service(name), port)
            stack.enter_context(running(command, env))
        wait_until(lambda: well(web_health, env), pause_s=0.2)
        wait_until(lambda: well(scheduler_health, env), pause_s=0.2)
        with connect(fresh_dsn) as conn:
            wait_until(
                lambda: one(conn, "select count(*) from analytics.worker_hourly")
            )


def test_the_image_alone_serves(dsn: str, port: int) -> None:
    image = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    health = json.loads(last("HEALTHCHECK").split("CMD", 1)[1])
    env = settings(dsn, port)
    with running(outside(image, port), env):
        wait_until(lambda: well(outside(health, port), env), pause_s=0.2)
