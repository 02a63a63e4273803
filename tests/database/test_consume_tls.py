"""Brokers that speak TLS: with our authority messages come, without it nothing goes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import nats
import psycopg
import pytest
import redis
from nats.js import api

from etl.brokers.choose import opening
from etl.brokers.url import parse_url
from sql.errors import BrokerError, BrokerGone
from tests.support.brokers import (
    BROKERS,
    MOSQUITTO,
    Broker,
    folder_of,
    kafka_broker,
    program,
    running,
)
from tests.support.certificates import Certificates, make_certificates
from tests.support.consuming import consume, payloads, subscribe
from tests.support.database import one
from tests.support.late import led_to
from tests.support.mqtt import mqtt_publish
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.plain,
    pytest.mark.xdist_group("brokers"),
]
# Beside the listener that a test publishes to: one that wants a client's certificate.
MOSQUITTO_TLS = """
listener {secured} 127.0.0.1
cafile {tls}/ca.pem
certfile {tls}/server.pem
keyfile {tls}/server.key
require_certificate true
"""


@contextmanager
def secured_mqtt(tls: Certificates) -> Iterator[Broker]:
    port, secured = free_port(), free_port()
    with folder_of("mqtt") as folder:
        config = folder / "mosquitto.conf"
        said = MOSQUITTO.format(port=port, folder=folder)
        config.write_text(said + MOSQUITTO_TLS.format(secured=secured, tls=tls.folder))
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


SECURED: dict[str, Callable[[Certificates], AbstractContextManager[Broker]]] = {
    "nats": secured_nats,
    "mqtt": secured_mqtt,
    "redis": secured_redis,
}


@pytest.fixture(params=[*SECURED, "rabbitmq"])
def secured(
    request: pytest.FixtureRequest, certificates: Certificates
) -> Iterator[Broker]:
    """A broker that wants a certificate of its clients, and shows one."""
    if request.param == "rabbitmq":
        broker = request.getfixturevalue("rabbitmq")
        yield replace(broker, url=broker.secured)
        return
    with SECURED[request.param](certificates) as broker:
        yield broker


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_messages_come_where_both_sides_are_trusted(
    secured: Broker,
    certificates: Certificates,
    dsn: str,
    conn: psycopg.Connection,
    tmp_path: Path,
) -> None:
    subscribe(secured)
    secured.publish(payloads(20))
    consume(dsn, secured, lambda c: c.stored >= 20)
    assert one(conn, "select count(*) from floor.events") == 20
    stranger = make_certificates(tmp_path)
    trusts_another = secured.url.replace(
        certificates.path("ca.pem"), stranger.path("ca.pem")
    )
    shown_another = secured.url.replace(
        certificates.path("client"), stranger.path("client")
    )
    for url in (trusts_another, shown_another):
        with pytest.raises(BrokerError) as refused:
            consume(dsn, replace(secured, url=url), lambda _: False)
        assert not isinstance(refused.value, BrokerGone), refused.value
    gc.collect()


def test_a_kafka_behind_tls_is_met_where_it_is_trusted(
    certificates: Certificates, tmp_path: Path
) -> None:
    """The mock cluster speaks none: what does stands before it, and asks for ours."""
    between = free_port()
    stranger = make_certificates(tmp_path)

    def url(authority: Certificates) -> str:
        return (
            f"kafka://127.0.0.1:{between}/events?security.protocol=SSL"
            f"&ssl.ca.location={authority.path('ca.pem')}"
            f"&ssl.certificate.location={certificates.path('client.pem')}"
            f"&ssl.key.location={certificates.path('client.key')}"
        )

    async def met(port: int) -> None:
        serving = await asyncio.start_server(
            led_to(port), "127.0.0.1", between, ssl=certificates.server()
        )
        stream = await opening(parse_url(url(certificates)), None, "one", 10)()
        await stream.close([])
        with pytest.raises(BrokerError, match="agree on TLS") as refused:
            await opening(parse_url(url(stranger)), None, "one", 10)()
        assert not isinstance(refused.value, BrokerGone), refused.value
        serving.close()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)

    with kafka_broker() as broker:
        (_, port), *_ = parse_url(broker.url).hosts
        asyncio.run(met(port or 0))


# A URL's scheme in clear and over TLS.
_KAFKA = "security.protocol=SASL_SSL&sasl.mechanism=PLAIN"
OVER_TLS = {
    "nats": ("nats:", "nats+tls:"),
    "mqtt": ("mqtt:", "mqtts:"),
    "redis": ("redis:", "rediss:"),
    "rabbitmq": ("amqp:", "amqps:"),
    "kafka": ("/events", f"/events?{_KAFKA}"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", list(OVER_TLS))
def test_a_broker_that_speaks_no_tls_is_told_no_password(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Who stands between hears all that is said to it."""

    async def told(broker: Broker) -> bytearray:
        heard, between = bytearray(), free_port()
        address = parse_url(broker.url)
        (_, port), *_ = address.hosts
        url = broker.url.replace(*OVER_TLS[kind])
        url = url.replace("guest:guest@", "").replace(
            f"//127.0.0.1:{port}", f"//me:secret@127.0.0.1:{between}"
        )
        serving = await asyncio.start_server(
            led_to(port or 0, heard), "127.0.0.1", between
        )
        with pytest.raises(BrokerError, match="TLS") as refused:
            await opening(parse_url(url), None, "one", 10)()
        assert not isinstance(refused.value, BrokerGone), refused.value
        serving.close()
        # What leads there ends with both of its ends.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        return heard

    with ExitStack() as stack:
        if kind == "rabbitmq":
            broker = request.getfixturevalue("rabbitmq")
        else:
            broker = stack.enter_context(BROKERS[kind]())
        heard = asyncio.run(told(broker))
    assert heard or kind == "nats"
    assert b"secret" not in heard
    gc.collect()
