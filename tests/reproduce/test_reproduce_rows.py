"""Rows: what is within the errors, better, worse, and what nobody can say."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labonn.reproduce import Row
from labonn.reproduce.laid import laid
from labonn.reproduce.numbers import difference, measured, printed
from labonn.reproduce.tables import as_csv, values

THREE = (97.2, 97.3, 97.4)  # mean 97.3, standard deviation 0.1


def row(ours: Any = THREE, **given: Any) -> Row:
    return Row("accuracy", ours, **{"paper": 97.3, "data": "digits", **given})


def lines(*rows: Row) -> list[str]:
    return list(laid({"rows": [values(one) for one in rows]}).below)


@pytest.mark.parametrize(
    ("paper", "paper_sd", "higher", "verdict"),
    [
        (97.4, None, True, "within"),  # by our own standard deviation
        (97.5, None, True, "below"),
        (97.5, 0.2, True, "within"),  # sqrt(0.1^2 + 0.2^2) = 0.22
        (97.1, None, True, "better"),
        (97.1, None, False, "above"),
        (97.5, None, False, "better"),
        (97.1, None, None, "other"),
        (None, None, True, ""),
    ],
)
def test_a_verdict_is_by_both_standard_deviations(paper: float | None, paper_sd: float | None, higher: bool | None, verdict: str) -> None:
    assert row(paper=paper, paper_sd=paper_sd, higher=higher).verdict == verdict


def test_what_a_paper_rounds_is_no_difference() -> None:
    """1.2 may be 1.16: half of its last digit is allowed; 1e16 has one digit only."""
    assert Row("scale", [1.16], paper=1.2, higher=None).verdict == "within"
    assert Row("scale", [1.14], paper=1.2, higher=None).verdict == "other"
    assert Row("speed", [1.4e16], paper=1e16, higher=None).verdict == "within"
    assert Row("speed", [1.6e16], paper=1e16, higher=None).verdict == "other"
    assert Row("nothing", [1e-9], paper=0.0, higher=None).verdict == "other"


@pytest.mark.parametrize("ours", [(99.0,), (99.0, 99.1)])
def test_few_seeds_have_a_difference_but_no_verdict(ours: tuple[float, ...]) -> None:
    assert row(ours).difference == pytest.approx(sum(ours) / len(ours) - 97.3)
    assert row(ours).verdict == ""
    assert any("fewer than 3 seeds" in line for line in lines(row(ours)))
    assert row(ours, data="").verdict == "better"  # a computed number has no chance in it


@pytest.mark.parametrize("ours", [(), (97.3, math.nan, 97.3), (math.inf, 97.3, 97.3)])
def test_without_a_number_there_is_neither_mean_nor_verdict(ours: tuple[float, ...]) -> None:
    lost = row(ours, aim=90.0)
    assert math.isnan(lost.mean)
    assert (lost.sd, lost.difference, lost.verdict, lost.reached) == (None, None, "", None)
    plain = values(lost)
    assert plain["mean"] is None
    shown = laid({"rows": [plain]})
    assert [cell for name, cell in zip(shown.head, shown.rows[0], strict=True) if name.startswith("ours")] == ["-"]
    assert ("accuracy: 1 of 3 results is no number" if ours else "accuracy: no result yet") in shown.below


def test_an_aim_is_a_floor_or_where_less_is_better_a_ceiling() -> None:
    assert (row(aim=97.3).reached, row(aim=97.4).reached) == (True, False)
    assert (row(aim=97.3, higher=False).reached, row(aim=97.2, higher=False).reached) == (True, False)
    assert "accuracy: to be at least 97.4 %: missed" in lines(row(aim=97.4))
    assert laid({"rows": [values(row(aim=97.4))]}).bad == [0]


def test_what_is_not_comparable_is_not_judged() -> None:
    found = values(row((90.0, 90.0, 90.0), aim=95.0), comparable=False)
    assert (found["difference"], found["verdict"], found["reached"]) == (None, "", None)
    shown = laid({"rows": [found]})
    assert "verdict" not in shown.head
    assert shown.bad == []
    assert shown.below[-1] == "accuracy: to be at least 95 %"


def test_rows_of_the_same_origin_share_a_line() -> None:
    a, b = {"by": "twin", "data": "digits"}, {"by": "bench", "data": "digits"}
    rows = [row(**a), row(**b, evaluations=1000), row(**b, evaluations=2000), row(**a)]
    shown = laid({"rows": [values(one) for one in rows]})
    assert [line[0] for line in shown.rows] == ["accuracy [a]", "accuracy [b]", "accuracy [b]", "accuracy [a]"]
    assert shown.below == ["[a] twin; digits", "[b] bench; digits; 1000 to 2000 hardware evaluations a run"]
    assert lines(row(**a), row(**a)) == ["twin; digits"]


def test_the_same_remark_is_made_once() -> None:
    assert lines(row(remark="by half"), row(), row(remark="by half"))[-1] == "accuracy; accuracy: by half"
    assert lines(row(remark="by half"), row(remark="by half"))[-1] == "by half"


def test_units_stand_in_the_head_if_they_are_the_same_and_else_behind_each_row() -> None:
    assert laid({"rows": [values(row())]}).head[1:3] == ["paper, %", "ours, % (3 seeds)"]
    shown = laid({"rows": [values(row()), values(row(unit="W", data=""))]})
    assert shown.head == ["what", "paper", "ours (3 seeds)", "unit", "difference", "verdict"]
    assert [line[3] for line in shown.rows] == ["%", "W"]


def test_numbers_have_two_digits_of_their_error() -> None:
    assert measured(97.3149, 0.1234) == "97.31 ± 0.12"
    assert measured(97.3149, 12.34) == "97 ± 12"
    assert measured(97.3149, 0.0) == "97.31 ± 0"
    assert measured(1.2345e16, 2e14) == "1.23e+16 ± 2e+14"
    assert measured(1.66e-05) == "1.66e-05"
    assert measured(123456.0) == "123,456"
    assert (difference(-0.125, 0.1234), difference(0.5, None), difference(0.0, 0.1)) == ("-0.12", "+0.5", "0")
    assert (printed(97.3, 0.1), printed(77.5), printed(None)) == ("97.3 ± 0.1", "77.5", "-")


def test_a_csv_has_every_seed_and_no_empty_numbers() -> None:
    text = as_csv({"rows": [values(row()), values(row((97.0, math.nan)))]}).decode()
    assert text.count("\n") == 3
    assert "97.2 97.3 97.4" in text
    assert "97 nan" in text
