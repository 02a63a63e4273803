"""Real brokers for the tests, on loopback ports of their own, ended by their pids.

Kafka has no server here: librdkafka's mock cluster speaks its protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aio_pika
import confluent_kafka
import nats
import pytest
import redis
from nats.js import api

import cli
from tests.support.certificates import Certificates
from tests.support.local_server import ROOT, wait_until
from tests.support.mqtt import mqtt_publish
from tests.support.ports import free_port

DEBIAN = {
    "nats": ("nats-server", "nats-server"),
    "mqtt": ("mosquitto", "mosquitto"),
    "redis": ("redis-server", "redis-server"),
    "rabbitmq": ("rabbitmq-server", "rabbitmq-server"),
}
# Without these, Mosquitto forgets or drops what it has said is safe: docs/brokers.md.
MOSQUITTO = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes false
max_queued_messages 0
max_inflight_messages 0
user root
"""


@dataclass
class Broker:
    """A broker that answers: where to read, and how to publish."""

    kind: str
    url: str
    publish: Callable[[Sequence[bytes]], None]
    stop: Callable[[], None] = field(default=lambda: None)
    start: Callable[[], None] = field(default=lambda: None)
    # The same over TLS, where a client's certificate is wanted.
    secured: str = ""


def program(kind: str) -> str:
    """The server's program; the test is skipped, and says why, where there is none."""
    name, package = DEBIAN[kind]
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"BROKER NOT FOUND: {kind} (apt-get install {package})")
    return found


