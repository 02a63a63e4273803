"""`floorpulse consume`: messages of a broker through the door, until it is stopped."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import Json, option
from commands.output import note, print_json
from commands.processes import LogLevel, begin
from commands.session import awaited_dsn

if TYPE_CHECKING:
    from etl.brokers.consume import Consumer
    from etl.brokers.watch import Watch

# While one thread computes, the others get their turn after so long: sockets wait.
_SWITCH_S = 0.0005
# Thousands of messages wait at any time: they are no garbage, and not looked through.
_GARBAGE = 50_000


def consume(
    url: Annotated[
        str,
        typer.Argument(
            help="nats://, mqtt://, kafka://, amqp:// or redis://, and what is read "
            "there, such as nats://host/STREAM: see docs/brokers.md.",
            envvar="FLOORPULSE_CONSUME_URL",
        ),
    ],
    site: Annotated[
        str | None, option("--site", "The site of events that name none.")
    ] = None,
    group: Annotated[
        str | None,
        option("--group", "Processes of one group share the messages [floorpulse]."),
    ] = None,
    name: Annotated[
        str | None,
        option("--name", "This process's own name, the same at every start [host]."),
    ] = None,
    batch: Annotated[
        int | None,
        option(
            "--batch",
            "Messages in one transaction, at most [NATS and MQTT 10000, others 5000].",
            min=1,
            max=20_000,
        ),
    ] = None,
    wait_ms: Annotated[
        int,
        option("--wait-ms", "How long a message waits for more.", min=0, max=10_000),
    ] = 50,
    log_level: LogLevel = "info",
    as_json: Json = False,
) -> None:
    """Consume messages of a broker until Ctrl-C; acknowledge what is durable.

    A message is one event, an array of events or NDJSON. What breaks a rule is parked.
    """
    import asyncio
    import socket

    begin(log_level)
    from etl.brokers.choose import label, most_of, opening, reading
    from etl.brokers.consume import Consumer, Settings
    from etl.brokers.url import parse_url
    from etl.brokers.watch import Watch

    address = parse_url(url)
    most = batch or most_of(address)
    read = reading(address, group)
    settings = Settings(most, wait_ms / 1000, site, read)
    dsn = awaited_dsn()
    steady()

    async def run() -> Consumer:
        connecting = opening(address, group, name, most, read)
        consumer = Consumer(dsn, connecting, label(address), settings)
        watch = Watch(dsn, consumer, label(address), name or socket.gethostname())
        await _watched(consumer, watch)
        return consumer

    note(f"Consuming {label(address)} from {address.place}; Ctrl-C ends it.")
    consumed = asdict(asyncio.run(run()).consumed)
    if as_json:
        print_json(consumed)
    else:
        _tell(consumed)


def steady() -> None:
    """What the interpreter needs to know of a process that reads without end."""
    import gc
    import sys

    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    gc.set_threshold(_GARBAGE, 10, 10)


async def _watched(consumer: Consumer, watch: Watch) -> None:
    """Run until a signal comes; what was taken is committed and acknowledged then."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, consumer.stop)
    telling = asyncio.create_task(watch.run())
    said: str | None = "ended without saying how"
    try:
        await consumer.run()
        said = None
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        await watch.end(said)


def _tell(consumed: dict[str, Any]) -> None:
    counts = {k: v for k, v in consumed.items() if isinstance(v, int)}
    note(", ".join(f"{value:,} {name}" for name, value in counts.items()))
