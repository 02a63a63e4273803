"""Sources by their names on the command line."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from etl.edge.errors import EdgeError, WrongUse
from etl.edge.source import Listener, SerialLine, Source, Stdin
from etl.edge.source_folder import Folder
from etl.edge.source_mqtt import Broker
from etl.edge.spool import Spool

log = logging.getLogger(__name__)

HELP = (
    "-: lines of stdin. A folder: its .ndjson and .jsonl files, as they grow. "
    "tcp://127.0.0.1:7070 or unix:///run/edge.sock: lines of whoever connects (?acks=1 "
    "tells him how many are safe). serial:///dev/ttyUSB0?baud=115200: lines of a "
    "device. mqtt://localhost/topic/#: messages of a broker"
)


def open_sources(names: Sequence[str], spool: Spool, look_s: float) -> list[Source]:
    """All of them; WrongUse where one cannot be.

    look_s: how often is looked for what has come: in a folder, a device.
    """
    return [_source(name, spool, look_s) for name in dict.fromkeys(names)]


def _source(name: str, spool: Spool, look_s: float) -> Source:
    if name == "-":
        return Stdin()
    scheme, found, _ = name.partition("://")
    if not found:
        path = Path(name).absolute()
        if not path.is_dir():
            raise WrongUse(f"{name!r} is no folder. A source is one of: {HELP}.")
        return Folder(path, spool, look_s)
    if scheme in ("mqtt", "mqtts"):
        return Broker(name, f"floorpulse-edge-{spool.identity()}")
    if scheme == "serial":
        return _serial(name, look_s)
    makers = {"tcp": _tcp, "unix": _unix}
    if scheme not in makers:
        raise WrongUse(f"{name!r} is no source that is known: {HELP}.")
    return makers[scheme](name)


def _serial(name: str, look_s: float) -> Source:
    parts = urlsplit(name)
    baud = parse_qs(parts.query).get("baud", ["115200"])[0]
    if not parts.path or not baud.isdigit():
        raise WrongUse(f"{name!r} is no serial:///dev/NAME?baud=115200")
    return SerialLine(parts.path, int(baud), look_s)


def _tcp(name: str) -> Source:
    parts = urlsplit(name)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise WrongUse(f"{name!r} is no tcp://host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(bound, (host, port), name)
    if not _is_loopback(host):
        log.warning("%s: whoever reaches this address may send events", name)
    host, port = bound.getsockname()[:2]
    return Listener(f"tcp://{host}:{port}", bound, acks=_acks(parts.query))


def _unix(name: str) -> Source:
    parts = urlsplit(name)
    path = parts.path
    if _is_abandoned(path):
        os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _bind(bound, path, name)
    return Listener(name, bound, acks=_acks(parts.query), path=path)


def _is_abandoned(path: str) -> bool:
    """Whether a socket is there that an agent left behind when it was killed."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(path) == errno.ECONNREFUSED


def _bind(bound: socket.socket, address: tuple[str, int] | str, name: str) -> None:
    try:
        bound.bind(address)
        bound.listen()
    except OSError as error:
        bound.close()
        raise EdgeError(f"Cannot listen on {name}: {error.strerror}.") from error


def _acks(query: str) -> bool:
    return parse_qs(query).get("acks", ["0"])[0] == "1"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
