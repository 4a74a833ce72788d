"""Quantities in text, there and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.units import format_quantity, format_range, mA, nm, parse_quantity, us


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("4.0 V", "V", 4.0),
        ("-3.6V", "V", -3.6),
        ("20 mA", "A", 0.02),
        ("20 uA", "A", 2e-5),
        ("20 µA", "A", 2e-5),
        ("1e-3 A", "A", 1e-3),
        ("5 ns", "s", 5e-9),
        ("1.5 kV", "V", 1500.0),
        (" 60 degC ", "degC", 60.0),
        (".5", "1", 0.5),
        ("7", "V", 7.0),
        (7, "V", 7.0),
        (2.5, "degC", 2.5),
    ],
)
def test_a_quantity_is_read_in_the_unit_that_is_wanted(text: str | float, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("4 A", "V", "'4 A' is in 'A', not in V"),
        ("4 mV", "A", "is in 'mV', not in A"),
        ("60 C", "degC", "is in 'C', not in degC"),
        ("60 mdegC2", "degC", "not in degC"),
        ("3 m1", "1", "is in 'm1', not in 1"),
        ("four V", "V", 'is not a number with a unit; write for instance "1.5 V"'),
        ("", "V", "is not a number with a unit"),
        ("4 V 5", "V", "is not a number with a unit"),
        ("1e999 V", "V", "is not finite"),
        (math.inf, "V", "is not finite"),
        (math.nan, "V", "is not finite"),
        (True, "V", "True is not a quantity in V"),
        ([4], "V", r"\[4\] is not a quantity in V"),
        (None, "V", "None is not a quantity"),
    ],
)
def test_what_is_no_quantity_of_that_unit_is_refused_with_its_text(text: Any, unit: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_quantity(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0042, "A", "4.2 mA"),
        (4.2, "V", "4.2 V"),
        (0.0, "V", "0 V"),
        (-3.6, "V", "-3.6 V"),
        (1e-3, "A", "1 mA"),
        (2.2e-14, "A", "2.2e-14 A"),
        (125e6, "Hz", "125 MHz"),
        (0.001, "degC", "0.001 degC"),
        (0.25, "1", "0.25"),
        (math.nan, "V", "nan V"),
        (-math.inf, "V", "-inf V"),
        (1 / 3, "V", "333.333 mV"),
    ],
)
def test_a_value_is_written_with_a_readable_prefix(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (0, 4, "V", "0 to 4 V"),
        (-3.6, 3.6, "V", "-3.6 to 3.6 V"),
        (-0.1, 4, "V", "-100 mV to 4 V"),
        (0, 0.024, "A", "0 to 24 mA"),
        (-0.01, 0, "A", "-10 mA to 0 A"),
        (-40, 110, "degC", "-40 to 110 degC"),
        (-1, 1, "1", "-1 to 1"),
    ],
)
def test_a_range_has_its_unit_once_where_that_is_enough(low: float, high: float, unit: str, text: str) -> None:
    assert format_range(low, high, unit) == text


def test_more_digits_are_written_where_they_are_wanted() -> None:
    assert format_quantity(0.10000000149, "V", digits=12) == "100.00000149 mV"


@given(st.floats(-1e12, 1e12), st.sampled_from(["V", "A", "s", "degC", "1"]))
def test_what_is_written_is_read_back_to_six_digits(value: float, unit: str) -> None:
    assert parse_quantity(format_quantity(value, unit), unit) == pytest.approx(value, rel=1e-5, abs=1e-300)


def test_factors_are_multiplied_with() -> None:
    assert (10 * mA, 3 * us, 780 * nm) == (0.01, 3e-6, 780 * 1e-9)
