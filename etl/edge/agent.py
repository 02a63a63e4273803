"""The agent: sources, intake and sender, a thread each, from start to a good end."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl.edge.client import Client
from etl.edge.errors import EdgeError
from etl.edge.intake import Intake, Stopped
from etl.edge.sender import Pace, Sender
from etl.edge.size import Size
from etl.edge.source import Source
from etl.edge.sources import open_sources
from etl.edge.spool import Spool
from etl.edge.stop import Stop

log = logging.getLogger(__name__)

DONE, FAILED, INCOMPLETE = 0, 1, 3
# What threads are given at the end: sources, the last commit, a post on its way.
_SOURCES_S, _COMMIT_S, _POST_S = 2.0, 10.0, 5.0


@dataclass(frozen=True)
class Settings:
    """What an agent is told."""

    sources: Sequence[str]
    client: Client
    folder: Path
    limit: Size
    pace: Pace
    patient: bool = False
    look_s: float = 1.0


class Agent:
    """One run; `run` returns the exit code."""

    def __init__(self, settings: Settings) -> None:
        self._stop = Stop()
        self._client, self._patient = settings.client, settings.patient
        self._spool = Spool(settings.folder, settings.limit)
        try:
            self._sources = open_sources(settings.sources, self._spool, settings.look_s)
        except (EdgeError, OSError):
            self._spool.close()
            raise
        self._spool.note("server", settings.client.url)
        self._intake = Intake(self._spool, self._stop)
        self._sender = Sender(self._spool, self._client, self._stop, settings.pace)
        self._woken, self._waking = os.pipe()
        self._ended: set[str] = set()
        self._signalled = False
        self._error: EdgeError | None = None

    def run(self) -> int:
        """Until a signal, or until finite sources are read and sent."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signal)
        intake = self._start("intake", self._intake.run)
        sender = self._start("sender", self._sender.run)
        reading = [self._start(s.name, self._reads(s)) for s in self._sources]
        log.info(
            "%d events wait, sending to %s",
            self._spool.waiting.events,
            self._client.url,
        )
        drained = self._until_end({thread.name for thread in reading})
        self._finish(intake, sender, reading)
        if self._error is not None:
            raise self._error
        if not drained and not self._signalled:
            return FAILED
        if drained and (self._sender.parked or self._sender.refused):
            return INCOMPLETE
        return DONE

    def _reads(self, source: Source) -> Callable[[], None]:
        patient = source.keeps or self._patient
        intake = self._intake
        deliver = intake.deliver_patiently if patient else intake.deliver

        def read() -> None:
            try:
                source.run(deliver, self._stop)
            except Stopped:
                log.debug("%s: stopped", source.name)

        return read

    def _start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            well = False
            try:
                work()
                well = True
            except EdgeError as error:
                self._error = error
            finally:
                self._ended.add(name if well else "failed")
                os.write(self._waking, b"e")

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _signal(self, *_: object) -> None:
        # A handler may run while the main thread holds any lock: it only writes.
        self._signalled = True
        os.write(self._waking, b"s")

    def _until_end(self, reading: set[str]) -> bool:
        """Wait for the end; whether it is that all was read and sent."""
        ending = False
        while not self._signalled and "failed" not in self._ended:
            if "sender" in self._ended:
                return True
            if "intake" in self._ended:
                self._sender.drain()
            elif reading <= self._ended and not ending:
                ending = True
                self._intake.end()
            select.select([self._woken], [], [])
            os.read(self._woken, 64)
        return False

    def _finish(
        self,
        intake: threading.Thread,
        sender: threading.Thread,
        reading: Sequence[threading.Thread],
    ) -> None:
        """Store what was read, tell the sources, end the post that is on its way."""
        self._stop.set()
        self._spool.wake()
        until = time.monotonic() + _SOURCES_S
        for thread in reading:
            thread.join(max(0.0, until - time.monotonic()))
        if intake.is_alive():
            self._intake.end()
            intake.join(_COMMIT_S)
        for source in self._sources:
            source.close()
        sender.join(_POST_S)
        if sender.is_alive():
            self._client.abort()
            sender.join(_POST_S)
        log.info("%d events wait for the next start", self._spool.waiting.events)
        if not (intake.is_alive() or sender.is_alive()):
            self._client.close()
            self._spool.close()
