"""Named values in a text (`the total is 42`, `width = 7`), and which of them another value had."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agentracer.attribution.embedded.text.lexicon import VAGUE_KEYS

__all__ = ["Change", "Values"]

_VALUE = re.compile(
    r"(?:[=:]|\b(?:is|was|are)\b) ?\$?(\d[\d,]*(?:\.\d+)?)(?![\w%]|[.,]\d| ?[-+*/×÷=])"
)
_KEY = re.compile(r"\b([A-Za-z]\w{2,24}(?: [A-Za-z]\w{0,24}){0,2}) ?\Z")
_KEY_REACH = 60  # characters before a value in which its name ends
_MOST = 200  # named values looked at in one step


@dataclass(frozen=True, slots=True)
class Change:
    """A named value that a step states, and another value that it had in an earlier step."""

    name: str
    value: str
    before: str
    step: int


@dataclass
class Values:
    """The named values that a run has stated so far.

    Attributes:
        known: name -> (its value, the step that stated it last).
    """

    known: dict[str, tuple[str, int]] = field(default_factory=dict)

    def read(self, index: int, said: str, *, given: bool) -> Change | None:
        """Take in what a step says; the first value that it changes, if it vouches for it."""
        change = None
        for count, match in enumerate(_VALUE.finditer(said)):
            if count >= _MOST:
                break
            key = _KEY.search(said, max(match.start() - _KEY_REACH, 0), match.start())
            if key is None or key[1].lower().rpartition(" ")[2] in VAGUE_KEYS:
                continue
            name, value = key[1].lower(), match[1].replace(",", "")
            before, step = self.known.get(name, (value, index))
            other = float(before) != float(value)  # 1 and 1.0 are one value
            if other and step != index and not given and change is None:
                change = Change(key[1], value, before, step)
            self.known[name] = (value, index)
        return change
