"""Compares what a step asks for, what it gets, and what it then says.

A document that does not hold the name that was searched for, a second-best hit that was opened, a
claim that no result holds, or that stands in another sentence than the one that answers the
question: each is noted at the step that did it. Linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agentracer.attribution.embedded.checks.findings import Notes, add_note
from agentracer.attribution.embedded.text.assignments import (
    as_text,
    evaluate,
    names_in,
    number,
    statements,
)
from agentracer.trace import Observed, Step, ToolCall

__all__ = ["compare_sources"]

_LONGEST = 20_000  # characters of a result that are looked at
_SENTENCES = 200  # of a result
_CLAIMS = 10  # of a step that are looked up
_KEPT = 6  # results that a claim may rest on
_STEM = 4  # letters by which `died` and `dies` are the same
_WORD = re.compile(r"[^\W\d_]+")
_PROPER = re.compile(r"\b[A-Z][a-z]+\b")
_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SIMPLE = frozenset(re.findall(r"\w+", "the of a an and in to is was for with by on at from"))
_EMPTY = re.compile(r"\W*(?:nothing|no |none|not |null|undefined|\[\]|\{\})", re.IGNORECASE)


@dataclass(slots=True)
class _Asked:
    """A call of an agent, as far as a later one or a claim is compared with it."""

    query: str
    result: str


@dataclass(slots=True)
class _Desk:
    """What an agent has before it since it last stated something."""

    queries: list[str] = field(default_factory=list)
    results: list[_Asked] = field(default_factory=list)


def compare_sources(run: Observed, texts: Sequence[str]) -> list[Notes]:
    """Note for every step how it used what tools returned.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `statements.plain`).
    """
    return _Comparer(run, texts).notes


class _Comparer:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.notes: list[Notes] = [{} for _ in run.steps]
        self.desks: dict[str, _Desk] = {}
        self.seen: dict[tuple[str, str], str] = {}
        self.tools_used = any(step.tool_calls for step in run.steps)
        self.claimed: set[str] = set()
        self.sums: set[str] = set()
        known = run.task.casefold()
        for step, text in zip(run.steps, texts, strict=True):
            desk = self.desks.setdefault(step.agent, _Desk())
            self._claims(step, text, desk, known)
            for call in step.tool_calls:
                self._call(step, call, desk)

    def _note(self, index: int, name: str, weight: float = 1.0, detail: str = "") -> None:
        add_note(self.notes[index], name, weight, detail)

    def _call(self, step: Step, call: ToolCall, desk: _Desk) -> None:
        asked = " ".join(_strings(call.arguments))[:500]
        result = as_text(call.result)[:_LONGEST] if call.error is None else ""
        if call.error is not None or not result.strip() or _EMPTY.match(result):
            self._note(step.index, "gets nothing", 1, asked[:80])
        else:
            self._same_as_before(step.index, call.name, asked, result)
            self._choice(step.index, asked, desk)
            self._about(step.index, asked, result, desk)
        desk.queries.append(asked)
        desk.results = [*desk.results, _Asked(asked, result)][-_KEPT:]

    def _same_as_before(self, index: int, tool: str, asked: str, result: str) -> None:
        before = self.seen.setdefault((tool, result), asked)
        if before != asked and len(result) > 12:
            self._note(index, "result of another call", 1, asked[:80])

    def _choice(self, index: int, asked: str, desk: _Desk) -> None:
        """What was picked of the list that the call before returned."""
        if not desk.results or not asked or len(asked) > 80:
            return
        before = desk.results[-1]
        lines = [line for line in before.result.split("\n") if line.strip()][:_SENTENCES]
        places = [place for place, line in enumerate(lines) if asked in line]
        if not places or len(lines) < 2:
            return
        wanted = _stems(before.query)
        fits = [len(wanted & _stems(line)) for line in lines]
        picked = fits[places[0]]
        self._note(index, "passes over the first hit", places[0] > 0, lines[0][:80])
        if picked < max(fits):
            detail = lines[fits.index(max(fits))][:80]
            self._note(
                index, "passes over a better hit", (max(fits) - picked) / len(wanted), detail
            )
        else:
            self._note(index, "takes the best hit")

    def _about(self, index: int, asked: str, result: str, desk: _Desk) -> None:
        """Whether a result is about the names that were asked for."""
        asking = (q for q in reversed([*desk.queries[-2:], asked]) if "\n" not in q)
        query = next((q for q in asking if _PROPER.search(q)), "")  # several lines are code
        names = set(_PROPER.findall(query))
        if names:
            absent = {name for name in names if name not in result}
            detail = ", ".join(sorted(absent))
            self._note(index, "result lacks what was asked", len(absent) / len(names), detail)

    def _claims(self, step: Step, text: str, desk: _Desk, task: str) -> None:
        found = statements(text) if "=" in text or ":" in text else []
        self.sums |= {one.name for one in found if one.defines and _is_sum(one.text)}
        # What is worked out from other values is no matter for a source: the books check it.
        stated = [one for one in found if not one.defines and one.name not in self.sums]
        claims = [s.text for s in stated if s.text and s.text.casefold() not in self.claimed]
        self.claimed.update(claim.casefold() for claim in claims)
        if not claims:
            return
        if not desk.results:
            fresh = [c for c in claims if c.casefold() not in task]
            # Others of this run look things up before they state them.
            self._note(
                step.index, "claims without a look", self.tools_used and bool(fresh), claims[0][:60]
            )
            return
        for claim in claims[:_CLAIMS]:
            held = [asked for asked in desk.results if _holds(asked.result, claim)]
            if not held:
                self._note(step.index, "claim in no result", 1, claim[:80])
            else:
                self._note(step.index, "claim in a result")
                self._sentence(step.index, claim, held[-1], desk)
        desk.results, desk.queries = [], []

    def _sentence(self, index: int, claim: str, held: _Asked, desk: _Desk) -> None:
        """Whether the sentence that holds a claim is the one that answers the question."""
        question = desk.queries[0] if desk.queries else held.query
        asked = {
            word
            for word in _stems(question)
            if word not in _stems(" ".join(_PROPER.findall(question)))
        }
        sentences = [s for s in _END.split(held.result) if s.strip()][:_SENTENCES]
        fits = [len(asked & _stems(sentence)) for sentence in sentences]
        own = max((f for f, s in zip(fits, sentences, strict=True) if _holds(s, claim)), default=0)
        if fits and max(fits) > own:
            detail = sentences[fits.index(max(fits))].strip()[:80]
            self._note(
                index, "claim of another sentence", (max(fits) - own) / max(len(asked), 1), detail
            )
        elif own:
            self._note(index, "claim answers the question")
        longer = _longer_name(held.result, claim)
        if longer:
            self._note(index, "cuts a name short", 1, longer)


def _is_sum(text: str) -> bool:
    return evaluate(text, dict.fromkeys(names_in(text), 1.0)) is not None


def _holds(text: str, claim: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(claim)}(?!\w)", text, re.IGNORECASE) is not None


def _longer_name(text: str, claim: str) -> str | None:
    """A name in the text of which the claim is only the end, wherever it stands there."""
    if number(claim) is not None or not claim[:1].isupper():
        return None
    pattern = re.compile(rf"((?:[A-Z][a-z]+ )?)(?<!\w){re.escape(claim)}(?!\w)")
    found = list(pattern.finditer(text))
    if found and all(match[1] for match in found):
        return found[0][0]
    return None


def _stems(text: str) -> set[str]:
    return {w[:_STEM].lower() for w in _WORD.findall(text) if w.lower() not in _SIMPLE}


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (str(item) for item in value.values() if isinstance(item, str | int | float))
