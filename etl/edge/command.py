"""`floorpulse edge`, and the same where floorpulse is not: every command and option."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from etl.edge import status
from etl.edge.agent import DONE, FAILED, Agent, Settings
from etl.edge.client import TIMEOUT_S, Client
from etl.edge.errors import EdgeError, WrongUse
from etl.edge.pack import pack
from etl.edge.sender import BATCH, Pace
from etl.edge.size import Size
from etl.edge.sources import HELP
from etl.edge.spool import LIMIT, Spool

WRONG_USE, INTERRUPTED = 2, 130
KEY = "FLOORPULSE_KEY"
_LEAST_S, _MOST_S = 0.01, 3_600.0
_LEVELS = ("debug", "info", "warning", "error")


def main(
    arguments: Sequence[str] | None = None, program: str = "floorpulse-edge"
) -> int:
    """Run a command; the exit code."""
    try:
        options = _parser(program).parse_args(arguments)
        code: int = options.command(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone (`... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (EdgeError, OSError, sqlite3.OperationalError) as error:
        on_disk = isinstance(error, sqlite3.OperationalError)
        said = f"the spool: {error}; make room on its disk" if on_disk else f"{error}"
        print(f"Error: {said}", file=sys.stderr)
        return WRONG_USE if isinstance(error, WrongUse) else FAILED
    return code


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Events from beside a camera to the server, through a durable "
        "spool. Every option is an environment variable as well.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_run(commands)
    told = _add(commands, "status", _status, "What waits, was sent, and is wrong.")
    _add_spool(told)
    _flag(told, "--json", "Print one JSON object.")
    _flag(told, "--prometheus", "Print metrics in the text format of Prometheus.")
    aside = _add(
        commands, "refused", _refused, "Events that the server refuses, a line each."
    )
    _add_spool(aside)
    _flag(aside, "--retry", "Let them wait again, once the reason is mended.")
    packs = _add(commands, "pack", _pack, "Write the agent as one file for a device.")
    packs.add_argument("file", nargs="?", default="floorpulse-edge.pyz")
    return parser


def _add_run(commands: Any) -> None:
    run = _add(commands, "run", _run, "Read sources, send events, until it is stopped.")
    run.add_argument("source", nargs="+", help=HELP.replace("%", "%%"))
    _option(run, "--server", "Address of floorpulse: http://plant-server:8050.")
    _option(run, "--key-file", f"File with the ingestion key; or {KEY} holds the key.")
    _option(run, "--site", "The site of events that name none.")
    _option(run, "--ca-file", "Certificates to trust instead of the system's.")
    _add_spool(run)
    number = {"type": _positive, "metavar": "N"}
    _option(run, "--max-events", "Most events that wait.", LIMIT.events, **number)
    _option(run, "--max-mb", "Most MB that wait.", LIMIT.bytes >> 20, **number)
    _option(run, "--batch", "Most events in a post.", BATCH, **number)
    seconds = {"type": _seconds, "metavar": "S"}
    _option(run, "--gather-s", "Longest wait for a full batch.", 0.5, **seconds)
    _option(run, "--look-s", "How often folders are looked at.", 1.0, **seconds)
    _option(
        run, "--retry-s", "First wait after a failure, doubled to 60.", 1.0, **seconds
    )
    _option(run, "--timeout-s", "Longest wait for an answer.", TIMEOUT_S, **seconds)
    _flag(run, "--wait", "When the spool is full, have sources wait; drop nothing.")
    _flag(run, "--stamp", "An event without a time happened when it came.")
    _option(run, "--log-level", "What is logged.", "info", choices=_LEVELS)


def _add(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text
    )
    parser.set_defaults(command=command)
    return parser


def _add_spool(parser: argparse.ArgumentParser) -> None:
    # systemd names a service's own folder so.
    home = os.environ.get("STATE_DIRECTORY") or "~/.local/state/floorpulse-edge"
    _option(parser, "--spool", "Folder of the spool.", str(Path(home).expanduser()))


def _option(
    parser: argparse.ArgumentParser,
    flag: str,
    text: str,
    default: object = None,
    **more: Any,
) -> None:
    variable = _variable(flag)
    shown = "" if default is None else f" [default: {default}]"
    parser.add_argument(
        flag,
        default=os.environ.get(variable, default),
        help=f"{text} [{variable}]{shown}",
        **more,
    )


def _flag(parser: argparse.ArgumentParser, flag: str, text: str) -> None:
    variable = _variable(flag)
    said = os.environ.get(variable, "").lower() in ("1", "true", "yes")
    text = f"{text} [{variable}]"
    parser.add_argument(flag, action="store_true", default=said, help=text)


def _variable(flag: str) -> str:
    return "FLOORPULSE_" + flag.removeprefix("--").replace("-", "_").upper()


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        stream=sys.stderr,
    )
    if not options.server:
        raise WrongUse(
            "--server is missing: the address of floorpulse, such as "
            "http://plant-server:8050"
        )
    client = Client(
        options.server,
        key=_key(options.key_file),
        site=options.site,
        ca_file=options.ca_file,
        timeout_s=options.timeout_s,
    )
    limit = Size(options.max_events, options.max_mb << 20)
    pace = Pace(options.batch, options.gather_s, options.retry_s, options.stamp)
    folder = Path(options.spool)
    settings = Settings(
        options.source, client, folder, limit, pace, options.wait, options.look_s
    )
    return Agent(settings).run()


def _status(options: argparse.Namespace) -> int:
    told = status.status(Path(options.spool))
    if options.prometheus:
        print(status.prometheus(told), end="")
    else:
        print(status.as_json(told) if options.json else status.as_text(told))
    return DONE


def _refused(options: argparse.Namespace) -> int:
    folder = Path(options.spool)
    if options.retry:
        status.status(folder)
        with Spool(folder) as spool:
            print(f"{spool.retry_refused()} events wait for the server again.")
        return DONE
    for line in status.refused(folder):
        print(json.dumps(line, ensure_ascii=False))
    return DONE


def _pack(options: argparse.Namespace) -> int:
    path = Path(options.file)
    size = pack(path)
    print(
        f"{path}: {size / 1000:.0f} kB. Copy it to the device: python3 {path.name} run"
    )
    return DONE


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not _LEAST_S <= number <= _MOST_S:
        said = f"{text!r} is no number of seconds from {_LEAST_S} to {_MOST_S:g}"
        raise argparse.ArgumentTypeError(said)
    return number


def _key(path: str | None) -> str | None:
    """The key, from its file or the environment: a command line is for all to see."""
    if path is None:
        return os.environ.get(KEY) or None
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"--key-file {path}: {error}") from error
