"""The edge agent's spool: what is dropped first, what is kept, what is mended."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.edge import spool_rows, store
from etl.edge.clock import Instant, now
from etl.edge.errors import EdgeError
from etl.edge.lines import LONGEST_LINE, Chunk, Splitter, lines_of
from etl.edge.size import Size
from etl.edge.spool import Spool
from etl.edge.status import prometheus, status
from etl.edge.store import NAME
from etl.readers.open import LONGEST_LINE as SERVERS_LONGEST_LINE
from tests.support.edge import line

STATE = [line(n) for n in range(100)]
COUNT = [line(n, event_type="product_count", count=1) for n in range(100)]
NO_EVENT = [b"line %d" % n for n in range(100)]


def put(spool: Spool, *rows: bytes) -> None:
    spool.put([Chunk(list(rows), now())])


def waiting(spool: Spool) -> list[bytes]:
    return [event.body for event in spool.take(1_000, 1 << 30)]


def counters(folder: Path) -> dict[str, int]:
    counted: dict[str, int] = status(folder)["counters"]
    return {name: value for name, value in counted.items() if value}


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path, Size(10, 1 << 20)) as spool:
        yield spool


def test_it_drops_lines_then_states_then_product_counts_the_oldest_first(
    tmp_path: Path, spool: Spool
) -> None:
    put(spool, *COUNT[:4], *STATE[:4], *NO_EVENT[:2])
    put(spool, COUNT[4])
    assert waiting(spool) == [*COUNT[:4], *STATE[:4], NO_EVENT[1], COUNT[4]]
    spool.release()
    put(spool, *COUNT[5:8])
    assert waiting(spool) == [*COUNT[:4], *STATE[2:4], *COUNT[4:8]]
    spool.release()
    put(spool, *COUNT[8:12])
    assert waiting(spool) == COUNT[2:12]
    spool.release()
    put(spool, STATE[9], NO_EVENT[9])
    assert waiting(spool) == COUNT[2:12]
    assert counters(tmp_path) == {
        "received": 20,
        "dropped_lines": 3,
        "dropped_states": 5,
        "dropped_counts": 2,
    }


def test_what_the_server_refused_goes_before_all_that_waits(
    tmp_path: Path, spool: Spool
) -> None:
    put(spool, *COUNT[:10])
    for event in spool.take(3, 1 << 20):
        spool.refuse(event, 400, "bad")
    put(spool, *STATE[:2])
    assert waiting(spool) == [*COUNT[3:10], *STATE[:2]]
    assert status(tmp_path)["set_aside"] == 1
    assert counters(tmp_path)["dropped_refused"] == 2


def test_bytes_are_bounded_as_well(tmp_path: Path) -> None:
    large = [line(n, camera_id="x" * 50_000) for n in range(40)]
    with Spool(tmp_path, Size(1_000_000, 1 << 20)) as spool:
        for row in large:
            put(spool, row)
        kept = waiting(spool)
    assert kept == large[-len(kept) :]
    assert 15 < len(kept) < 21
    assert sum(map(len, kept)) <= 1 << 20
    assert (tmp_path / NAME).stat().st_size < 6 << 20


def test_what_is_on_its_way_is_not_dropped(spool: Spool) -> None:
    put(spool, *STATE[:10])
    flying = spool.take(4, 1 << 20)
    put(spool, *COUNT[:8])
    assert waiting(spool) == [*STATE[:4], *COUNT[2:8]]
    spool.done(flying[-1], {"stored": 4})
    assert waiting(spool) == COUNT[2:8]


def test_it_says_what_it_drops(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        put(spool, *COUNT[:9], *STATE[:5])
    assert caplog.messages == ["the spool is full: 4 dropped_states"]


def test_reopened_it_knows_what_it_holds(tmp_path: Path, spool: Spool) -> None:
    put(spool, *STATE[:9])
    spool.done(spool.take(2, 1 << 20)[-1], {"stored": 2})
    spool.close()
    with Spool(tmp_path, Size(10, 1 << 20)) as again:
        assert again.waiting.events == 7
        put(again, *COUNT[:5])
        assert waiting(again) == [*STATE[4:9], *COUNT[:5]]


def test_a_damaged_spool_is_set_aside_and_what_can_be_read_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [line(n, camera_id="x" * 60) for n in range(2_000)]
    with Spool(tmp_path) as spool:
        put(spool, *rows)
    path = tmp_path / NAME
    with path.open("r+b") as file:
        file.seek(150 * 4096)
        file.write(os.urandom(20 * 4096))
    with Spool(tmp_path) as again:
        kept = {event.body for event in again.take(5_000, 1 << 30)}
        put(again, *STATE[:3])
    assert kept <= set(rows)
    assert len(kept) > 1_000
    assert "the spool was damaged" in caplog.text
    assert list(tmp_path.glob("damaged-*.db"))


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_a_file_that_is_no_spool_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with Spool(tmp_path) as spool:
        put(spool, *STATE[:3])
        assert waiting(spool) == STATE[:3]


def test_a_newer_spool_is_left_alone(tmp_path: Path, spool: Spool) -> None:
    with spool._store.transaction() as db:
        db.execute("pragma user_version = 99")
    spool.close()
    with pytest.raises(EdgeError, match="newer version"):
        Spool(tmp_path)


def test_room_is_taken_when_it_is_made(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        size = (tmp_path / NAME).stat().st_size
        put(spool, *(line(n, camera_id="x" * 200) for n in range(9_000)))
    assert size > 5 << 20
    assert (tmp_path / NAME).stat().st_size == size


def test_on_a_full_disk_it_starts_with_the_room_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = tmp_path / "ballast"
    with Spool(tmp_path) as spool:
        put(spool, *STATE[:3])
    assert ballast.stat().st_size == 4 << 20
    stretched = store._stretch_log

    def full(db: sqlite3.Connection, *, with_room: bool) -> None:
        if ballast.exists():
            raise sqlite3.OperationalError("database or disk is full")
        stretched(db, with_room=with_room)

    monkeypatch.setattr(store, "_stretch_log", full)
    with Spool(tmp_path) as spool:
        assert waiting(spool) == STATE[:3]
    # Made again once there is room, at the end at the latest.
    assert ballast.exists()


def test_what_was_sent_is_not_sent_again_while_the_disk_refuses(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool, *STATE[:6])
    sent = spool.take(4, 1 << 20)

    def refuse(*_: object) -> Size:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(spool_rows, "take_out", refuse)
        with pytest.raises(sqlite3.OperationalError):
            spool.done(sent[-1], {"stored": 4})
    spool.release()
    assert waiting(spool) == STATE[4:6]
    spool.settle()
    assert spool.waiting.events == 2
    assert counters(tmp_path) == {"received": 6, "stored": 4}


def test_every_commit_is_synced(spool: Spool) -> None:
    assert spool._store.rows("pragma synchronous") == [(2,)]
    assert spool._store.rows("pragma journal_mode") == [("wal",)]


def test_no_two_lines_come_at_the_same_instant(spool: Spool) -> None:
    """Stamped with it, they would be one event."""
    moment = now()
    spool.put([Chunk(STATE[:4], moment), Chunk(STATE[4:8], moment)])
    earlier = Instant(moment.wall_us - 3_600_000_000, moment.boot_us + 1)
    spool.put([Chunk(STATE[8:10], earlier)])
    came = [event.arrived_us for event in spool.take(10, 1 << 20)]
    assert came[:8] == list(range(moment.wall_us, moment.wall_us + 8))
    assert came[8:] == [earlier.wall_us, earlier.wall_us + 1]


def test_prometheus_has_every_counter_once(tmp_path: Path, spool: Spool) -> None:
    put(spool, *STATE[:12])
    text = prometheus(status(tmp_path))
    assert "floorpulse_edge_dropped_states_events_total 2\n" in text
    assert "floorpulse_edge_waiting_events 10\n" in text
    names = [row.split()[0] for row in text.splitlines() if row[0] != "#"]
    assert len(names) == len(set(names))


def test_a_stream_is_cut_into_lines() -> None:
    splitter = Splitter()
    assert splitter.feed(b'{"a":1}\r\n\n  \n{"b"') == [b'{"a":1}']
    assert splitter.feed(b":2}\nrest") == [b'{"b":2}']
    assert splitter.end() == [b"rest"]
    assert splitter.end() == []


def test_a_line_without_end_is_cut_and_costs_only_itself() -> None:
    splitter = Splitter()
    found = []
    for _ in range(50):
        found += splitter.feed(b"x" * 10_000)
    found += splitter.feed(b"x\nnext\n")
    # One byte more than the server takes: it is parked there, not cut in silence.
    assert [len(row) for row in found] == [LONGEST_LINE + 1, 4]
    assert LONGEST_LINE == SERVERS_LONGEST_LINE


def test_a_message_is_an_event_an_array_or_lines() -> None:
    assert lines_of(b'{"a": 1}') == [b'{"a": 1}']
    assert lines_of(b'{\n "a": 1\n}') == [b'{"a": 1}']
    assert lines_of(b'[{"a": 1}, 2]') == [b'{"a": 1}', b"2"]
    assert lines_of(b'{"a": 1}\n\n{"b": 2}\n') == [b'{"a": 1}', b'{"b": 2}']
    assert lines_of(b"[broken\nlines") == [b"[broken", b"lines"]
    assert lines_of(b" \n") == []


def test_a_chunk_in_parts_tells_its_source_with_the_last() -> None:
    chunk = Chunk(STATE[:5], Instant(0, 0), durable=lambda: None)
    parts = chunk.parts(2)
    assert [len(part.lines) for part in parts] == [2, 2, 1]
    assert [part.durable is None for part in parts] == [True, True, False]
    assert Chunk([], Instant(0, 0)).parts(2) == [Chunk([], Instant(0, 0))]
