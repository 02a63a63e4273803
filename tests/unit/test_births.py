"""When a node of Sparkplug is asked to be born again."""

from __future__ import annotations

from itertools import pairwise

from etl.brokers.births import Births
from etl.brokers.sparkplug import PAYLOAD

NODE, DEVICE = "edge", "edge/S1"


class Plant:
    """What a node says, and whether it is asked then."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.births = Births(lambda: self.now_s)

    def asks(self, kind: str, seq: int | None, place: str = NODE, qos: int = 0) -> bool:
        payload = PAYLOAD() if seq is None else PAYLOAD(seq=seq)
        topic = f"spBv1.0/plant/{kind}/{place}".split("/")
        return self.births.missed(topic, payload, may_repeat=qos > 0)

    def is_born(self) -> None:
        assert not self.asks("NBIRTH", 0)
        assert not self.asks("DBIRTH", 1, DEVICE)


def test_who_was_born_and_counts_on_is_asked_nothing() -> None:
    plant = Plant()
    plant.is_born()
    for number in range(2, 600):
        assert not plant.asks("DDATA", number % 256, DEVICE)
    assert not plant.asks("DDEATH", 600 % 256, DEVICE)
    assert not plant.asks("NDATA", 601 % 256)


def test_data_before_a_birth_asks() -> None:
    assert Plant().asks("NDATA", 7)
    assert Plant().asks("DBIRTH", 7, DEVICE)
    plant = Plant()
    assert not plant.asks("NBIRTH", 0)
    assert plant.asks("DDATA", 1, DEVICE)


def test_a_number_that_is_left_out_asks() -> None:
    plant = Plant()
    plant.is_born()
    assert not plant.asks("DDATA", 2, DEVICE)
    assert plant.asks("DDATA", 4, DEVICE)
    # Its answer begins to count anew.
    plant.is_born()
    assert not plant.asks("DDATA", 2, DEVICE)


def test_what_comes_again_leaves_nothing_out() -> None:
    plant = Plant()
    plant.is_born()
    for number in (2, 3, 4, 2, 3, 4, 5):
        assert not plant.asks("DDATA", number, DEVICE, qos=1)
    # Without QoS 1 nothing comes again: all of these were lost.
    plant = Plant()
    plant.is_born()
    assert not plant.asks("DDATA", 2, DEVICE)
    assert plant.asks("DDATA", 1, DEVICE)


def test_without_numbers_there_are_no_gaps() -> None:
    plant = Plant()
    assert not plant.asks("NBIRTH", None)
    assert not plant.asks("NDATA", None)


def test_a_node_that_does_not_answer_is_asked_less_and_less() -> None:
    plant = Plant()
    asked = []
    for minute in range(600):
        plant.now_s = 60.0 * minute
        if plant.asks("NDATA", None):
            asked.append(minute)
    assert asked[:7] == [0, 1, 3, 7, 15, 31, 63]
    assert {b - a for a, b in pairwise(asked[7:])} == {60}
    # Another node is asked for itself; and this one at once, long after.
    assert plant.asks("NDATA", None, "other")
    assert not plant.asks("NBIRTH", 0)
    plant.now_s += 10 * 3600
    assert plant.asks("NDATA", 5)
    plant.now_s += 60
    assert plant.asks("NDATA", 7)