@contextmanager
def folder_of(kind: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"fp-{kind}-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Server:
    """A process that listens on a port, and can be ended and begun again."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self._command, self._port, self._log = command, port, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until(self._answers, 60)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False


@contextmanager
def running(command: Sequence[str], port: int, folder: Path) -> Iterator[Server]:
    server = Server(command, port, folder / "log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def nats_broker(settings: str = "") -> Iterator[Broker]:
    """JetStream with one stream of all subjects below `floor`."""
    port = free_port()
    with folder_of("nats") as folder:
        config = folder / "nats.conf"
        config.write_text(settings)
        options = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
        options += ["-c", str(config)]
        with running([program("nats"), *options], port, folder) as server:
            place = f"nats://127.0.0.1:{port}"

            async def publish(payloads: Sequence[bytes]) -> None:
                client = await nats.connect(place)
                jetstream = client.jetstream()
                with contextlib.suppress(nats.js.errors.BadRequestError):
                    config = api.StreamConfig(name="EVENTS", subjects=["floor.>"])
                    await jetstream.add_stream(config)
                for start in range(0, len(payloads), 1000):
                    await asyncio.gather(
                        *[
                            await jetstream.publish_async("floor.line", payload)
                            for payload in payloads[start : start + 1000]
                        ]
                    )
                await client.close()

            def send(payloads: Sequence[bytes]) -> None:
                asyncio.run(publish(payloads))

            send([])
            url = f"{place}/EVENTS"
            yield Broker("nats", url, send, server.stop, server.start)


@contextmanager
def mqtt_broker(settings: str = MOSQUITTO) -> Iterator[Broker]:
    """Mosquitto with the settings that the docs ask for."""
    port = free_port()
    with folder_of("mqtt") as folder:
        config = folder / "mosquitto.conf"
        config.write_text(settings.format(port=port, folder=folder))
        command = [program("mqtt"), "-c", str(config)]
        with running(command, port, folder) as server:

            def send(payloads: Sequence[bytes]) -> None:
                mqtt_publish(port, payloads)

            url = f"mqtt://127.0.0.1:{port}/floor/#"
            yield Broker("mqtt", url, send, server.stop, server.start)


@contextmanager
def redis_broker() -> Iterator[Broker]:
    port = free_port()
    with folder_of("redis") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with running([program("redis"), *options, *durable], port, folder) as server:

            def send(payloads: Sequence[bytes]) -> None:
                client = redis.Redis(port=port)
                pipe = client.pipeline(transaction=False)
                for payload in payloads:
                    pipe.xadd("events", {"event": payload})
                pipe.execute()
                client.close()

            url = f"redis://127.0.0.1:{port}/0?stream=events"
            yield Broker("redis", url, send, server.stop, server.start)


@contextmanager
def kafka_broker() -> Iterator[Broker]:
    """A mock cluster inside a producer of this process: it keeps nothing safe."""
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1})
    place = next(iter(producer.list_topics(timeout=10).brokers.values()))
    producer.list_topics("events", timeout=10)

    def send(payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            while True:
                try:
                    producer.produce("events", payload)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert producer.flush(30) == 0

    yield Broker("kafka", f"kafka://{place.host}:{place.port}/events", send)


# Beside the listener for everybody.
RABBITMQ_TLS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {tls.folder}/ca.pem
ssl_options.certfile = {tls.folder}/server.pem
ssl_options.keyfile = {tls.folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""


@contextmanager
def rabbitmq_broker(tls: Certificates | None = None) -> Iterator[Broker]:
    """RabbitMQ as root in a folder of its own; it takes some seconds to start."""
    port, dist, names, secured = free_port(), free_port(), free_port(), free_port()
    with folder_of("rabbitmq") as folder:
        settings = {
            "RABBITMQ_NODENAME": f"fp{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Else it is not to be ended while it takes the killed node for alive.
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",
            "HOME": str(folder),
        }
        (folder / "plugins").write_text("[].\n")
        said = "" if tls is None else RABBITMQ_TLS.format(port=secured, tls=tls)
        (folder / "rabbitmq.conf").write_text(said)
        with rabbitmq_process(settings, port, folder):

            async def publish_all(payloads: Sequence[bytes]) -> None:
                place = f"amqp://guest:guest@127.0.0.1:{port}/"
                connection = await aio_pika.connect(place)
                channel = await connection.channel()
                await channel.declare_queue(
                    "events", durable=True, arguments={"x-queue-type": "quorum"}
                )
                publish = partial(
                    channel.default_exchange.publish, routing_key="events"
                )
                messages = [
                    aio_pika.Message(each, delivery_mode=2) for each in payloads
                ]
                for start in range(0, len(messages), 500):
                    part = messages[start : start + 500]
                    await asyncio.gather(*[publish(message) for message in part])
                await connection.close()

            def send(payloads: Sequence[bytes]) -> None:
                asyncio.run(publish_all(payloads))

            place = "guest:guest@127.0.0.1:{}/%2F?queue=events".format
            over_tls = f"amqps://{place(secured)}&{tls.query()}" if tls else ""
            url = f"amqp://{place(port)}"
            yield Broker("rabbitmq", url, send, secured=over_tls)


@contextmanager
def rabbitmq_process(
    settings: dict[str, str], port: int, folder: Path
) -> Iterator[None]:
    """The script's process group: Erlang, and the port mapper that it leaves behind."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [rabbitmq_program()],
            stdout=log,
            stderr=log,
            env=os.environ | settings,
            start_new_session=True,
        )
    before = time.monotonic()
    try:
        while not _speaks_amqp(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < before + 120, (folder / "log").read_text()
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        names = ["epmd", "-port", settings["ERL_EPMD_PORT"], "-kill"]
        subprocess.run(names, check=False, capture_output=True)


def rabbitmq_program() -> str:
    """Not Debian's own script, which steps down from root to an account of its own."""
    program("rabbitmq")
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"))
    if not found:
        pytest.skip("BROKER NOT FOUND: rabbitmq (its sbin/rabbitmq-server)")
    return str(found[-1])


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False


BROKERS: dict[str, Callable[[], AbstractContextManager[Broker]]] = {
    "nats": nats_broker,
    "mqtt": mqtt_broker,
    "redis": redis_broker,
    "kafka": kafka_broker,
    "rabbitmq": rabbitmq_broker,
}


@contextmanager
def consuming(dsn: str, url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`floorpulse consume` in a process of its own, that may be killed."""
    process = subprocess.Popen(
        [sys.executable, cli.__file__, "consume", url, *options],
        cwd=ROOT,
        env=os.environ | {"FLOORPULSE_DSN": dsn, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
