"""Published data sets: files with sizes and checksums, and where they are to be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name below a mirror's URL, its size in bytes, its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class RemoteSet:
    """A published data set: its files, base URLs in the order to try, and members of its zip files to unpack."""

    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    members: tuple[str, ...] = ()


def _four(*rows: tuple[int, str]) -> tuple[RemoteFile, ...]:
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(RemoteFile(name, size, digest) for name, (size, digest) in zip(names, rows, strict=True))


def _emnist(split: str) -> RemoteSet:
    """The archive is one zip of all splits; only the wanted one is unpacked."""
    archive = RemoteFile("gzip.zip", 561_753_746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e")
    members = tuple(f"gzip/emnist-{split}-{part}-{kind}-ubyte.gz" for part in ("train", "test") for kind in ("images-idx3", "labels-idx1"))
    mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST/", "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/")
    return RemoteSet((archive,), mirrors, members)


SETS: Mapping[str, RemoteSet] = {
    "mnist": RemoteSet(
        _four(
            (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
    ),
    "kmnist": RemoteSet(
        _four(
            (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ),
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/", "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    ),
    "emnist": _emnist("balanced"),
    **{f"emnist-{split}": _emnist(split) for split in EMNIST_SPLITS},
}
