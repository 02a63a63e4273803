"""schemathesis reads our OpenAPI and sends what it allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from tests.support.http import event, serving

pytestmark = pytest.mark.plain
BOUNDED = settings(
    max_examples=3,
    deadline=None,
    database=None,
    # The same questions in every run: one that is answered wrongly is so for everybody.
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def openapi(common_dsn: str) -> Iterator[Any]:
    with serving(common_dsn) as api:
        api.post("/api/v1/events", json=[event(), event(time="noon")])
        yield schemathesis.openapi.from_url(f"{api.base_url}/api/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_answer_is_an_error_of_ours(openapi: Any, mode: GenerationMode) -> None:
    asked = 0
    for found in openapi.get_all_operations():
        cases = found.ok().as_strategy(generation_mode=mode)

        @BOUNDED
        @given(case=cases)
        def ask(case: Any) -> None:
            # A busy machine takes its time; by itself it would be given 10 s.
            answer = case.call(timeout=120)
            case.validate_response(answer, checks=[not_a_server_error])
            if answer.status_code >= 400 and answer.content:
                assert {"error", "message"} <= answer.json().keys(), answer.text

        # What takes nothing cannot be asked wrongly.
        with suppress(Unsatisfiable):
            ask()
            asked += 1
    assert asked > 10
