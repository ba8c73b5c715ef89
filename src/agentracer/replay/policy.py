"""Which tools may really run in a replay.

The prefix is answered from the record in any case. What comes after the overridden step runs live,
and by default its tools run as the user's system runs them: a replay that sends mails sends mails.
A policy says otherwise. It decides about tools that go through the framework's tool seam; it is no
security boundary, and code of the system that does something by itself is not seen by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentracer.errors import ToolRefused

__all__ = ["LIVE", "ToolPolicy", "ToolRefused"]


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """What happens to a tool call that the record does not answer.

    Attributes:
        others: `live` runs it; `recorded` answers it from the record if the same tool was called
            with the same arguments anywhere in it, and refuses it otherwise; `refuse` refuses it.
        allow: names of tools that run live whatever `others` says.

    A refused call fails with `ToolRefused`, and the replay counts neither for nor against.
    Tools that hand over to another agent are part of how the system is wired: they always run.
    """

    others: Literal["live", "recorded", "refuse"] = "live"
    allow: frozenset[str] = frozenset()

    @classmethod
    def only(cls, allow: Iterable[str]) -> ToolPolicy:
        """Let these tools run live, and refuse all others."""
        return cls("refuse", frozenset(allow))

    def runs(self, name: str) -> bool:
        """Whether a tool of this name may run."""
        return self.others == "live" or name in self.allow


LIVE = ToolPolicy()
"""Tools run as the user's system runs them."""
