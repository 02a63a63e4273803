"""What goes wrong on the way to a database is one sentence without the password."""

from __future__ import annotations

import socket
from typing import Any, cast

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sql import connect as room
from sql.errors import DsnError, MissingPrivilege, NoDatabase, ServerTooOld

DSN = "postgresql://ann:s3cret@db.example:5433/plant"


@pytest.mark.parametrize(
    "dsn",
    ["postgres//x", "mysql://u:s3cret@h/x", "postgresql:///x?colour=red", "s3cret"],
)
def test_it_explains_what_a_dsn_looks_like(dsn: str) -> None:
    with pytest.raises(DsnError, match="not a URI that libpq understands") as caught:
        room.connect(dsn)
    assert "s3cret" not in caught.value.message


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(DsnError, match=f"127.0.0.1:{port}/x: nobody listens there"):
            room.connect(f"postgresql://127.0.0.1:{port}/x")
    with pytest.raises(DsnError, match=r"/nowhere/x: nobody listens there"):
        room.connect("postgresql:///x?host=/nowhere")


def test_a_listener_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(DsnError, match="does not answer: check host, port"):
            room.connect(f"postgresql://127.0.0.1:{port}/x?connect_timeout=2")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL:  password authentication failed for user "ann"', "password is wrong"),
        ("fe_sendauth: no password supplied", "wants a password"),
        ('FATAL:  database "plant" does not exist', "no such database"),
        ('FATAL:  role "ann" does not exist', "no such user"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "pg_hba.conf"),
        ("FATAL:  sorry, too many clients already", "connections are taken"),
        ("FATAL:  remaining connection slots are reserved", "connections are taken"),
        ("FATAL:  the database system is starting up", "wait, then try again"),
        ("FATAL:  the database system is in recovery mode", "wait, then try again"),
        ("FATAL:  the database system is shutting down", "start it again"),
        ("server does not support SSL, but SSL was required", "drop sslmode"),
        ('could not translate host name "x" to address', "check the host name"),
        ("[Errno -2] Name or service not known", "check the host name"),
        ("SSL error: certificate verify failed", "sslrootcert"),
        ("connection is bad: something new", "something new"),
    ],
)
def test_every_failure_has_its_advice(said: str, advice: str) -> None:
    error = room.connection_error(psycopg.OperationalError(said), DSN)
    assert isinstance(error, DsnError)
    assert error.message.startswith("Cannot connect to ann@db.example:5433/plant: ")
    assert advice in error.message
    assert "\n" not in error.message
    assert "s3cret" not in error.message


def test_what_may_come_by_itself_is_told_from_what_must_be_mended() -> None:
    def kind(said: str) -> type:
        return type(room.connection_error(psycopg.OperationalError(said), DSN))

    assert kind("FATAL:  the database system is starting up") is NoDatabase
    assert kind("server closed the connection unexpectedly") is NoDatabase
    assert kind('FATAL:  password authentication failed for user "a"') is DsnError
    assert kind('FATAL:  database "plant" does not exist') is DsnError


def test_a_missing_privilege_is_named() -> None:
    said = 'FATAL:  permission denied for database "plant"'
    error = room.connection_error(psycopg.OperationalError(said), DSN)
    assert isinstance(error, MissingPrivilege)


def test_a_server_before_16_is_too_old() -> None:
    class Info:
        server_version = 150014

    class Old:
        info = Info()

    with pytest.raises(ServerTooOld, match="is PostgreSQL 15, floorpulse needs 16"):
        room.check_version(cast("psycopg.Connection[Any]", Old()))


def test_a_session_is_ours_in_utc_and_keeps_what_the_dsn_says() -> None:
    parts = conninfo_to_dict(room.session_conninfo(DSN))
    assert parts["application_name"] == "floorpulse"
    assert parts["options"] == "-c timezone=UTC"
    said = f"{DSN}?options=-c%20work_mem%3D8MB&application_name=bi&connect_timeout=3"
    parts = conninfo_to_dict(room.session_conninfo(said))
    assert parts["options"] == "-c work_mem=8MB -c timezone=UTC"
    assert parts["application_name"] == "bi"
    assert parts["connect_timeout"] == "3"


def test_the_dsn_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOORPULSE_DSN", f" {DSN}\n")
    assert room.resolve_dsn() == DSN


def test_without_one_the_local_server_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLOORPULSE_DSN", "")
    monkeypatch.setattr("sql.embedded.start", lambda: "postgresql:///local")
    assert room.resolve_dsn() == "postgresql:///local"
