"""A device's clock that is wrong, or jumps, and what becomes of events' times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.edge.clock import Instant, ServerClock, server_clock
from etl.edge.clocks import Clocks
from etl.edge.lines import Chunk
from etl.edge.spool import Event, Spool
from etl.edge.times import outgoing, was_never_set

S = 1_000_000
# The true time at boot.
BOOTED = int(datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp()) * S


def came(after_s: float, wrong_by_s: float = 0.0) -> Instant:
    """An instant so long after boot, on a wall clock that is wrong."""
    return Instant(BOOTED + int((after_s + wrong_by_s) * S), int(after_s * S))


def asked(after_s: float) -> ServerClock:
    """What the server's Date tells at that time."""
    return server_clock(BOOTED + int(after_s) * S, int(after_s * S), int(after_s * S))


def clocks_of(spool: Spool, boot: str = "this") -> Clocks:
    return Clocks(spool._store, boot)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path) as spool:
        yield spool


@pytest.mark.parametrize("wrong_by_s", [3_600.0, -86_400.0 * 300, 10.0])
def test_a_wrong_clock_is_corrected_to_the_second(
    spool: Spool, wrong_by_s: float
) -> None:
    clocks = clocks_of(spool)
    epoch = clocks.epoch_of(came(5, wrong_by_s))
    assert clocks.undecided
    clocks.decide(asked(9))
    assert not clocks.undecided
    assert abs(clocks.shift_us(epoch) + wrong_by_s * S) <= 1.5 * S


@pytest.mark.parametrize("wrong_by_s", [0.0, 0.9, -0.9])
def test_a_clock_that_may_be_right_is_left_alone(
    spool: Spool, wrong_by_s: float
) -> None:
    clocks = clocks_of(spool)
    epoch = clocks.epoch_of(came(5, wrong_by_s))
    clocks.decide(asked(9))
    assert clocks.shift_us(epoch) == 0


def test_before_and_after_a_jump_each_has_its_own_correction(spool: Spool) -> None:
    """Booted in the past; NTP sets the clock before any server was reached."""
    clocks = clocks_of(spool)
    wrong = clocks.epoch_of(came(5, -7_200))
    assert clocks.epoch_of(came(60, -7_200)) == wrong
    right = clocks.epoch_of(came(61))
    assert right != wrong
    clocks.decide(asked(100))
    assert clocks.shift_us(right) == 0
    assert abs(clocks.shift_us(wrong) - 7_200 * S) <= 1.5 * S


def test_what_was_decided_stays_decided(tmp_path: Path, spool: Spool) -> None:
    """Else an event sent twice would be two events."""
    spool.clocks = clocks_of(spool)
    spool.put([Chunk([b"{}"], came(5, -7_200))])
    (event,) = spool.take(1, 1 << 20)
    spool.clocks.decide(asked(9))
    shift = spool.clocks.shift_us(event.epoch)
    spool.close()
    with Spool(tmp_path) as again:
        clocks = clocks_of(again)
        clocks.decide(asked(2_000))
        assert clocks.shift_us(event.epoch) == shift != 0


def test_of_an_earlier_boot_nothing_is_known(tmp_path: Path, spool: Spool) -> None:
    spool.clocks = clocks_of(spool, "earlier")
    spool.put([Chunk([b"{}"], came(5, -7_200))])
    (event,) = spool.take(1, 1 << 20)
    spool.close()
    with Spool(tmp_path) as again:
        clocks = clocks_of(again, "this")
        assert clocks.undecided
        clocks.decide(asked(9))
        assert clocks.shift_us(event.epoch) == 0


def test_a_clock_that_drifts_away_gets_a_new_correction(spool: Spool) -> None:
    clocks = clocks_of(spool)
    first = clocks.epoch_of(came(5))
    clocks.decide(asked(9))
    clocks.watch(asked(10))
    assert clocks.epoch_of(came(11)) == first
    # Four days later the crystal has lost ten seconds, evenly, so no jump was seen.
    day = 86_400
    late = server_clock(BOOTED + (4 * day + 10) * S, 4 * day * S, 4 * day * S)
    clocks.watch(late)
    second = clocks.epoch_of(came(4 * day + 1))
    assert second != first
    assert abs(clocks.shift_us(second) - 10 * S) <= 1.5 * S


def test_a_server_without_a_date_corrects_nothing(spool: Spool) -> None:
    clocks = clocks_of(spool)
    epoch = clocks.epoch_of(came(5, -7_200))
    clocks.decide(None)
    assert clocks.shift_us(epoch) == 0
    assert not clocks.undecided


ARRIVED = datetime(2026, 11, 1, 6, tzinfo=UTC)


def event(arrived: datetime = ARRIVED, **document: object) -> Event:
    return Event(1, 1, 1, int(arrived.timestamp() * S), json.dumps(document).encode())


def sent(row: Event, shift_s: float, *, stamp: bool = False) -> dict[str, object]:
    found: dict[str, object] = json.loads(outgoing(row, int(shift_s * S), stamp=stamp))
    return found


def test_a_time_of_the_wrong_clock_is_moved() -> None:
    row = event(time="2026-11-01T05:59:59.5+00:00", worker_id="W1")
    assert sent(row, 7_200) == {
        "time": "2026-11-01T07:59:59.500000Z",
        "worker_id": "W1",
    }
    row = event(timestamp="2026-11-01T06:59:59+01:00")
    assert sent(row, -3_600) == {"timestamp": "2026-11-01T04:59:59.000000Z"}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("2026-11-01T07:59:59Z", id="a camera whose clock is right"),
        pytest.param("2026-11-01T03:00:00Z", id="an old event"),
        pytest.param("2026-11-01T06:00:00", id="no offset: the site's to read"),
        pytest.param("now", id="no time"),
        pytest.param(1_793_512_800, id="a number"),
    ],
)
def test_what_is_not_of_the_wrong_clock_is_sent_as_it_came(said: object) -> None:
    row = event(time=said)
    assert outgoing(row, 7_200 * S, stamp=False) == row.body


def test_with_the_right_clock_not_a_byte_is_changed() -> None:
    row = Event(1, 1, 1, 0, b'{ "time":  "2026-11-01T06:00:00Z", "time": 1 }')
    assert outgoing(row, 0, stamp=False) is row.body
    assert outgoing(row, 0, stamp=True) is row.body


def test_an_event_without_a_time_is_stamped_where_that_is_asked() -> None:
    row = event(worker_id="W1")
    assert outgoing(row, 7_200 * S, stamp=False) == row.body
    stamped = {"worker_id": "W1", "time": "2026-11-01T06:00:00.000000Z"}
    assert sent(row, 0, stamp=True) == stamped
    assert sent(row, 60, stamp=True)["time"] == "2026-11-01T06:01:00.000000Z"


def test_a_clock_that_was_never_set_is_noticed() -> None:
    early = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=3)
    assert was_never_set(event(early, time="1970-01-01T00:02:59Z"))
    assert was_never_set(event(early))
    assert not was_never_set(event(early, time="2026-11-01T05:59:59Z"))
    assert not was_never_set(event(time="1970-01-01T00:02:59Z"))
