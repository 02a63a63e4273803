"""What became of a group, told to each of its posts about its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from etl.door.admit import Admission

_CONFLICT = "conflict"


@dataclass
class Answer:
    """What became of one post: its size = stored + duplicates + parked."""

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    parked: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "stored": self.stored,
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
            "parked": self.parked,
        }


def answers(admission: Admission, starts: Sequence[int]) -> list[Answer]:
    """One answer a post; starts are the rows at which posts begin, and the end."""
    bounds = np.asarray(starts)
    found = [Answer(stored=int(size)) for size in np.diff(bounds)]

    def owners(rows: pl.Series) -> list[int]:
        at: list[int] = (
            np.searchsorted(bounds, rows.to_numpy(), side="right") - 1
        ).tolist()
        return at

    for rows in admission.duplicates_at:
        for at in owners(rows):
            found[at].duplicates += 1
            found[at].stored -= 1
    for told in admission.told:
        for at, (row, code, message) in zip(
            owners(told["row"]), told.iter_rows(), strict=True
        ):
            if code == _CONFLICT:
                found[at].conflicts += 1
                continue
            found[at].stored -= 1
            reject = {"index": row - starts[at], "code": code, "message": message}
            found[at].parked.append(reject)
    for answer in found:
        answer.parked.sort(key=lambda reject: reject["index"])
    return found
