"""MLflow, where it is installed and MLFLOW_TRACKING_URI is set: a run per export."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from sql.errors import NotDelivered

INSTALL = "pip install mlflow-skinny"
_DELIVERY = "floorpulse.delivery_id"
# MLflow would try for minutes; we have attempts of our own.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def record(uri: str, call: Mapping[str, Any]) -> str:
    """The run that holds an export's manifest and evidence; made once, however often
    it is asked for. NotDelivered where MLflow is missing or does not answer.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
        from mlflow.tracking import MlflowClient  # noqa: PLC0415
    except ImportError as error:
        said = "MLFLOW_TRACKING_URI is set, but mlflow is not installed here"
        raise NotDelivered(f"{said}: {INSTALL}") from error
    try:
        return _record(MlflowClient(tracking_uri=uri), call)
    except (MlflowException, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NotDelivered(f"MLflow did not take the run: {first}") from error


def _record(client: Any, call: Mapping[str, Any]) -> str:
    name = f"floorpulse-{call['site_id']}"
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    delivery = str(call["delivery_id"])
    runs = client.search_runs([experiment], f"tags.`{_DELIVERY}` = '{delivery}'")
    if runs:
        run = runs[0].info.run_id
    else:
        tags = {
            _DELIVERY: delivery,
            "floorpulse.request_id": str(call["request_key"]),
            "floorpulse.model_version": call["model_version"] or "",
        }
        title = f"request {call['request_key']}"
        run = client.create_run(experiment, tags=tags, run_name=title).info.run_id
    manifest = json.loads(call["manifest"])
    for key, value in _params(call, manifest):
        client.log_param(run, key, value)
    for key, number in _metrics(call, manifest):
        client.log_metric(run, key, number)
    client.log_text(run, call["manifest"], "manifest.json")
    client.log_text(run, json.dumps(call["evidence"], indent=2), "evidence.json")
    client.set_terminated(run)
    return f"run {run}"


def _params(
    call: Mapping[str, Any], manifest: Mapping[str, Any]
) -> Iterator[tuple[str, object]]:
    yield "request_id", call["request_key"]
    yield "site_id", call["site_id"]
    yield "model_version", call["model_version"] or ""
    yield "reason", call["reason"]
    yield "folder", call["folder"]
    yield "manifest_sha256", call["manifest_sha256"]
    yield from manifest["selection"].items()


def _metrics(
    call: Mapping[str, Any], manifest: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    yield from manifest["counts"].items()
    for part, names in (
        ("accuracy", ("validated", "accuracy", "low", "high")),
        ("confidence", ("events", "mean", "stddev")),
    ):
        numbers = call["evidence"].get(part) or {}
        for name in names:
            if numbers.get(name) is not None:
                yield f"{part}_{name}", float(numbers[name])
