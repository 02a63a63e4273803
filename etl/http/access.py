"""Who may do what over HTTP: keys, and without one the machine's own programs.

Keys are checked against a copy of what stands in the database, at most KEEP_S old: ten
thousand guesses cost one query, and a revoked key ends within that time.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from etl.http.errors import ApiError
from etl.http.limits import Buckets
from etl.http.reader import Reader
from etl.http.scope import CAMERA, Cameras, Limits
from sql.keys import PREFIX, digest

SOURCE = "http"
KEEP_S = 0.25
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
# A stranger's wrong keys, a second; ten times that at once.
_GUESSES_PER_S = 2.0
# What proxies add, each its own.
_FORWARDED = frozenset(
    (
        *("forwarded", "x-forwarded", "x-forwarded-for", "x-forwarded-host"),
        *("x-forwarded-port", "x-forwarded-proto", "x-forwarded-scheme"),
        *("x-forwarded-server", "x-original-forwarded-for", "x-real-ip", "via"),
        *("x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"),
    )
)
_NOBODY = bytes(32)


@dataclass(frozen=True)
class Caller:
    """Who asks: a key, or a program on this machine; None is no limit."""

    name: str
    sites: frozenset[str] | None = None
    event_types: frozenset[str] | None = None
    events_per_s: float | None = None
    cameras: Cameras | None = None

    @property
    def source(self) -> str:
        """What parked rows of his are marked with."""
        return SOURCE if self == LOCAL else f"{SOURCE}:{self.name}"

    def require_site(self, site: str | None) -> None:
        """Raise 403 where the key does not speak of this site (None: of all sites)."""
        if self.sites is not None and site not in self.sites:
            named = "all sites" if site is None else f"site {site!r}"
            known = ", ".join(sorted(self.sites))
            said = f"This key is for {known}, not for {named}."
            raise ApiError(403, "not_allowed", said)

    def limits(self) -> Limits:
        """What his events may say, by field."""
        return {
            "site_id": self.sites,
            "event_type": self.event_types,
            CAMERA: self.cameras,
        }

    def only(self) -> list[str] | None:
        """The sites to show; None for all."""
        return None if self.sites is None else sorted(self.sites)


LOCAL = Caller("local")


@dataclass(frozen=True)
class _Key:
    caller: Caller
    secret_sha256: bytes
    allows: frozenset[str]
    expires_at: datetime | None


class Access:
    """Answers who a request comes from, and whether he may."""

    def __init__(
        self, reader: Reader, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader, self._clock = reader, clock
        self._keys: dict[str, _Key] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._sending, self._guessing = Buckets(clock), Buckets(clock)

    async def caller(self, request: Request, right: str) -> Caller:
        """Who asks, where he may; ApiError 401, 403, 429 or 503 where not."""
        given = _given(request)
        if given is None:
            return _local(request)
        key = await self._key(request, given)
        if right not in key.allows:
            allowed = ", ".join(sorted(key.allows))
            said = f"This key may {allowed}; what you ask for takes {right}."
            raise ApiError(403, "not_allowed", said)
        return key.caller

    def admit(self, caller: Caller) -> None:
        """Raise 429 where a key has sent more than its rate allows."""
        if caller.events_per_s is None:
            return
        wait_s = self._sending.wait_s(caller.name, caller.events_per_s)
        if wait_s:
            raise ApiError(
                429,
                "too_fast",
                f"This key may send {caller.events_per_s:g} events a second.",
                retry_s=wait_s,
            )

    def charge(self, caller: Caller, events: int) -> None:
        """Count what a post held."""
        if caller.events_per_s is not None:
            rate = caller.events_per_s
            self._sending.take(caller.name, rate, max(1, events))

    async def _key(self, request: Request, given: str) -> _Key:
        stranger = _address(request)
        wait_s = self._guessing.wait_s(stranger, _GUESSES_PER_S)
        found = _KEY.fullmatch(given)
        if found is None and wait_s:
            raise _too_many(wait_s)
        keys = await self._valid()
        key = keys.get(found[1]) if found else None
        expected = key.secret_sha256 if key else _NOBODY
        fits = hmac.compare_digest(digest(found[2] if found else ""), expected)
        expired = key and key.expires_at and key.expires_at <= datetime.now(UTC)
        if key is not None and fits and not expired:
            return key
        if wait_s:
            raise _too_many(wait_s)
        self._guessing.take(stranger, _GUESSES_PER_S, 1)
        said = "This key is unknown, expired or revoked."
        raise ApiError(401, "bad_key", said, WWW_Authenticate="Bearer")

    async def _valid(self) -> dict[str, _Key]:
        """The keys that hold: from memory while that is fresh."""
        async with self._reading:
            if self._clock() - self._read_at >= KEEP_S:
                rows = await self._reader.rows("valid", file="keys")
                self._keys = {row["key_id"]: _key_of(row) for row in rows}
                self._read_at = self._clock()
        return self._keys


def _key_of(row: dict[str, Any]) -> _Key:
    caller = Caller(
        row["name"],
        _set(row["sites"]),
        _set(row["event_types"]),
        row["events_per_s"],
        None if row["cameras"] is None else Cameras(row["cameras"]),
    )
    allows = frozenset(row["allows"])
    return _Key(caller, bytes(row["secret_sha256"]), allows, row["expires_at"])


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _given(request: Request) -> str | None:
    """The key of a request; None where it brings none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


def _local(request: Request) -> Caller:
    """A program on this machine; ApiError for everybody else.

    A proxy's connections come from this machine as well: what was forwarded is not
    local. Nor is what a page of another site makes a browser here send.
    """
    headers = request.headers
    passed_on = not _FORWARDED.isdisjoint(headers.keys())
    if passed_on or not _is_loopback(_host(request)):
        said = "From another machine this takes a key: Authorization: Bearer fp_..."
        raise ApiError(401, "no_key", said, WWW_Authenticate="Bearer")
    named, origin = headers.get("host", ""), headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2] != named
    crossing = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if foreign or crossing or not _is_loopback(_name_of(named)):
        said = "Pages of other sites, and names of other machines, take a key."
        raise ApiError(403, "not_allowed", said)
    return LOCAL


@lru_cache(256)
def _name_of(host: str) -> str:
    """A Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _host(request: Request) -> str:
    # A unix socket has no address, and is on this machine.
    return request.client.host if request.client else "localhost"


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    """Who tries keys: an address, or the network of one that has a whole network."""
    host = _host(request)
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(int(address) >> 64)
    return host


def _too_many(wait_s: float) -> ApiError:
    said = "Too many wrong keys from this address."
    return ApiError(429, "too_many_guesses", said, retry_s=wait_s)
