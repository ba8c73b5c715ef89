"""Holds what a step claims to have done against what it did.

A step that says "I have verified the schedule", ran no code, called no tool and had no result
before it, tells of a deed that nobody did. The words are those of any report in English; whether a
step acted, and whether anything came from outside, is read from the run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import Notes, add_note
from agentracer.attribution.embedded.text.assignments import as_text, prose
from agentracer.attribution.embedded.text.lexicon import CLASSES
from agentracer.attribution.embedded.text.signals import NOTHING_TO_RUN, REPORT_HEAD, Signals

__all__ = ["watch_conduct"]

_LONGEST = 4_000  # characters of a step that are looked at
_FEW = 8  # words below which a step says nothing
_FACTS = 4  # new figures or names with which a step brings something
_MANY = 3  # words of agreement in a step that does nothing else

# All of these read lower-case text. They start with letters and not with \b, by which Python finds
# the places to try three times as fast.
_IDLE = re.compile(NOTHING_TO_RUN)
_LOOK = (
    r"(?:verif|review|check|examin|confirm|search|inspect|analy[sz]|watch|read|view|access|visit|"
    r"consult|cross-?referenc|gather|collect|retriev|transcrib|compil|compar|identif|locat|found\b)"
)
_DEED = re.compile(
    rf"(?:i|we)(?:'ve| have)(?: \w+ly| already| now| just)? {_LOOK}\w*"
    r"|i (?:\w+ly )?(?:found|checked|reviewed|verified|searched|examined|watched|read|looked)\b"
    rf"|(?:on|after) (?:\w+ )?{_LOOK}\w*ing\b"
    r"|here (?:is|are) the (?:\w+ ){0,3}(?:transcript(?:ion)?|results?|details|findings?|data|"
    r"lyrics|text|information)\b"
    r"|(?:from|based on) (?:my|our|the) (?:\w+ )?(?:search|review|research|inspection|analysis)"
)
_INTENT = re.compile(
    r"(?:i|we)(?:'ll| will| shall| can| need to| should| am going to|'m going to)\b"
    r"|let(?:'s| us| me)\b|next\b|hold on\b|stand ?by\b"
    r"|please (?:run|execute|wait|provide|confirm)\b"
)
_CONCLUDES = re.compile(
    r"(?:therefore|thus|hence|in conclusion|we conclude|conclude that|the result is|boxed"
    r"|final (?:answer|result|output|list)|the (?:correct )?answer (?:is|to))\b"
)
# How agents that drive a browser report what they did: the page that follows is what they saw.
_BROWSES = re.compile(
    r"\s*(?:i (?:clicked|typed|scrolled|hovered|opened|visited|navigated|pressed|selected|waited)\b"
    r"|address: \S)"
)
_BY_HAND = re.compile(r"manual(?:ly)?\b|by hand\b")
_INVENTS = re.compile(rf"(?:{'|'.join(sorted(CLASSES['invents']))})\b")
_AGREES = re.compile(
    r"agree with\b|i agree\b|seems? (?:to be )?(?:correct|accurate|right|sound)\b"
    r"|(?:is|are) (?:all )?(?:correct|accurate|consistent|valid)\b"
    r"|confirm(?:s|ed)? (?:that|the|to be)\b|aligns? with\b|- correct\b"
)


def watch_conduct(signals: Signals, texts: Sequence[str], new: Sequence[int]) -> list[Notes]:
    """Note for every step what it claims to have done and did not.

    Args:
        signals: of the run.
        texts: what each step wrote, unwrapped (see `statements.plain`).
        new: number of facts in each step that nothing before it held.
    """
    notes: list[Notes] = [{} for _ in texts]
    failures, task = frozenset(signals.failures), signals.run.task.lower()
    before = _Before()
    for step, text in zip(signals.run.steps, texts, strict=True):
        brings = new[step.index] >= _FACTS
        if step.agent in signals.users:
            before.said |= brings
            continue
        if step.agent in signals.executors or step.kind == "tool":
            idle = _IDLE.search(text[:REPORT_HEAD].lower()) is not None
            before.result = step.index not in failures and not idle
            before.looked |= before.result
            continue
        browsed = _BROWSES.match(text[:REPORT_HEAD].lower()) is not None
        got = browsed or any(as_text(call.result) for call in step.tool_calls)
        before.looked |= got
        if step.index != signals.briefing:
            claimed = prose(text[:_LONGEST])
            noted = notes[step.index]
            _judge(noted, claimed, before, acts=signals.code[step.index] or browsed)
            if (brings or "concludes" in noted) and not browsed:
                _judge_sources(noted, text[:_LONGEST].lower(), task)
        before.result = got
        before.said |= brings or step.index != signals.briefing
    return notes


@dataclass
class _Before:
    """What there was before a step.

    Attributes:
        looked: whether anything came from outside at all.
        result: whether a result came from outside right before.
        said: whether somebody has said something that one can agree with: the task alone, and a
            briefing that brings nothing, are none.
    """

    looked: bool = False
    result: bool = False
    said: bool = False


def _judge(notes: Notes, claimed: str, before: _Before, *, acts: bool) -> None:
    said = claimed.lower().replace("’", "'")
    written = claimed if len(claimed) == len(said) else said  # a few letters are two in lower case
    deed, concludes = (_found(pattern, said, written) for pattern in (_DEED, _CONCLUDES))
    if deed and not acts and not before.result:
        add_note(notes, "claims a deed nobody did", 1, deed)
    if concludes:
        add_note(notes, "concludes", 1, concludes)
        if not before.looked and not acts:
            add_note(notes, "concludes without a look", 1, concludes)
    if before.said:
        add_note(notes, "agrees", min(_count(_AGREES, said) / _MANY, 1))
    if acts:
        return
    words = said.count(" ") + 1
    if words < _FEW:
        add_note(notes, "only closes", 1)
    elif not concludes and not deed:
        # Where every 40th word or so is an intention, the step holds little else.
        add_note(notes, "only announces", min(40 * _count(_INTENT, said) / (words + 20), 1))


def _judge_sources(notes: Notes, said: str, task: str) -> None:
    """Note a step that brings something from where, by its own words, nothing can come.

    Words of the task say nothing: it may ask for a sample, or for an assumption.
    """
    for name, pattern in (("makes facts up", _INVENTS), ("works by hand", _BY_HAND)):
        words = (m[0] for m in pattern.finditer(said) if _starts_word(said, m.start()))
        found = next((word for word in words if word not in task), None)
        if found:
            add_note(notes, name, 1, found)


def _found(pattern: re.Pattern[str], said: str, written: str) -> str | None:
    """The first match that starts a word, as it was written."""
    starts = (m for m in pattern.finditer(said) if _starts_word(said, m.start()))
    return next((written[match.start() : match.end()] for match in starts), None)


def _count(pattern: re.Pattern[str], said: str) -> int:
    return sum(_starts_word(said, match.start()) for match in pattern.finditer(said))


def _starts_word(text: str, place: int) -> bool:
    return not (place and text[place - 1].isalnum())
