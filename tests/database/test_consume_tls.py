"""Brokers that speak TLS: with our authority messages come, without it nothing goes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nats
import psycopg
import pytest
import redis
from nats.js import api

from sql.errors import BrokerError
from tests.database.test_consume import consume, one, payloads, subscribe
from tests.support.brokers import (
    MOSQUITTO,
    Broker,
    folder_of,
    nats_broker,
    program,
    running,
)
from tests.support.certificates import Certificates, make_certificates
from tests.support.mqtt import mqtt_publish
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.plain,
    pytest.mark.xdist_group("brokers"),
]
# Beside the listener that a test publishes to: one that wants a client's certificate.
SECURED = """
listener {secured} 127.0.0.1
cafile {tls}/ca.pem
certfile {tls}/server.pem
keyfile {tls}/server.key
require_certificate true
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@contextmanager
def secured_mqtt(tls: Certificates) -> Iterator[Broker]:
    port, secured = free_port(), free_port()
    with folder_of("mqtt") as folder:
        config = folder / "mosquitto.conf"
        said = MOSQUITTO.format(port=port, folder=folder)
        config.write_text(said + SECURED.format(secured=secured, tls=tls.folder))
        with running([program("mqtt"), "-c", str(config)], secured, folder):
            url = f"mqtts://127.0.0.1:{secured}/floor/#?{tls.query()}"
            yield Broker("mqtt", url, lambda sent: mqtt_publish(port, sent))


@contextmanager
def secured_redis(tls: Certificates) -> Iterator[Broker]:
    port, secured = free_port(), free_port()
    with folder_of("redis") as folder:
        command = [program("redis"), "--bind", "127.0.0.1", "--port", str(port)]
        command += ["--tls-port", str(secured), "--dir", str(folder)]
        for option, name in (("ca-cert", "ca.pem"), ("cert", "server.pem")):
            command += [f"--tls-{option}-file", tls.path(name)]
        command += ["--tls-key-file", tls.path("server.key")]
        with running(command, secured, folder):

            def send(sent: object) -> None:
                with redis.Redis(port=port) as client:
                    for payload in sent:  # type: ignore[attr-defined]
                        client.xadd("events", {"event": payload})

            url = f"rediss://127.0.0.1:{secured}/0?stream=events&{tls.query()}"
            yield Broker("redis", url, send)


@contextmanager
def secured_nats(tls: Certificates) -> Iterator[Broker]:
    port = free_port()
    with folder_of("nats") as folder:
        command = [program("nats"), "-a", "127.0.0.1", "-p", str(port), "-js"]
        command += ["-sd", str(folder), "--tlsverify"]
        for option, name in (
            ("tlscacert", "ca.pem"),
            ("tlscert", "server.pem"),
            ("tlskey", "server.key"),
        ):
            command += [f"--{option}", tls.path(name)]
        with running(command, port, folder):

            async def publish(sent: list[bytes]) -> None:
                place = f"nats://127.0.0.1:{port}"
                client = await nats.connect(place, tls=tls.client())
                stream = client.jetstream()
                config = api.StreamConfig(name="EVENTS", subjects=["floor.>"])
                await stream.add_stream(config)
                for payload in sent:
                    await stream.publish("floor.line", payload)
                await client.close()

            url = f"nats+tls://127.0.0.1:{port}/EVENTS?{tls.query()}"
            yield Broker("nats", url, lambda sent: asyncio.run(publish(list(sent))))


Securing = Callable[[Certificates], AbstractContextManager[Broker]]


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("secured", [secured_nats, secured_mqtt, secured_redis])
def test_messages_come_where_both_sides_are_trusted(
    secured: Securing,
    certificates: Certificates,
    dsn: str,
    conn: psycopg.Connection,
    tmp_path: Path,
) -> None:
    with secured(certificates) as broker:
        subscribe(broker)
        broker.publish(payloads(20))
        consume(dsn, broker, lambda c: c.stored >= 20)
        assert one(conn, "select count(*) from floor.events") == 20
        stranger = make_certificates(tmp_path)
        trusts_another = broker.url.replace(
            certificates.path("ca.pem"), stranger.path("ca.pem")
        )
        shown_another = broker.url.replace(
            certificates.path("client"), stranger.path("client")
        )
        for url in (trusts_another, shown_another):
            with pytest.raises(BrokerError):
                consume(dsn, Broker(broker.kind, url, broker.publish), lambda _: False)
        gc.collect()


def test_a_nats_that_speaks_no_tls_is_told_no_password(dsn: str) -> None:
    """Its client would go on in clear: who stands between could have it so."""
    with nats_broker() as broker:
        url = broker.url.replace("nats://", "nats+tls://me:secret@")
        with pytest.raises(BrokerError, match="speaks no TLS"):
            consume(dsn, Broker("nats", url, broker.publish), lambda _: False)
