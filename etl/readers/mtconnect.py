"""What an MTConnect agent answers (MTConnectStreams): when a machine did what."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import islice

import polars as pl

from etl.files.contents import Piece
from etl.files.contents_whole import WholeFile
from etl.files.reading import Reading
from etl.readers.source import Source
from sql.errors import InputError

_COLUMNS = ("time", "entity_id", "state")
_BYTES_AN_OBSERVATION = 200


class Streams(WholeFile):
    """The Execution observations of a document, in its order: see Content."""

    format = "mtconnect"
    size: int | None = None

    def __init__(self, source: Source, reading: Reading) -> None:
        super().__init__(source, reading)
        self._rows_a_piece = max(1, source.block_bytes // _BYTES_AN_OBSERVATION)

    def pieces(self) -> Iterator[Piece]:
        observations = islice(self._observations(), self.rows_done, None)
        schema = dict.fromkeys(_COLUMNS, pl.String)
        names = {name: name for name in _COLUMNS}
        while rows := list(islice(observations, self._rows_a_piece)):
            frame = pl.DataFrame(rows, schema=schema, orient="row")
            yield self.piece(frame, names, self.rows_done + len(rows))

    def _observations(self) -> Iterator[tuple[str | None, ...]]:
        root: str | None = None
        device: str | None = None
        # Expat limits how far entities expand, and loads none from elsewhere.
        events = ET.iterparse(self.stream, ("start", "end"))  # noqa: S314
        try:
            for event, element in events:
                kind = element.tag.rpartition("}")[2]
                if root is None:
                    root = kind
                    self._require_streams(kind)
                if event == "start" and kind == "DeviceStream":
                    device = element.get("name") or element.get("uuid")
                elif event == "end":
                    if kind == "Execution":
                        yield element.get("timestamp"), device, element.text
                    if kind in ("Execution", "ComponentStream", "DeviceStream"):
                        element.clear()
        except ET.ParseError as error:
            raise InputError(f"{self.name} is damaged or no XML: {error}") from error

    def _require_streams(self, root: str) -> None:
        if root != "MTConnectStreams":
            raise InputError(
                f"{self.name} is {root[:64]}, not MTConnectStreams: ask the agent for "
                "/sample or /current"
            )
