"""`make chaos`: ten minutes of it, 200,000 events; CHAOS="--minutes 1" for less."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.run import Outcome, Plan, story
from tests.support.local_server import open_folder
from tests.support.servers import engines_found


def main() -> int:
    """Tell a story; 1 where something is not as it must be."""
    options = _options()
    plan = Plan(
        seed=options.seed,
        events=options.events,
        seconds=60 * options.minutes,
        kill_every_s=options.kill_every_s,
        longest_down_s=options.down_s,
    )
    print(f"seed {plan.seed}, {plan.seconds:.0f} s, on {options.engine}", flush=True)
    # A service manager's way to end it leaves no process behind, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open_folder() as folder:
        server = engines_found()[options.engine].server(folder / "server")
        began = time.monotonic()

        def say(text: str) -> None:
            print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

        try:
            outcome = story(plan, server, folder, say)
            _tell(outcome)
        finally:
            server.remove()
            if options.logs is not None:
                options.logs.mkdir(parents=True, exist_ok=True)
                for log in folder.glob("*.log"):
                    shutil.copy(log, options.logs)
    return 1 if outcome.wrong else 0


def _tell(outcome: Outcome) -> None:
    print(f"killed {sum(outcome.kills.values())} times: {dict(outcome.kills)}")
    exits = {name: codes for name, codes in outcome.exits.items() if codes}
    print(f"ended by themselves (exit codes): {exits}")
    print(f"sent again, for want of an answer: {dict(outcome.repeated)}")
    for line in outcome.tracebacks:
        print(f"traceback: {line}")
    for line in outcome.wrong:
        print(f"WRONG: {line}")
    print("wrong" if outcome.wrong else "exactly the known set, and every number")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    seed = int(datetime.now(UTC).timestamp())
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=seed, help="the same deaths again")
    parser.add_argument("--kill-every-s", type=float, default=60.0, help="each process")
    parser.add_argument("--down-s", type=float, default=5.0, help="at most, each time")
    parser.add_argument("--engine", default="plain", choices=sorted(engines_found()))
    parser.add_argument("--logs", type=Path, help="a folder to keep all logs in")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
