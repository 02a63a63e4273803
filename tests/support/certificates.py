"""Certificates of a test's own: an authority, a server on loopback, and a client."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NEW = (
    *("openssl", "req", "-x509", "-nodes", "-days", "1", "-newkey", "ec"),
    *("-pkeyopt", "ec_paramgen_curve:P-256"),
)


@dataclass(frozen=True)
class Certificates:
    """A folder with ca, server and client, each as .pem and .key."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def query(self) -> str:
        """What a broker's URL needs to trust the server and to show the client."""
        return (
            f"ca={self.path('ca.pem')}&cert={self.path('client.pem')}"
            f"&key={self.path('client.key')}"
        )

    def client(self) -> ssl.SSLContext:
        """The same for a client of the test's own."""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        context.load_cert_chain(self.path("client.pem"), self.path("client.key"))
        return context

    def server(self) -> ssl.SSLContext:
        """For a server of the test's own, which wants a certificate of its clients."""
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=self.path("ca.pem")
        )
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        return context


def make_certificates(folder: Path) -> Certificates:
    """All of them, good for a day."""
    if shutil.which("openssl") is None:
        pytest.skip("PROGRAM NOT FOUND: openssl (apt-get install openssl)")
    made = Certificates(folder)
    _make(made, "ca", "-addext", "keyUsage=critical,keyCertSign")
    signed = ("-CA", made.path("ca.pem"), "-CAkey", made.path("ca.key"))
    for name in ("server", "client"):
        ours = "basicConstraints=critical,CA:FALSE"
        at = "subjectAltName=IP:127.0.0.1"
        _make(made, name, *signed, "-addext", ours, "-addext", at)
    return made


def _make(made: Certificates, name: str, *options: str) -> None:
    files = ("-keyout", made.path(f"{name}.key"), "-out", made.path(f"{name}.pem"))
    command = [*_NEW, *files, "-subj", f"/CN={name}", *options]
    subprocess.run(command, check=True, capture_output=True)
