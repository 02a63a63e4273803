"""A small file as its reader has it: records, and what is none."""

from __future__ import annotations

from etl.batch import Batch
from etl.readers.header import open_reader

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
ROW = "2026-11-01T06:00:00Z,plant,{},S1,working,0.9\n"


def read(content: bytes | str, name: str = "f.csv", site: str | None = None) -> Batch:
    """The one block of a small file."""
    data = content.encode() if isinstance(content, str) else content
    opening = open_reader(data, name, {}, site)
    block = opening.reader.read(data[opening.bytes :], opening.lines + 1, last=True)
    assert block.consumed == len(data) - opening.bytes
    return block.batch


def column(batch: Batch, name: str) -> list[str | None]:
    values: list[str | None] = batch.texts[name].to_list()
    return values


def broken(batch: Batch) -> list[tuple[int, int, bytes, str]]:
    """Row, line, raw bytes and message of what is no record."""
    origin = batch.origin(batch.broken["row"])
    return (
        batch.broken.join(origin, on="row")
        .select("row", "line", "raw", "message")
        .rows()
    )
