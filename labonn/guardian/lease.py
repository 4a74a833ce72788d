"""The lease: one client at a time, for as long as it is heard of; its requests in their order, each done once."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labonn.errors import LeaseError
from labonn.guardian.messages import Who
from labonn.guardian.unacceptable import Unacceptable

MOST_NONCES, MOST_ENDED = 100_000, 100


@dataclass
class Holder:
    """Who has the lease.

    Attributes:
        session: its secret. since: when it got it. heard_s: when it was last heard of.
        beats: count of its last beat. accepted, answered: numbers of its last request that was taken, and of the last that was answered.
        reply: to that one. address: where its requests come from.
    """

    session: str
    who: Who
    since: datetime
    heard_s: float
    beats: int = -1
    accepted: int = 0
    answered: int = 0
    reply: Sequence[Any] = field(default=(), repr=False)
    address: bytes = b""


class Lease:
    """Who may use the bench; time is given, never asked for.

    Args:
        lease_s: seconds without any sign of life until it ends.
    """

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self.holder: Holder | None = None
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._ended: OrderedDict[str, str] = OrderedDict()

    def new(self, nonce: str) -> None:
        """Remember that a nonce was used.

        Raises:
            Unacceptable: it was before.
        """
        if nonce in self._nonces:
            raise Unacceptable("this message was sent before")
        self._nonces[nonce] = None
        if len(self._nonces) > MOST_NONCES:
            self._nonces.popitem(last=False)

    def grant(self, who: Who, now_s: float, since: datetime, address: bytes) -> Holder:
        """Give the lease.

        Raises:
            LeaseError: somebody has it.
        """
        if self.holder is not None:
            heard = f"last heard of {now_s - self.holder.heard_s:.1f} s ago, free after {self.lease_s:g} s of silence"
            raise LeaseError(f"{self.holder.who} has the bench since {self.holder.since:%Y-%m-%d %H:%M:%S} UTC; {heard}")
        self.holder = Holder(secrets.token_hex(16), who, since, now_s, address=address)
        return self.holder

    def of(self, session: str) -> Holder:
        """The holder, if this is its session.

        Raises:
            LeaseError: the session has ended; why. Unacceptable: there never was such a session.
        """
        if self.holder is not None and secrets.compare_digest(session, self.holder.session):
            return self.holder
        if session in self._ended:
            raise LeaseError(self._ended[session])
        raise Unacceptable("there is no such session")

    def beat(self, session: str, count: int, now_s: float) -> Holder:
        """The holder lives; LeaseError or Unacceptable as `of`, and for a beat that came before."""
        holder = self.of(session)
        if count <= holder.beats:
            raise Unacceptable(f"beat {count} came before; {holder.beats} was the last")
        holder.beats, holder.heard_s = count, now_s
        return holder

    def accept(self, session: str, seq: int, now_s: float, address: bytes) -> tuple[Holder, bool]:
        """(the holder, whether the request is new): the last one, come again, is not done again.

        Raises:
            LeaseError, Unacceptable: as `of`, and for a number below the last.
        """
        holder = self.of(session)
        if seq < max(1, holder.accepted):
            raise Unacceptable(f"request {seq} is out of order; {holder.accepted} was the last")
        holder.heard_s, holder.address = now_s, address
        return holder, seq > holder.accepted

    def over_s(self, now_s: float) -> float | None:
        """Seconds until the lease ends if nothing is heard; None: nobody has it."""
        return None if self.holder is None else self.holder.heard_s + self.lease_s - now_s

    def end(self, reason: str) -> Holder | None:
        """Nobody has it any more; who asks with the old session is told why."""
        holder, self.holder = self.holder, None
        if holder is not None:
            self._ended[holder.session] = reason
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)
        return holder
