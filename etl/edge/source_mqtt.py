"""Messages of a local MQTT broker: acknowledged by hand, once they are on disk.

With paho's own acknowledgement, messages are lost when the agent is killed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from etl.edge.clock import now
from etl.edge.errors import EdgeError, WrongUse
from etl.edge.intake import Stopped
from etl.edge.lines import Chunk, lines_of
from etl.edge.source import Deliver
from etl.edge.stop import Stop

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger(__name__)

PASSWORD = "FLOORPULSE_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Broker:
    """One subscription with a session that the broker keeps while we are away."""

    # A broker's queue is bounded too, and drops without asking what.
    keeps = False

    def __init__(self, url: str, client_id: str) -> None:
        address, topic, parts = _parts(url)
        self.name = f"mqtt {address} {topic}"
        self._topic, self._parts = topic, parts
        self._connections = 0
        self._client = self._made(client_id)

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """See Source."""

        def message(client: Client, _: Any, message: Any) -> None:
            chunk = Chunk(
                lines_of(message.payload),
                now(),
                durable=self._acknowledges(client, message.mid, message.qos),
            )
            try:
                deliver(chunk)
            except Stopped:
                log.debug("a message is left to the broker")

        self._client.on_message = message
        port = self._parts.port or _PORTS[self._parts.scheme]
        self._client.connect_async(self._parts.hostname or "localhost", port)
        self._client.loop_start()
        stop.wait()

    def close(self) -> None:
        """See Source."""
        self._client.disconnect()
        self._client.loop_stop()

    def _made(self, client_id: str) -> Client:
        try:
            from paho.mqtt.client import Client  # noqa: PLC0415
            from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
        except ImportError as error:
            raise EdgeError(
                "Reading a broker takes paho-mqtt 2.0 or newer: pip install paho-mqtt"
            ) from error
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            manual_ack=True,
        )
        if self._parts.username:
            password = self._parts.password or os.environ.get(PASSWORD, "")
            client.username_pw_set(unquote(self._parts.username), unquote(password))
        if self._parts.scheme == "mqtts":
            client.tls_set()
        client.reconnect_delay_set(1, 60)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        return client

    def _acknowledges(self, client: Client, mid: int, qos: int) -> Callable[[], None]:
        connection = self._connections

        def durable() -> None:
            # Sent again over a new connection, it is acknowledged there.
            if qos and connection == self._connections:
                client.ack(mid, qos)

        return durable

    def _connected(
        self, client: Client, _: Any, flags: Any, reason: Any, __: Any
    ) -> None:
        if reason.is_failure:
            log.warning("%s: refused: %s; trying again", self.name, reason)
            return
        if self._connections and not flags.session_present:
            log.warning("%s: the broker has forgotten our session", self.name)
        self._connections += 1
        client.subscribe(self._topic, qos=1)

    def _subscribed(self, _: Any, __: Any, ___: Any, reasons: Any, ____: Any) -> None:
        """Only from now on does the broker keep for us what is published."""
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            log.error("%s: may not be read: %s", self.name, refused[0])
        else:
            log.info("%s: connected", self.name)

    def _disconnected(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            log.warning("%s: connection lost: %s; trying again", self.name, reason)


def _parts(url: str) -> tuple[str, str, Any]:
    """Address, topic filter and the rest of mqtt://[user:password@]host[:port]/topic."""
    scheme, _, rest = url.partition("://")
    authority, _, topic = rest.partition("/")
    parts = urlsplit(f"{scheme}://{authority}")
    if scheme not in _PORTS or not parts.hostname or not topic:
        raise WrongUse(
            f"{url!r} is no mqtt://host/topic, such as mqtt://localhost/floor/#"
        )
    try:
        port = parts.port or _PORTS[scheme]
    except ValueError as error:
        raise WrongUse(f"{url!r} has no port that can be") from error
    return f"{parts.hostname}:{port}", unquote(topic), parts
