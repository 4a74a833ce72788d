"""Downloads against a server on the loopback: good, wrong, short, refused, slow; and what they leave behind."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labonn.downloads import fetch
from labonn.errors import DataError
from labonn.published import SETS, RemoteFile, RemoteSet

GOOD = bytes(range(256)) * 1000
SMALL = b"labels"
WANTED = RemoteSet(
    tuple(RemoteFile(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in (("big.gz", GOOD), ("small.gz", SMALL))),
    ("http://127.0.0.1:9/never/",),
)


class Server:
    """Serves `files` by path; `announced` overrides a Content-Length; remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.announced: dict[str, int] = {}
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if self.path == "/stalls/big.gz":
                    outer.released.wait(5)
                content = outer.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(outer.announced.get(self.path, len(content))))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.released = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def url(self, folder: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{folder}/"

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    it.files = {"/good/big.gz": GOOD, "/good/small.gz": SMALL}
    yield it
    it.close()


def get(target: Path, *mirrors: str, **settings: object) -> list[str]:
    return fetch("set", target, mirrors, sets={"set": WANTED}, **settings)  # type: ignore[arg-type]


def test_good_files_arrive_whole_and_progress_ends_at_their_size(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    assert get(tmp_path / "new" / "folder", server.url("good"), progress=lambda *step: told.append(step)) == ["big.gz", "small.gz"]
    assert (tmp_path / "new" / "folder" / "big.gz").read_bytes() == GOOD
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["big.gz", "small.gz"]
    sizes = [received for name, received, _ in told if name == "big.gz"]
    assert sizes == sorted(sizes)
    assert len(sizes) > 2
    assert told[-1] == ("small.gz", 6, 6)


def test_a_mirror_needs_no_slash_at_its_end(server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, server.url("good").rstrip("/")) == ["big.gz", "small.gz"]


def test_what_is_there_and_right_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    get(tmp_path, server.url("good"))
    server.requests.clear()
    assert get(tmp_path, server.url("good")) == []
    assert server.requests == []


def test_what_is_there_but_wrong_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.gz").write_bytes(b"lapels")
    assert get(tmp_path, server.url("good")) == ["big.gz", "small.gz"]
    assert (tmp_path / "small.gz").read_bytes() == SMALL


@pytest.mark.parametrize(
    ("content", "announced", "message"),
    [
        (
            GOOD[:-1] + b"x",
            None,
            r"big\.gz could not be fetched: http://127\S+/bad/big\.gz: wrong checksum: SHA-256 \w+…, the published file has \w+…",
        ),
        (GOOD[:1000], None, r"cut short: 1000 of 256000 bytes"),
        (GOOD[:1000], len(GOOD), r"cut short: 1000 of 256000 bytes|after 1000 bytes"),
        (GOOD + b"x", None, r"sends more than the 256000 bytes"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_is_left_behind(
    server: Server, tmp_path: Path, content: bytes, announced: int | None, message: str
) -> None:
    server.files["/bad/big.gz"] = content
    if announced is not None:
        server.announced["/bad/big.gz"] = announced
    with pytest.raises(DataError, match=message):
        get(tmp_path, server.url("bad"))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_does_not_replace_the_one_that_was_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "big.gz").write_bytes(b"mine")
    server.files["/bad/big.gz"] = GOOD[::-1]
    with pytest.raises(DataError, match="wrong checksum"):
        get(tmp_path, server.url("bad"))
    assert (tmp_path / "big.gz").read_bytes() == b"mine"


def test_mirrors_are_tried_in_turn_until_one_has_the_right_file(server: Server, tmp_path: Path) -> None:
    server.files["/bad/big.gz"] = GOOD[::-1]
    assert get(tmp_path, server.url("missing"), server.url("bad"), server.url("good")) == ["big.gz", "small.gz"]
    assert server.requests[:3] == ["/missing/big.gz", "/bad/big.gz", "/good/big.gz"]
    assert (tmp_path / "big.gz").read_bytes() == GOOD


def test_when_all_mirrors_fail_every_reason_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"big\.gz: HTTP 404 Not Found; http://127\.0\.0\.1:9/\S*: .*refused.*; nonsense/big\.gz: unknown url type"
    ):
        get(tmp_path, server.url("missing"), "http://127.0.0.1:9/", "nonsense")


def test_a_server_that_stalls_is_given_up(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stalls/big\.gz: .*timed out"):
        get(tmp_path, server.url("stalls"), timeout_s=0.2)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_nothing_half_done(server: Server, tmp_path: Path) -> None:
    def stop(name: str, received: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, server.url("good"), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(DataError, match=r"taken: cannot write there: File exists"):
        get(tmp_path / "taken", "http://127.0.0.1:9/")


def test_an_unknown_set_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set is called 'mnits'; known are mnist, kmnist, emnist"):
        fetch("mnits", tmp_path)


def zipped(names: list[str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, name[::-1])
    return archive.getvalue()


def zip_set(content: bytes) -> RemoteSet:
    return RemoteSet((RemoteFile("gzip.zip", len(content), hashlib.sha256(content).hexdigest()),), (), ("gzip/a.gz", "gzip/b.gz"))


def test_of_an_archive_only_the_wanted_members_stay_and_are_checked_next_time(server: Server, tmp_path: Path) -> None:
    content = zipped(["gzip/a.gz", "gzip/b.gz", "gzip/c.gz"])
    server.files["/good/gzip.zip"] = content
    sets = {"emnist": zip_set(content)}
    assert fetch("emnist", tmp_path, [server.url("good")], sets=sets) == ["a.gz", "b.gz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gz", "b.gz", "emnist.sha256"]
    assert (tmp_path / "b.gz").read_text() == "gzip/b.gz"[::-1]
    assert fetch("emnist", tmp_path, [server.url("good")], sets=sets) == []
    assert server.requests == ["/good/gzip.zip"]
    (tmp_path / "a.gz").write_text("changed")
    assert fetch("emnist", tmp_path, [server.url("good")], sets=sets) == ["a.gz", "b.gz"]
    assert (tmp_path / "a.gz").read_text() == "gzip/a.gz"[::-1]


@pytest.mark.parametrize(
    ("content", "message"), [(zipped(["gzip/a.gz"]), r"gzip\.zip: .*gzip/b\.gz"), (b"no zip at all", r"gzip\.zip: .*not a zip")]
)
def test_an_archive_without_the_members_is_refused(server: Server, tmp_path: Path, content: bytes, message: str) -> None:
    server.files["/good/gzip.zip"] = content
    with pytest.raises(DataError, match=message):
        fetch("emnist", tmp_path, [server.url("good")], sets={"emnist": zip_set(content)})


def test_the_published_sets_are_complete() -> None:
    for name in ("mnist", "kmnist"):
        assert [file.name.split("-ubyte")[0] for file in SETS[name].files] == [
            "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1",
        ]  # fmt: skip
    for name, known in SETS.items():
        assert known.mirrors, name
        assert all(len(file.sha256) == 64 and file.size > 1000 for file in known.files)
        assert len(known.members) == (4 if name.startswith("emnist") else 0)
    assert len({file.sha256 for known in SETS.values() for file in known.files}) == 9
