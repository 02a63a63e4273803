"""`floorpulse serve`, `schedule` and `simulate`: one process each."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import option
from commands.output import note
from commands.session import awaited_dsn, ready_dsn

if TYPE_CHECKING:
    from etl.simulation.simulator import Told

Host = Annotated[str, option("--host", "Address to listen on.")]
Port = Annotated[int, option("--port", "Port to listen on.", min=0, max=65535)]
LogLevel = Annotated[
    str, option("--log-level", "What is logged: debug, info, warning or error.")
]
# Browsers keep their live channel open: they are told to go and come back.
SHUTDOWN_S = 5
MOST_FILES = 65_536


def begin(log_level: str) -> None:
    """What every long-running command does first."""
    from commands import lifeline, logs

    if log_level not in logs.LEVELS:
        raise typer.BadParameter(f"--log-level is one of {', '.join(logs.LEVELS)}")
    logs.configure(log_level)
    lifeline.watch()


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; a sentence where the port is taken."""
    from sql.errors import InputError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise InputError(
            f"Cannot listen on {host}:{port}: {error.strerror}; choose another address "
            "with --host and --port"
        ) from error
    return bound


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8050,
    log_level: LogLevel = "info",
    api_only: Annotated[
        bool, option("--api-only", "The API alone, without the dashboard.")
    ] = False,
) -> None:
    """Serve the dashboard and the API, until Ctrl-C."""
    begin(log_level)
    bound = listening(host, port)
    _allow_connections()
    # Batches of requests are small: handing their columns to threads cost more than
    # the columns. Requests have threads of their own.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import uvicorn

    from etl.http.protocol import WatchfulProtocol

    if api_only:
        from etl.http.app import create_app
    else:
        from dash_app.server import create_app

    app = create_app(_served_dsn())
    # Modules are no garbage: looking through them stopped every answer for 60 ms.
    gc.freeze()
    config = uvicorn.Config(
        app,
        http=WatchfulProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    note(f"http://{host}:{bound.getsockname()[1]}")
    # uvicorn ends well on both, and then raises them again for whoever was before it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[bound])


def _served_dsn() -> str:
    """The ready database; one that does not answer yet is what /ready tells of."""
    from sql.connect import resolve_dsn
    from sql.errors import NoDatabase

    try:
        return ready_dsn()
    except NoDatabase as error:
        note(f"{error.message}. Answering 503 until it is there.")
        return resolve_dsn()


def _allow_connections() -> None:
    """As many open files as the system allows: whoever idles takes one for a while."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def schedule(log_level: LogLevel = "info") -> None:
    """Run the scheduler, until Ctrl-C; a second one stands by."""
    begin(log_level)
    from scheduler.service import serve as run

    run(awaited_dsn())


def simulate(
    site: Annotated[str, option("--site", "The site to simulate.")] = "demo",
    workers: Annotated[int, option("--workers", "How many workers.")] = 6,
    stations: Annotated[int, option("--stations", "How many workstations.")] = 6,
    hours: Annotated[float, option("--hours", "Hours of history before now.")] = 48.0,
    seed: Annotated[int, option("--seed", "The same seed, the same plant.")] = 1,
    timezone: Annotated[
        str, option("--timezone", "IANA time zone; auto: where people are at work now.")
    ] = "auto",
    speed: Annotated[
        float, option("--speed", "Tell the history at so many times real time.")
    ] = 1.0,
    duplicates: Annotated[
        float, option("--duplicates", "Share of events that are sent twice.")
    ] = 0.0,
    late: Annotated[float, option("--late", "Share of events that come late.")] = 0.0,
    shuffle: Annotated[bool, option("--shuffle", "Send them out of order.")] = False,
    edge_offline: Annotated[
        bool,
        option(
            "--edge-offline", "An edge is offline for two hours, then sends it all."
        ),
    ] = False,
    silent_camera: Annotated[
        int | None, option("--silent-camera", "Number of a camera that goes silent.")
    ] = None,
    lighting_change: Annotated[
        bool,
        option("--lighting-change", "Confidence falls to 0.82 from day 11 on."),
    ] = False,
    no_live: Annotated[
        bool, option("--no-live", "End when the history is told.")
    ] = False,
    output: Annotated[
        str | None,
        option("--output", "Write the history to a file (.csv or .ndjson) instead."),
    ] = None,
    log_level: LogLevel = "warning",
) -> None:
    """Simulate a plant: history, then live, until Ctrl-C."""
    begin(log_level)
    from etl.simulation.options import LIGHTING_CHANGE, SimulatorOptions

    options = SimulatorOptions(
        site=site,
        workers=workers,
        stations=stations,
        hours=hours,
        seed=seed,
        timezone=timezone,
        speed=speed,
        duplicates=duplicates,
        late=late,
        shuffle=shuffle,
        edge_offline=edge_offline,
        silent_camera=silent_camera,
        changes=(LIGHTING_CHANGE,) if lighting_change else (),
    )
    if output is not None:
        _write(options, output)
    else:
        _tell(options, live=not no_live)


def _write(options: Any, output: str) -> None:
    from datetime import UTC, datetime

    from etl.simulation.stream import simulate as stream
    from etl.simulation.stream import write

    events = write(stream(options, datetime.now(UTC)), output)
    note(f"{events} events written to {output}.")


def _tell(options: Any, *, live: bool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from etl.simulation.simulator import run

    dsn = ready_dsn()
    stop, caught_up = threading.Event(), threading.Event()

    def progress(told: Told) -> None:
        if told.caught_up and not caught_up.is_set():
            caught_up.set()
            note(f"{told.events} events of history are told; now live.")
            if live:
                _judge(dsn, options.site)
            else:
                stop.set()

    # Not in this thread: a signal that comes while it waits for an event could find the
    # event's lock held.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, dsn, options, stop, progress)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        running.result()


def _judge(dsn: str, site: str) -> None:
    """Check the models at once, for who looks before the scheduler's next quarter."""
    from scheduler.refresh import refresh_site
    from sql.connect import connect
    from sql.model_health.drift import check_drift

    refresh_site(dsn, site)
    with connect(dsn) as conn:
        check_drift(conn, site)
