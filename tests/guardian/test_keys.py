"""Keys: without one that is allowed nobody gets as far as sending a message."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from guardian_raw import Raw

from labonn.cli import main
from labonn.errors import ConnectError, LabonnError
from labonn.guardian import connection
from labonn.guardian.asking import status
from labonn.guardian.client import RemoteBench
from labonn.guardian.process import Serving, check_bind
from labonn.guardian.server import Server
from labonn.shots import ShotTable

Guardian = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keys of a server, of a client that is allowed, and of one that is not."""
    folder = tmp_path / "keys"
    for name in ("server", "ann", "ben"):
        assert main(["keys", "new", name, "--dir", str(folder)]) == 0
    assert main(["keys", "allow", str(folder / "ann.key"), "--dir", str(folder)]) == 0
    return folder


def url(about: dict[str, Any], folder: Path, name: str, server: str = "server") -> str:
    return f"{about['address']}?server_key={folder / server}.key&client_key={folder / name}.key_secret"


def test_secret_keys_are_for_their_owner_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("server", "ann", "ben"):
        assert stat.S_IMODE((folder / f"{name}.key_secret").stat().st_mode) == 0o600
        assert zmq.auth.load_certificate(folder / f"{name}.key")[1] is None
    assert (folder / "allowed" / "ann.key").read_bytes() == (folder / "ann.key").read_bytes()
    assert not (folder / "allowed" / "ben.key").exists()
    before = (folder / "ann.key_secret").read_bytes()
    assert main(["keys", "new", "ann", "--dir", str(folder)]) == 2
    assert "is there already; a key is never overwritten" in capsys.readouterr().err
    assert (folder / "ann.key_secret").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["new", "../ann"], "a name of letters, digits, _ and - is wanted"),
        (["allow", "KEYS/ben.key_secret"], "has a secret key, which its owner should keep"),
        (["allow", "KEYS/none.key"], "is no key file as `labonn keys new` writes them"),
        (["lend", "ann"], "invalid choice"),
    ],
)
def test_wrong_keys_are_told(arguments: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("KEYS", str(folder)) for word in arguments]
    assert main(["keys", *words, *(["--dir", str(folder)] if words[0] != "lend" else [])]) == 2
    assert told in capsys.readouterr().err


def test_a_client_with_an_allowed_key_uses_the_bench(desk: Path, folder: Path, guardian: Guardian) -> None:
    about = guardian(desk, bind="tcp://127.0.0.1:*", keys=folder)
    with RemoteBench.open(url(about, folder, "ann")) as bench:
        assert bench.play(ShotTable({}, read=("seen",), shots=2))["seen"].shape == (2, 4)
        assert status(url(about, folder, "ann"))["lease"] is not None


def test_others_are_refused_before_any_message_of_theirs_is_parsed(
    desk: Path, folder: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    take = Server._take

    def noted(self: Server, frames: Any) -> None:
        taken.append(frames)
        take(self, frames)

    monkeypatch.setattr(Server, "_take", noted)
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    about = guardian(desk, bind="tcp://127.0.0.1:*", keys=folder)
    server, public, secret = (zmq.auth.load_certificate(folder / name) for name in ("server.key", "ben.key", "ben.key_secret"))
    other = zmq.curve_keypair()
    for keys in (None, (server[0], public[0], secret[1]), (server[0], *other), (other[0], public[0], secret[1])):
        with Raw(about["address"], keys) as raw:
            raw.send({"op": "status"})
            assert raw.heard(0.5) is None
    with pytest.raises(ConnectError, match="it does not know these keys"):
        RemoteBench.open(url(about, folder, "ben"))
    assert taken == []
    with Raw(about["address"], (server[0], *map(zmq.auth.load_certificate(folder / "ann.key_secret").__getitem__, (0, 1)))) as raw:
        assert "status" in raw.ask({"op": "status"})
    assert len(taken) == 1


@pytest.mark.parametrize("bind", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555", "tcp://[::]:5555"])
def test_a_guardian_that_others_can_reach_needs_keys(bind: str) -> None:
    with pytest.raises(LabonnError, match="a guardian that others can reach needs keys: add --keys DIR"):
        check_bind(Serving(Path("x"), bind=bind))
    check_bind(Serving(Path("x"), bind=bind, keys=Path("keys")))


@pytest.mark.parametrize("bind", ["5555", "tcp://127.0.0.1", "ipc://x", "tcp://127.0.0.1:5555/x", "tcp://:5555"])
def test_an_address_that_is_none_is_told(bind: str) -> None:
    with pytest.raises(LabonnError, match="tcp://HOST:PORT is wanted"):
        check_bind(Serving(Path("x"), bind=bind))


def test_a_guardian_without_its_own_key_or_any_client_does_not_start(desk: Path, tmp_path: Path, guardian: Guardian) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(LabonnError, match=r"needs server.key_secret and allowed/.*labonn keys new server"):
        guardian(desk, bind="tcp://127.0.0.1:*", keys=empty)
    assert main(["keys", "new", "server", "--dir", str(empty)]) == 0
    (empty / "allowed").mkdir()
    with pytest.raises(LabonnError, match="no client is allowed"):
        guardian(desk, bind="tcp://127.0.0.1:*", keys=empty)


def test_a_client_says_which_key_it_lacks(folder: Path) -> None:
    with pytest.raises(ConnectError, match="must both name files"):
        RemoteBench.open(f"zmq://127.0.0.1:5555?server_key={folder / 'server.key'}")
    with pytest.raises(ConnectError, match="has no secret key"):
        RemoteBench.open(f"zmq://127.0.0.1:5555?server_key={folder / 'server.key'}&client_key={folder / 'ann.key'}")
