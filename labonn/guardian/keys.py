"""CURVE keys of guardians and their clients: who has none that is allowed is refused before a message of his is read."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from labonn.errors import ConnectError, LabonnError

Keys = tuple[bytes, bytes, bytes]
SERVER, ALLOWED = "server", "allowed"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def default_folder() -> Path:
    """Where keys are if nothing else is said."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "labonn" / "keys"


def new_key(folder: Path, name: str) -> tuple[Path, Path]:
    """(public, secret) file of a new pair; only this user may read the secret one.

    Raises:
        LabonnError: there is such a key, or it cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise LabonnError(f"key {name!r}: a name of letters, digits, _ and - is wanted")
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    for path in (public, secret):
        if path.exists():
            raise LabonnError(f"{path}: is there already; a key is never overwritten")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = os.umask(0o077)
        try:
            zmq.auth.create_certificates(folder, name)
        finally:
            os.umask(before)
        secret.chmod(0o600)
    except OSError as problem:
        raise LabonnError(f"{folder}: no keys can be written there: {problem.strerror or problem}") from None
    return public, secret


def allow(folder: Path, client: Path) -> Path:
    """Let the client with this public key use guardians that have this folder.

    Raises:
        LabonnError: it is no public key.
    """
    try:
        _, secret = zmq.auth.load_certificate(client)
    except (OSError, ValueError) as problem:
        raise LabonnError(f"{client}: is no key file as `labonn keys new` writes them: {problem}") from None
    if secret is not None:
        raise LabonnError(f"{client}: has a secret key, which its owner should keep; the client's file that ends in .key is wanted")
    allowed = folder / ALLOWED
    allowed.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(shutil.copyfile(client, allowed / (client.stem + ".key")))


@contextlib.contextmanager
def guarded(router: zmq.Socket[Any], folder: Path | None) -> Iterator[None]:
    """Only clients with an allowed key may connect to this socket, which is not bound yet; no folder: all may.

    Raises:
        LabonnError: there is no key of the server's, or no client is allowed.
    """
    if folder is None:
        yield
        return
    own, allowed = folder / f"{SERVER}.key_secret", folder / ALLOWED
    try:
        public, secret = zmq.auth.load_certificate(own)
        clients = list(zmq.auth.load_certificates(allowed))
    except (OSError, ValueError) as problem:
        told = f"labonn keys new {SERVER} --dir {folder}; labonn keys allow CLIENT.key --dir {folder}"
        raise LabonnError(f"{folder}: needs {own.name} and {ALLOWED}/: {problem}; make them by: {told}") from None
    if secret is None or not clients:
        raise LabonnError(f"{folder}: {own.name} has no secret key" if clients else f"{allowed}: no client is allowed; labonn keys allow …")
    authenticator = ThreadAuthenticator(router.context)
    authenticator.start()
    try:
        authenticator.configure_curve(domain="*", location=str(allowed))
        router.curve_secretkey, router.curve_publickey, router.curve_server = secret, public, True
        yield
    finally:
        authenticator.stop()


def client_keys(url: str, server: str, client: str) -> Keys:
    """The server's public key, and the client's public and secret one.

    Raises:
        ConnectError: they cannot be read.
    """
    try:
        (server_key, _), (public, secret) = (zmq.auth.load_certificate(Path(file).expanduser()) for file in (server, client))
    except (OSError, ValueError) as problem:
        raise ConnectError(f"{url}: server_key and client_key must both name files that `labonn keys new` wrote: {problem}") from None
    if secret is None:
        raise ConnectError(f"{url}: {client} has no secret key; the client's file that ends in .key_secret is wanted")
    return server_key, public, secret
