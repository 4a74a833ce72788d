"""Data sets: the shipped one, folders of IDX files, and what is said of folders that are none."""

from __future__ import annotations

import gzip
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest

from labonn import data, idx
from labonn.errors import DataError

RNG = np.random.default_rng(5)
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def images_file(count: int, rows: int = 4, cols: int = 3) -> bytes:
    return struct.pack(">IIII", 0x00000803, count, rows, cols) + RNG.integers(0, 256, count * rows * cols, np.uint8).tobytes()


def labels_file(labels: list[int]) -> bytes:
    return struct.pack(">II", 0x00000801, len(labels)) + bytes(labels)


def make_folder(folder: Path, names: tuple[str, ...] = NAMES, ending: str = ".gz") -> dict[str, bytes]:
    """Ten training and four test images with labels 0 to 4."""
    contents = (images_file(10), labels_file([i % 5 for i in range(10)]), images_file(4), labels_file([0, 4, 2, 1]))
    for name, content in zip(names, contents, strict=True):
        (folder / (name + ending)).write_bytes(gzip.compress(content) if ending else content)
    return dict(zip(names, contents, strict=True))


def test_the_shipped_set_is_5000_and_1000_images_with_as_many_of_each_digit() -> None:
    mini = data.load("mini")
    assert mini.train_images.shape == (5000, 784)
    assert mini.test_images.shape == (1000, 784)
    assert np.bincount(mini.train_labels).tolist() == [500] * 10
    assert np.bincount(mini.test_labels).tolist() == [100] * 10
    assert (mini.name, mini.classes, mini.rows, mini.cols) == ("mini", 10, 28, 28)
    assert "MNIST" in mini.note


def test_the_shipped_images_are_digits_that_a_linear_classifier_can_tell_apart() -> None:
    mini = data.load("mini")
    ones = np.ones((5000, 1))
    inputs = np.hstack([mini.train_images / 255, ones])
    ridge = inputs.T @ inputs + 10 * np.eye(785)
    weights = np.linalg.solve(ridge, inputs.T @ np.eye(10)[mini.train_labels])
    guesses = (np.hstack([mini.test_images / 255, ones[:1000]]) @ weights).argmax(axis=1)
    assert 0.8 < np.mean(guesses == mini.test_labels) < 0.95


def test_the_shipped_training_and_test_images_have_none_in_common() -> None:
    mini = data.load("mini")
    assert not {image.tobytes() for image in mini.train_images} & {image.tobytes() for image in mini.test_images}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("prefix", ["", "emnist-balanced-"])
def test_a_folder_is_read_plain_or_compressed_with_any_prefix(tmp_path: Path, ending: str, prefix: str) -> None:
    names = tuple(prefix + name.replace("t10k", "test" if prefix else "t10k") for name in NAMES)
    contents = make_folder(tmp_path, names, ending)
    found = data.load(str(tmp_path))
    assert found.train_images.tobytes() == contents[names[0]][16:]
    assert found.train_images.shape == (10, 12)
    assert found.test_labels.tolist() == [0, 4, 2, 1]
    assert (found.classes, found.rows, found.cols, found.name) == (5, 4, 3, tmp_path.name)
    assert ("transposed" in found.note) == bool(prefix)


@pytest.mark.parametrize(("part", "keep"), [("test", NAMES[2:]), ("training", NAMES[:2])])
def test_a_folder_with_one_part_only_is_split_80_to_20_and_says_so(tmp_path: Path, part: str, keep: tuple[str, str]) -> None:
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1)
    (tmp_path / keep[0]).write_bytes(idx.encode(images))
    (tmp_path / keep[1]).write_bytes(labels_file([i % 5 for i in range(50)]))
    first, again = data.load(tmp_path), data.load(tmp_path)
    assert len(first.train_labels) == 40
    assert len(first.test_labels) == 10
    assert sorted([*first.train_images.ravel(), *first.test_images.ravel()]) == list(range(50))
    assert (first.train_images.ravel() % 5 == first.train_labels).all()
    assert (first.test_images.ravel() % 5 == first.test_labels).all()
    assert first.train_images.tolist() == again.train_images.tolist()
    assert f"{part} images only" in first.note
    assert "40" in first.note


def test_validation_and_test_are_halves_drawn_by_the_seed_without_overlap() -> None:
    mini = data.load("mini")
    validation, test = data.split_validation(mini, seed=3)
    assert len(validation.labels) == len(test.labels) == 500
    both = sorted(image.tobytes() for part in (validation, test) for image in part.images)
    assert both == sorted(image.tobytes() for image in mini.test_images)
    assert (data.split_validation(mini, seed=3)[0].labels == validation.labels).all()
    assert (data.split_validation(mini, seed=4)[0].images != validation.images).any()


