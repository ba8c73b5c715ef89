"""A change of a system that can be put in place for one run and taken back exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentracer.evolution.team import Task
from agentracer.replay.override import Override

__all__ = ["Change", "digest", "in_place"]

Undo = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is done differently; strategies make them.

    Attributes:
        id: says what it is, so that the same change has the same id in every process.
        agent: who is changed.
        says: what is changed, in one line.
        why: the reason that the verdict gave.
        evidence: ids of the traces that speak for it.
        replaces: ids of earlier changes that it takes the place of.
    """

    id: str
    agent: str
    says: str
    why: str = ""
    evidence: tuple[str, ...] = ()
    replaces: tuple[str, ...] = field(default=())

    def put(self, system: Any, task: Task) -> Undo:
        """Put it in place before a run; what comes back takes it away again, exactly."""
        raise NotImplementedError

    def concerns(self, task: Task) -> bool:
        """Whether a run of this task can be any different; one that cannot is not made."""
        del task
        return True

    def replays(self, task: Task) -> tuple[str, Override] | None:
        """For changes that rerun a recorded run: its trace id, and what to override in it."""
        del task
        return None


def digest(*parts: object) -> str:
    """A short name for some data, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def in_place(kept: Sequence[Change], new: Sequence[Change] = ()) -> tuple[Change, ...]:
    """What is in place once `new` has come: replaced changes are gone."""
    gone = {identity for change in new for identity in change.replaces}
    return (*(change for change in kept if change.id not in gone), *new)
