"""The one exception tree of floorpulse: each error says what to do next.

The names say what is wrong, not that something is: `OverlappingShift`.
"""

# ruff: noqa: N818
from __future__ import annotations

import inspect


class FloorpulseError(Exception):
    """Something went wrong. Run `floorpulse doctor` to find out what."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        super().__init__(self.message)


class BadSetting(FloorpulseError):
    """A setting has a value that floorpulse cannot use. See `floorpulse --help`."""


class ServerError(FloorpulseError):
    """The local PostgreSQL server cannot run. Its log says why: see `db status`."""


class DsnError(FloorpulseError):
    """The database cannot be reached. Check FLOORPULSE_DSN."""


class NoDatabase(DsnError):
    """No database answers. Start it, or check FLOORPULSE_DSN."""


class ServerTooOld(FloorpulseError):
    """The server is older than PostgreSQL 16. Upgrade it or name another one."""


class ForeignDatabase(FloorpulseError):
    """The database belongs to another program. Name an empty one in FLOORPULSE_DSN."""


class MissingPrivilege(FloorpulseError):
    """The database role may not do this. Connect as the owner of the database."""


class MigrationError(FloorpulseError):
    """The schema cannot be migrated. Run `floorpulse db status` to see why."""


class NotMigrated(MigrationError):
    """The database has no floorpulse schema yet. Run `floorpulse db migrate`."""


class UnknownSite(FloorpulseError):
    """No such site. `floorpulse site list` shows the sites there are."""


class UnknownShift(FloorpulseError):
    """No such shift. `floorpulse shift list` shows the shifts there are."""


class UnknownCamera(FloorpulseError):
    """No camera of the site has that id."""


class UnknownAlert(FloorpulseError):
    """No such alert. `floorpulse alerts list --state all` shows all there are."""


class UnknownChannel(FloorpulseError):
    """No such channel. `floorpulse alerts channel list` shows all there are."""


class UnknownRequest(FloorpulseError):
    """No such retraining request. `floorpulse retraining list --state all` has all."""


class NotItsTurn(BadSetting):
    """A retraining request is not in a state for that. `retraining show` tells it."""


class NotExported(FloorpulseError):
    """The export could not be written. Mend what is said and export again."""


class NotDelivered(FloorpulseError):
    """Somebody was not told of something. The scheduler tries again."""


class OverlappingShift(FloorpulseError):
    """Two shifts of one site overlap. Change the start or the length of one."""


class InputError(FloorpulseError):
    """The input cannot be read. Nothing of the unreadable part was stored."""


class RetryRunning(FloorpulseError):
    """Parked events are being sent again just now. See what is left in a minute."""


class DriftError(FloorpulseError):
    """A check of model health failed. The next one does its work."""


class RetentionError(FloorpulseError):
    """Old events could not be deleted. The next run of the job tries again."""


class RefreshError(FloorpulseError):
    """A refresh failed. Run `floorpulse refresh` again; it continues where it ended."""


class BrokerError(FloorpulseError):
    """The broker refuses what is asked of it. Check the URL and the broker's side."""


class BrokerGone(BrokerError):
    """The broker does not answer. Start it, or check host and port of the URL."""