def test_picked_pixels_are_every_fourth_from_the_middle_of_the_first_block_on() -> None:
    mini = data.load("mini")
    few = data.picked(mini, 49)
    assert (few.rows, few.cols, few.train_images.shape, few.name) == (7, 7, (5000, 49), "mini, every 4th pixel")
    whole = mini.test_images.reshape(-1, 28, 28)
    assert (few.test_images.reshape(-1, 7, 7) == whole[:, 2::4, 2::4]).all()
    assert data.picked(mini, 784) is mini
    for pixels in (50, 100, 3000):
        with pytest.raises(DataError, match=f"28 x 28 pixels do not have {pixels} pixels"):
            data.picked(mini, pixels)


def test_an_array_survives_encoding_and_decoding() -> None:
    array = RNG.integers(0, 256, (3, 4, 5), np.uint8)
    encoded = idx.encode(array)
    assert encoded[:16] == bytes.fromhex("00000803 00000003 00000004 00000005")
    assert (idx.decode(encoded, 3, "x") == array).all()


TRAIN, LABELS, TEST, TEST_LABELS = (name + ".gz" for name in NAMES)
BROKEN = {
    "is called .gz but is plain": (TRAIN, images_file(10), r"train-images.*is called \.gz but begins with 00 00 08 03; gzip begins"),
    "a web page": (TRAIN, b"<html>404</html>", r"begins with 3c 68 74 6d; gzip begins with 1f 8b"),
    "empty": (TRAIN, b"", r"the file is empty"),
    "cut gzip": (TRAIN, gzip.compress(images_file(10))[:-20], r"train-images.*cut short"),
    "damaged gzip": (TRAIN, gzip.compress(images_file(10))[:30] + bytes(90), r"train-images.*damaged|cut short"),
    "labels for images": (TRAIN, gzip.compress(labels_file([1])), r"begins with 00 00 08 01; IDX images .* 08 03 \(these are labels"),
    "wrong type": (LABELS, gzip.compress(b"\0\0\x0d\x01" + bytes(50)), r"begins with 00 00 0d 01; IDX labels begin with 00 00 08 01"),
    "too few bytes": (TRAIN, gzip.compress(images_file(10)[:-7]), r"cut short: 129 bytes, .* 10 x 4 x 3, so 136 bytes"),
    "too many bytes": (LABELS, gzip.compress(labels_file([0] * 10) + b"x"), r"too long: 19 bytes, .* so 18 bytes"),
    "header only begun": (TRAIN, gzip.compress(images_file(10)[:9]), r"the header alone has 16"),
    "huge": (TRAIN, gzip.compress(struct.pack(">IIII", 0x803, *(2**32 - 1,) * 3)), r"so 79228162458924105385300197391 bytes"),
    "fewer labels": (LABELS, gzip.compress(labels_file([0] * 9)), r"has 10 images, .*train-labels\S* has 9 labels"),
    "label out of range": (TEST_LABELS, gzip.compress(labels_file([0, 1, 2, 7])), r"test label 7 is out of range; .* 0 to 4"),
    "another size": (TEST, gzip.compress(images_file(4, 5, 5)), r"training images are 4 x 3 pixels, test images are 5 x 5"),
    "no images": (TEST, gzip.compress(images_file(0)), r"has 0 images"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_by_name_with_what_was_expected(tmp_path: Path, case: str) -> None:
    make_folder(tmp_path)
    name, content, message = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path)


def test_a_file_without_its_partner_names_what_is_missing(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz has no training labels beside it; looked for \*train-labels"):
        data.load(tmp_path)


def test_two_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    make_folder(tmp_path)
    make_folder(tmp_path, tuple("other-" + name for name in NAMES))
    with pytest.raises(DataError, match=r"several files of training images: other-train-images.*, train-images"):
        data.load(tmp_path)


def test_a_folder_of_something_else_is_listed(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"looked for \*train-images.*there is holiday\.jpg"):
        data.load(tmp_path)
    with pytest.raises(DataError, match=r"nowhere: no such folder; .*labonn data fetch"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holiday\.jpg: is a file, not a folder"):
        data.load(tmp_path / "holiday.jpg")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "train-labels-idx1-ubyte.gz").mkdir()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz: cannot be read: Is a directory"):
        data.load(tmp_path)


def test_the_script_that_made_the_shipped_set_is_balanced_and_repeatable(tmp_path: Path) -> None:
    source = tmp_path / "full"
    source.mkdir()
    for part, count in (("train", 6000), ("t10k", 1500)):
        pixels, labels = RNG.integers(0, 256, (count, 2, 2), np.uint8), RNG.permutation(np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            (source / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx.encode(array)))
    make = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "make_mini.py"))["main"]
    for name in ("a", "b"):
        make(source, tmp_path / name)
    made = data.load(tmp_path / "a")
    assert np.bincount(made.train_labels).tolist() == [500] * 10
    assert np.bincount(made.test_labels).tolist() == [100] * 10
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
