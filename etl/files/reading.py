"""How a file is to be read: what its columns and rows mean, whoever says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from etl.batch import Batch
from etl.readers.header import (
    Opening,
    byte_order_mark,
    open_reader,
    parse_mapping,
)
from etl.readers.layout import EVENTS, Layout
from etl.readers.pattern import PatternReader
from etl.readers.preset_codes import Codes, codes_of
from etl.readers.presets import Preset, extracted, preset_of
from sql.errors import BadSetting
from sql.plant.zones import zone


@dataclass(frozen=True)
class Reading:
    """site: of rows that name none; timezone: of times without an offset, whatever the
    site's; mapping: column of the file to field; preset: whose export it is, and what
    its codes mean.
    """

    site: str | None = None
    timezone: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    preset: Preset | None = None
    codes: Codes | None = None

    @property
    def layout(self) -> Layout:
        if self.preset is None:
            return EVENTS
        layout = self.preset.layout
        if self.codes is None or self.codes.entity is None:
            return layout
        # The log of one machine need not name it in every line.
        needed = tuple(name for name in layout.required if name != "entity_id")
        return replace(layout, required=needed)

    @property
    def width(self) -> int:
        """How many events a row may become."""
        return len(self.preset.events) if self.preset else 1

    def opened(self, first: bytes, name: str, *, as_json: bool = False) -> Opening:
        """See open_reader. as_json: rows are objects, whatever their file was."""
        if self.preset is None or self.preset.pattern is None or as_json:
            return open_reader(first, name, self.mapping, self.site, self.layout)
        mark = byte_order_mark(first)
        split = self.preset.split
        reader = PatternReader(name, self.preset.pattern, self.site, split)
        return Opening(reader, "lines", mark, 0)

    def events(self, batch: Batch) -> tuple[Batch, int]:
        """The events of rows, numbered `width` a row, and how many rows have none."""
        left_out = 0
        if self.preset is not None:
            batch, left_out = extracted(batch, self.preset, self.codes)
        return replace(batch, site=self.site), left_out

    def as_json(self) -> dict[str, Any]:
        """For the books: what parked rows need to be read again."""
        said: dict[str, Any] = {
            "site": self.site,
            "timezone": self.timezone,
            "map": dict(sorted(self.mapping.items())),
        }
        if self.preset is not None:
            said["preset"] = self.preset.name
        if self.codes is not None:
            said["codes"] = self.codes.as_json()
        return said


def reading_asked(
    site: str | None,
    timezone: str | None,
    mapping: Sequence[str],
    preset_name: str | None,
    codes: Callable[[Codes], Codes] | None,
) -> Reading:
    """How people ask for files to be read: a zone's name, `column=name`, a preset.

    codes makes what codes mean of what the preset says itself. BadSetting or InputError
    for what cannot be.
    """
    if timezone is not None:
        zone(timezone)
    preset = preset_of(preset_name) if preset_name else None
    columns = parse_mapping(mapping, preset.layout if preset else EVENTS)
    meant = preset.codes if preset else None
    if codes is not None:
        if meant is None:
            raise BadSetting(
                "Codes go with the presets home-assistant, machine-states and mtconnect"
            )
        meant = codes(meant)
    return Reading(site, timezone, columns, preset, meant)


def reading_of(said: Mapping[str, Any]) -> Reading:
    """What Reading.as_json told."""
    name, codes = said.get("preset"), said.get("codes")
    preset = preset_of(name) if name else None
    default = preset.codes if preset else None
    return Reading(
        said.get("site"),
        said.get("timezone"),
        said.get("map") or {},
        preset,
        codes_of(codes, "the load", default) if codes and default else default,
    )
