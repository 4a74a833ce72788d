"""EDIDs: one of a real monitor, and some put together by hand from the tables of the VESA standard."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.slm_edid import Edid, parse_edid

DELL = bytes.fromhex(
    "00FFFFFFFFFFFF0010AC24F0534D38410116010380331D78EA1E55A059569F270D5054A54B00714F8180D1C001010101"
    "010101010101023A801871382D40582C4500FD1E1100001E000000FF004D324E4E3632313541384D530A000000FC0044"
    "454C4C20535432333230 4C0A000000FD00384C1E5311000A2020202020200174"
)
HOLOEYE = Edid("HOL", 0x1234, 5012, "HOLOEYE PLUTO", "6010-0042", (1080, 1920))


def text_descriptor(tag, text):
    return bytes((0, 0, 0, tag, 0)) + (text.encode() + b"\n").ljust(13, b" ")[:13]


def timing(rows, columns, flags=0x1A):
    """Table 3.21: clock, active and blanking columns (low bytes, then high nibbles together), rows likewise, the rest, flags."""
    columns_of = (columns & 255, 280 & 255, (columns >> 8) << 4 | 280 >> 8)
    rows_of = (rows & 255, 45, (rows >> 8) << 4)
    return bytes((0x02, 0x3A, *columns_of, *rows_of, 88, 44, 0x45, 0, 15, 9, 0, 0, 0, flags))


def summed(block):
    return bytes(block[:127]) + bytes(((-sum(block[:127])) % 256,))


def edid(maker=(0x21, 0xEC), features=0x0A, descriptors=None, version=(1, 4), number=5012):
    """HOL is 01000 01111 01100 of five bits each: 0x21EC."""
    unused = bytes((0, 0, 0, 0x10)) + bytes(14)
    named = [timing(1080, 1920), text_descriptor(0xFC, "HOLOEYE PLUTO"), text_descriptor(0xFF, "6010-0042"), unused]
    head = bytes.fromhex("00ffffffffffff00") + bytes(maker) + b"\x34\x12" + number.to_bytes(4, "little") + bytes((12, 30))
    basics = bytes(version) + bytes((0xA5, 2, 1, 120, features)) + bytes(10) + bytes(3) + b"\x01\x01" * 8
    return summed(head + basics + b"".join(descriptors or named) + bytes(1) + bytes(1))


def test_a_real_monitors_edid_is_read():
    assert parse_edid(DELL) == Edid("DEL", 0xF024, 0x41384D53, "DELL ST2320L", "M2NN6215A8MS", (1080, 1920))


def test_one_built_from_the_standard_is_read_with_everything_in_its_place():
    assert len(edid()) == 128
    assert parse_edid(edid()) == HOLOEYE
    assert str(HOLOEYE) == "HOLOEYE PLUTO (HOL 1234, serial 6010-0042)"


def test_extension_blocks_behind_it_do_not_matter():
    assert parse_edid(edid() + bytes(range(128))) == HOLOEYE


def test_without_descriptors_there_is_still_maker_product_and_number():
    found = parse_edid(edid(descriptors=[bytes((0, 0, 0, 0x10)) + bytes(14)] * 4))
    assert found == Edid("HOL", 0x1234, 5012, "", "", None)
    assert str(found) == "HOL 1234, serial 5012"
    assert str(parse_edid(edid(descriptors=[text_descriptor(0xFE, "x")] * 4, number=0))) == "HOL 1234"


def test_a_first_timing_that_is_not_the_panels_own_is_not_taken_for_it():
    assert parse_edid(edid(features=0x08)).size is None


@pytest.mark.parametrize(("rows", "columns"), [(1200, 1920), (4094, 4095), (768, 1024), (1024, 1272), (2464, 4160 - 65)])
def test_sizes_of_twelve_bits_are_read(rows, columns):
    assert parse_edid(edid(descriptors=[timing(rows, columns), *[text_descriptor(0xFE, "")] * 3])).size == (rows, columns)


def test_an_interlaced_timing_counts_both_fields():
    assert parse_edid(edid(descriptors=[timing(540, 1920, 0x9A), *[text_descriptor(0xFE, "")] * 3])).size == (1080, 1920)


def test_a_name_of_all_thirteen_letters_needs_no_end():
    assert parse_edid(edid(descriptors=[text_descriptor(0xFC, "ABCDEFGHIJKLM"), *[timing(8, 8)] * 3])).name == "ABCDEFGHIJKLM"


@pytest.mark.parametrize("byte", [0, 9, 30, 100, 127])
def test_one_wrong_bit_anywhere_is_noticed(byte):
    damaged = bytearray(edid())
    damaged[byte] ^= 4
    with pytest.raises(ValueError, match="begins with" if byte == 0 else "the sum of an EDID's bytes"):
        parse_edid(bytes(damaged))


@pytest.mark.parametrize("data", [b"", edid()[:127]])
def test_a_piece_of_one_is_refused(data):
    with pytest.raises(ValueError, match=f"128 bytes or more, not {len(data)}"):
        parse_edid(data)


def test_a_version_that_has_another_layout_is_refused():
    with pytest.raises(ValueError, match=r"EDID version 2\.0 is unknown"):
        parse_edid(edid(version=(2, 0)))


@pytest.mark.parametrize("word", ["HOLOEYE", "pluto", "hol", "1234", "5012", "6010-0042"])
def test_it_answers_to_parts_of_its_name_and_to_whole_numbers(word):
    assert HOLOEYE.answers_to(word)


@pytest.mark.parametrize("word", ["", "DELL", "501", "6010", "HO L", "0"])
def test_it_does_not_answer_to_others(word):
    assert not HOLOEYE.answers_to(word)


@given(st.binary(min_size=120, max_size=120), st.booleans())
@example(bytes(120), True)
def test_no_bytes_behind_the_header_do_anything_but_give_an_edid_or_a_value_error(data, known):
    block = summed(bytes.fromhex("00ffffffffffff00") + data[:10] + (b"\1" if known else data[10:11]) + data[11:])
    if block[18] != 1:
        with pytest.raises(ValueError, match="version"):
            parse_edid(block)
        return
    found = parse_edid(block)
    assert len(found.maker) == 3
    assert found.size is None or min(found.size) > 0
