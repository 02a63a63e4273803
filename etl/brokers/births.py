"""Sparkplug B: which nodes have to be born again, for their data to be understood."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

BIRTHS, DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
# Whatever a node numbers: an NDEATH is the broker's, and commands are not the node's.
NUMBERED = (*BIRTHS, *DATA, "DDEATH")
_NUMBERS = 256
# Between two requests to one node: twice as long each time, while there is need.
AGAIN_S = (60.0, 3600.0)


@dataclass
class _Node:
    """born: its births that were seen, () of its own, (device,) of a device."""

    born: set[tuple[str, ...]] = field(default_factory=set)
    following: int | None = None
    asked_at: float | None = None
    wait_s: float = 0.0


class Births:
    """What was seen of every node since this process began."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._nodes: dict[tuple[str, str], _Node] = {}

    def missed(self, topic: Sequence[str], payload: Any, *, may_repeat: bool) -> bool:
        """Take note of a message; whether its node should be asked to be born again.

        It should where data comes before a birth, and where a number was left out.
        may_repeat: the message may be one that came before (QoS 1).
        """
        _, group, kind, name, *device = topic
        node = self._nodes.setdefault((group, name), _Node())
        if kind == "NBIRTH":
            # Its devices are born after it.
            node.born = {()}
            node.following = None
        elif kind == "DBIRTH":
            node.born.add(tuple(device))
        is_unborn = () not in node.born or (
            kind == "DDATA" and tuple(device) not in node.born
        )
        has_gap = _has_gap(node, payload, may_repeat=may_repeat)
        return (is_unborn or has_gap) and self._is_time(node)

    def _is_time(self, node: _Node) -> bool:
        now_s, (least_s, most_s) = self._now_s(), AGAIN_S
        since_s = None if node.asked_at is None else now_s - node.asked_at
        if since_s is not None and since_s < node.wait_s:
            return False
        # Long after the last need it is another one, and no answer that stays away.
        is_new = since_s is None or since_s > 2 * node.wait_s + least_s
        node.wait_s = least_s if is_new else min(2 * node.wait_s, most_s)
        node.asked_at = now_s
        return True


def _has_gap(node: _Node, payload: Any, *, may_repeat: bool) -> bool:
    """Whether a message's number is not the one that follows; a repeated one is none.

    Numbers begin again after 255: up to half of them behind is repeated.
    """
    if not payload.HasField("seq"):
        return False
    following = payload.seq if node.following is None else node.following
    ahead = (payload.seq - following) % _NUMBERS
    if may_repeat and ahead >= _NUMBERS // 2:
        return False
    node.following = (payload.seq + 1) % _NUMBERS
    return bool(ahead)
