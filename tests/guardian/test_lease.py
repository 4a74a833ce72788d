"""The lease by itself: time is a number here."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from labonn.errors import LeaseError
from labonn.guardian.lease import Holder, Lease
from labonn.guardian.messages import Who
from labonn.guardian.unacceptable import Unacceptable

ANN, BEN = Who(user="ann", host="lab", pid=7), Who(user="ben", host="desk", pid=9, what="labonn run x")
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def held(lease: Lease, now_s: float = 100.0) -> Holder:
    return lease.grant(ANN, now_s, SINCE, b"a")


def test_a_second_client_is_told_who_has_the_bench_since_when() -> None:
    lease = Lease(5.0)
    held(lease)
    told = "ann@lab, process 7 has the bench since 2026-01-02 03:04:05 UTC; last heard of 3.5 s ago, free after 5 s of silence"
    with pytest.raises(LeaseError, match=told):
        lease.grant(BEN, 103.5, SINCE, b"b")


def test_beats_and_requests_both_keep_a_lease() -> None:
    lease = Lease(5.0)
    session = held(lease).session
    assert lease.over_s(104.0) == 1.0
    lease.beat(session, 1, 104.0)
    assert lease.over_s(104.0) == 5.0
    lease.accept(session, 1, 106.0, b"a")
    assert lease.over_s(106.0) == 5.0


def test_a_beat_that_came_before_is_refused_and_keeps_nothing() -> None:
    lease = Lease(5.0)
    session = held(lease).session
    lease.beat(session, 3, 101.0)
    for count in (3, 2):
        with pytest.raises(Unacceptable, match=f"beat {count} came before"):
            lease.beat(session, count, 104.0)
    assert lease.over_s(104.0) == 2.0


def test_a_request_is_new_once_and_then_the_same_and_later_out_of_order() -> None:
    lease = Lease(5.0)
    holder = held(lease)
    assert lease.accept(holder.session, 1, 101.0, b"a")[1]
    holder.accepted = 1
    assert not lease.accept(holder.session, 1, 102.0, b"a")[1]
    holder.accepted = 2
    for seq in (0, 1):
        with pytest.raises(Unacceptable, match="out of order"):
            lease.accept(holder.session, seq, 103.0, b"a")


def test_who_had_the_lease_is_told_why_it_ended_and_strangers_are_told_nothing() -> None:
    lease = Lease(5.0)
    session = held(lease).session
    lease.end("ben took it")
    with pytest.raises(LeaseError, match="ben took it"):
        lease.beat(session, 1, 101.0)
    with pytest.raises(Unacceptable, match="no such session"):
        lease.beat("0" * 32, 1, 101.0)
    assert lease.grant(BEN, 101.0, SINCE, b"b").session != session


def test_a_nonce_is_taken_once() -> None:
    lease = Lease(5.0)
    lease.new("0" * 32)
    with pytest.raises(Unacceptable, match="sent before"):
        lease.new("0" * 32)
