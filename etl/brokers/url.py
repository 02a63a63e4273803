"""URLs of brokers: which broker, where, as whom, and what is read there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from sql.errors import BadSetting

# Scheme to kind of broker, and whether it speaks TLS.
SCHEMES = {
    "nats": ("nats", False),
    "nats+tls": ("nats", True),
    "mqtt": ("mqtt", False),
    "mqtts": ("mqtt", True),
    "kafka": ("kafka", False),
    "amqp": ("rabbitmq", False),
    "amqps": ("rabbitmq", True),
    "redis": ("redis", False),
    "rediss": ("redis", True),
}
EXAMPLES = {
    "nats": "nats://host:4222/STREAM",
    "mqtt": "mqtt://host:1883/plant/+/events",
    "kafka": "kafka://host:9092/topic",
    "rabbitmq": "amqp://user:password@host:5672/vhost?queue=events",
    "redis": "redis://host:6379/0?stream=events",
}
# Options that each kind knows, the one that it needs first; those of Kafka with a dot
# are its client's own.
_OPTIONS = {
    "nats": ("credentials", "token"),
    "mqtt": ("format", "rebirth"),
    "kafka": (),
    "rabbitmq": ("queue",),
    "redis": ("stream",),
}
_NEEDY = ("rabbitmq", "redis")
# Options of TLS, beside these.
_TLS = ("ca", "cert", "key")


@dataclass(frozen=True)
class Address:
    """A URL, taken apart: path and options are decoded."""

    kind: str
    scheme: str
    secure: bool
    hosts: tuple[tuple[str, int | None], ...]
    user: str | None
    password: str | None
    path: str
    options: dict[str, str]

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        named = [f"{host}:{port}" if port else host for host, port in self.hosts]
        return f"{self.scheme}://{','.join(named)}"

    def given(self) -> dict[str, str]:
        """The options that are there, without those of TLS."""
        return {k: v for k, v in self.options.items() if k not in _TLS}

    def tls(self) -> ssl.SSLContext | None:
        """What TLS trusts and shows: ?ca=, ?cert= and ?key= are files."""
        if not self.secure:
            return None
        try:
            context = ssl.create_default_context(cafile=self.options.get("ca"))
            if "cert" in self.options:
                context.load_cert_chain(self.options["cert"], self.options.get("key"))
        except OSError as error:
            raise BadSetting(f"The certificates cannot be read: {error}") from error
        return context


def parse_url(url: str) -> Address:
    """Take a broker's URL apart. BadSetting says what is wrong with it."""
    # In MQTT topics # is a wildcard; a URL would end there.
    parts = urlsplit(url.strip().replace("#", "%23"))
    if parts.scheme not in SCHEMES:
        raise BadSetting(
            f"{parts.scheme or 'nothing'}:// is no broker that is known here: "
            + ", ".join(EXAMPLES.values())
        )
    kind, secure = SCHEMES[parts.scheme]
    account, _, places = parts.netloc.rpartition("@")
    user, separator, password = account.partition(":")
    path = unquote(parts.path.removeprefix("/"))
    address = Address(
        kind=kind,
        scheme=parts.scheme,
        secure=secure,
        hosts=tuple(_host(place) for place in places.split(",")),
        user=unquote(user) if account else None,
        password=unquote(password) if separator else None,
        path=path,
        options=dict(parse_qsl(parts.query, keep_blank_values=True)),
    )
    _require_whole(address)
    return address


def _require_whole(address: Address) -> None:
    """BadSetting for an option that nobody knows, and where nothing is to be read."""
    kind, known = address.kind, _OPTIONS[address.kind]
    wanted = sorted({*known, *(_TLS if address.secure else ())})
    for name in address.options:
        if name not in wanted and not (kind == "kafka" and "." in name):
            raise BadSetting(
                f"{address.scheme}:// knows no option {name!r}, only: "
                f"{', '.join(wanted) or 'none'}"
            )
    if kind in _NEEDY and not address.options.get(known[0]):
        raise BadSetting(f"The URL needs ?{known[0]}=, as in {EXAMPLES[kind]}")
    if not address.path and kind not in _NEEDY:
        raise BadSetting(f"The URL names nothing to read, as in {EXAMPLES[kind]}")
    if kind == "redis" and address.path and not address.path.isdigit():
        raise BadSetting(f"A database of Redis is a number, not {address.path!r}")


def _host(place: str) -> tuple[str, int | None]:
    # As urlsplit reads it: IPv6 in brackets, a port that is a number.
    parts = urlsplit(f"//{place}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadSetting(f"{place!r} has no port that can be") from error
    if not host:
        raise BadSetting("The URL names no host")
    return host, port
