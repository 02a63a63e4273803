"""Whatever a client sends: no 5xx, JSON, and an answer for every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http import V1, event, serving

pytestmark = pytest.mark.plain

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (*event(), "count", "duration_s", "model_version", "camera_id", "timestamp")
# Events with any of their fields made into anything.
NEARLY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3).map(
    lambda changes: event(**changes)
)
ELEMENTS = st.lists(NEARLY | JSON, max_size=6)
TOLD = ("stored", "duplicates", "conflicts", "parked")
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def api(common_dsn: str) -> Iterator[httpx.Client]:
    with serving(common_dsn) as client:
        yield client


def checked(answer: httpx.Response, rows: int) -> None:
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert tuple(said) == TOLD
    assert said["stored"] + said["duplicates"] + len(said["parked"]) == rows
    assert said["conflicts"] <= said["duplicates"]
    indexes = [reject["index"] for reject in said["parked"]]
    assert indexes == sorted(set(indexes))
    assert all(0 <= index < rows for index in indexes)


@MANY
@given(elements=ELEMENTS)
def test_every_element_of_an_array_is_answered(
    api: httpx.Client, elements: list[Any]
) -> None:
    body = json.dumps(elements).encode()
    checked(api.post(f"{V1}/events", content=body), len(elements))


@MANY
@given(elements=st.lists(NEARLY | JSON, min_size=1, max_size=6))
def test_every_line_of_ndjson_is_answered(
    api: httpx.Client, elements: list[Any]
) -> None:
    body = b"".join(json.dumps(element).encode() + b"\n" for element in elements)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = api.post(f"{V1}/events", content=body, headers=headers)
    if any(isinstance(element, dict) for element in elements):
        checked(answer, len(elements))
    else:
        assert answer.status_code in (200, 400)


@MANY
@given(
    body=st.binary(max_size=200),
    encoding=st.sampled_from(["", "gzip", "zstd", "br"]),
    media_type=st.sampled_from(["", "application/json", "application/x-ndjson", "x"]),
)
def test_any_bytes_are_answered(
    api: httpx.Client, body: bytes, encoding: str, media_type: str
) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": media_type}
    answer = api.post(f"{V1}/events", content=body, headers=headers)
    assert answer.status_code < 500
    assert answer.json()


@MANY
@given(
    path=st.sampled_from(
        [
            "sites",
            "workers",
            "workstations",
            "events",
            "rejects",
            "rejects/export",
            "metrics/factory",
            "metrics/workers",
            "metrics/workstations",
        ]
    ),
    params=st.dictionaries(
        st.sampled_from(
            ["site", "from", "to", "shift", "by_date", "after", "limit", "code"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.sampled_from(["plant", "true", "2026-11-01", "0001-01-01", "9999-12-31"]),
        max_size=4,
    ),
)
def test_any_question_is_answered(
    api: httpx.Client, path: str, params: dict[str, str]
) -> None:
    answer = api.get(f"{V1}/{path}", params=params)
    assert answer.status_code < 500, answer.text
    if answer.headers["content-type"] == "application/json":
        assert answer.json()


@MANY
@given(key=st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_key_is_refused(api: httpx.Client, key: str) -> None:
    answer = api.get(f"{V1}/sites", headers={"X-API-Key": f"<{key}>"})
    assert answer.status_code in (401, 429)
