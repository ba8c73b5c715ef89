"""Compare what a step claims to have done with what it did.

A step that says "I have verified the schedule" although it ran no code, called no tool and had no
result before it claims an action that was not taken. The words are those of any report in English;
whether a step acted, and whether anything came from outside, is read from the run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.history import line_around
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.lexicon import WORD_CLASSES
from agentracer.attribution.embedded.text.sentences import claims
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.system_conventions import (
    AGREEMENT_PHRASES,
    BROWSER_ACTION,
    CONCLUSION_PHRASES,
    HANDED_OVER_MATERIAL,
    NOTHING_TO_RUN,
    REPORT_HEAD,
)
from agentracer.attribution.embedded.text.unwrap import as_text, without_code_and_logs
from agentracer.trace import Step

__all__ = ["KINDS", "check_actions"]

KINDS = FindingKinds()
"""What this check reports."""

_UNSUPPORTED_ACTION_CLAIM = KINDS.against(
    "unsupported_action_claim",
    "claims a look-up or check that no step of the run made",
    prior=0.0,
    detail="{phrase}",
)
_CONCLUDES = KINDS.either("concludes", "draws a conclusion", detail="{phrase}")
_CONCLUDES_WITHOUT_LOOKUP = KINDS.against(
    "concludes_without_lookup",
    "concludes before anything was looked up or run",
    prior=0.0,
    detail="{phrase}",
)
_ADMITS_ASSUMED_FACTS = KINDS.against(
    "admits_assumed_facts",
    "brings facts or a conclusion that it says it assumed",
    prior=0.0,
    detail="{phrase}",
    topic="invention",
)
_ADMITS_MANUAL_WORK = KINDS.against(
    "admits_manual_work",
    "brings facts or a conclusion that it says it found by hand",
    prior=0.0,
    detail="{phrase}",
)
_INVENTS_DATA = KINDS.decisive(
    "invents_data",
    "works with data that it says are not real",
    detail="'{phrase}'",
)
_AGREES = KINDS.in_favour("agrees")
_ONLY_ANNOUNCES = KINDS.in_favour("only_announces")
_ONLY_CLOSES = KINDS.in_favour("only_closes")

_LONGEST = 4_000  # characters of a step that are looked at
_FEW_WORDS = 8  # below which a step says nothing
_NEW_FACTS = 4  # figures or names with which a step contributes something
_AGREEMENTS = 3  # phrases of agreement in a step that does nothing else
_WORDS_PER_INTENTION = 40  # in a step that holds little but intentions
_SHORT_STEP = 20  # words by which the length of short steps is raised

# All of these match lower-case text. They start with letters and not with \b, with which Python
# takes three times as long to find where to try; `_starts_word` checks the boundary instead.
_NOTHING_TO_RUN = re.compile(NOTHING_TO_RUN)
_LOOK_UP = (
    r"(?:verif|review|check|examin|confirm|search|inspect|analy[sz]|watch|read|view|access|visit|"
    r"consult|cross-?referenc|gather|collect|retriev|transcrib|compil|compar|identif|locat|found\b)"
)
_ACTION = re.compile(
    rf"(?:i|we)(?:'ve| have)(?: \w+ly| already| now| just)? {_LOOK_UP}\w*"
    r"|i (?:\w+ly )?(?:found|checked|reviewed|verified|searched|examined|watched|read|looked)\b"
    rf"|(?:on|after) (?:\w+ )?{_LOOK_UP}\w*ing\b"
    rf"|{HANDED_OVER_MATERIAL}"
    r"|(?:from|based on) (?:my|our|the) (?:\w+ )?(?:search|review|research|inspection|analysis)"
)
_INTENTION = re.compile(
    r"(?:i|we)(?:'ll| will| shall| can| need to| should| am going to|'m going to)\b"
    r"|let(?:'s| us| me)\b|next\b|hold on\b|stand ?by\b"
    r"|please (?:run|execute|wait|provide|confirm)\b"
)
_CONCLUSION = re.compile(
    r"(?:therefore|thus|hence|in conclusion|we conclude|conclude that|the result is"
    rf"|{CONCLUSION_PHRASES}"
    r"|final (?:answer|result|output|list)|the (?:correct )?answer (?:is|to))\b"
)
_MANUAL = re.compile(r"manual(?:ly)?\b|by hand\b")
_INVENTION = re.compile(rf"(?:{'|'.join(sorted(WORD_CLASSES['invents']))})\b")
_DATA = (
    r"(?:data(?:set)?s?|numbers?|values?|figures?|prices?|results?|records?|entries|lists?|"
    r"representations?|statistics|reviews?|responses?|tables?)"
)
_NOT_REAL = re.compile(
    rf"(?:hypothetical|simulated|mock|dummy|fictional|fictitious|synthetic|made-up|invented|"
    rf"placeholder|sample|illustrative) (?:\w+ )?{_DATA}\b|dummy (?:list|version)\b"
    rf"|simulate (?:the|some|a) (?:\w+ ){{0,4}}{_DATA}\b"
    rf"|assum(?:e|ing) the following (?:\w+ ){{0,3}}{_DATA}\b"
)
_REJECTION = re.compile(
    r"(?:\bnot?\b|n't|\bwithout\b|\binstead of\b|\brather than\b|\bavoid|\breplac|\bremov|\breal\b"
    r"|\bactual\b|\bif\b|\bused\b|\buses\b)[^.\n]{0,60}\Z"
)
_AGREEMENT = re.compile(
    r"agree with\b|i agree\b|seems? (?:to be )?(?:correct|accurate|right|sound)\b"
    r"|(?:is|are) (?:all )?(?:correct|accurate|consistent|valid)\b"
    rf"|confirm(?:s|ed)? (?:that|the|to be)\b|aligns? with\b|{AGREEMENT_PHRASES}"
)


@dataclass
class _Before:
    """What happened before a step.

    Attributes:
        looked_up: whether anything came from outside at all.
        result: whether the step right before brought a result from outside.
        contributed: whether any step made a statement that one can agree with: the task alone, and
            a briefing without new facts, are none.
    """

    looked_up: bool = False
    result: bool = False
    contributed: bool = False


def check_actions(signals: Signals, texts: Sequence[str], new_facts: Sequence[int]) -> FindingLog:
    """Compare the claims of each step with its actions.

    Args:
        signals: of the run.
        texts: what each step wrote, unwrapped (see `unwrap_json`).
        new_facts: number of facts in each step that occur nowhere earlier.
    """
    return _ActionsCheck(signals, texts, new_facts).findings


class _ActionsCheck:
    def __init__(self, signals: Signals, texts: Sequence[str], new_facts: Sequence[int]) -> None:
        self.signals = signals
        self.findings = FindingLog(KINDS, len(texts))
        self.failures, self.task = frozenset(signals.failures), signals.run.task.lower()
        self.before = _Before()
        self.invented_data = False
        for step, text, new in zip(signals.run.steps, texts, new_facts, strict=True):
            contributes = new >= _NEW_FACTS
            if step.agent in signals.users:
                self.before.contributed |= contributes
            elif step.agent in signals.executors or step.kind == "tool":
                self._read_report(step, text)
            else:
                self._compare(step, text, contributes=contributes)

    def _read_report(self, step: Step, text: str) -> None:
        idle = _NOTHING_TO_RUN.search(text[:REPORT_HEAD].lower()) is not None
        self.before.result = step.index not in self.failures and not idle
        self.before.looked_up |= self.before.result

    def _compare(self, step: Step, text: str, *, contributes: bool) -> None:
        before, briefing = self.before, step.index == self.signals.briefing
        browsed = BROWSER_ACTION.match(text[:REPORT_HEAD].lower()) is not None
        calls = self.signals.nesting.results_after(step.index)
        result = browsed or any(as_text(call.result) for _, call in calls)
        before.looked_up |= result
        if not briefing:
            acts = self.signals.code[step.index] or browsed
            prose = without_code_and_logs(text[:_LONGEST])
            concludes = self._compare_claims(step.index, prose, acts=acts)
            if not browsed:
                self._report_invented_data(step, text[:_LONGEST])
            if (contributes or concludes) and not browsed:
                self._read_admissions(step.index, text[:_LONGEST].lower())
        before.result = result
        before.contributed |= contributes or not briefing

    def _compare_claims(self, index: int, prose: str, *, acts: bool) -> bool:
        """Report the claims of a step; whether it concludes."""
        lower = prose.lower().replace("’", "'")
        original = prose if len(prose) == len(lower) else lower  # lower case may be longer
        action = _phrase(_ACTION, lower, original)
        conclusion = _claimed_phrase(_CONCLUSION, lower, original)
        if action and not acts and not self.before.result:
            self.findings.add(index, _UNSUPPORTED_ACTION_CLAIM, phrase=action)
        if conclusion:
            self.findings.add(index, _CONCLUDES, phrase=conclusion)
            if not self.before.looked_up and not acts:
                self.findings.add(index, _CONCLUDES_WITHOUT_LOOKUP, phrase=conclusion)
        if self.before.contributed:
            agreements = _count(_AGREEMENT, lower)
            self.findings.add(index, _AGREES, min(agreements / _AGREEMENTS, 1))
        words = lower.count(" ") + 1
        if not acts and words < _FEW_WORDS:
            self.findings.add(index, _ONLY_CLOSES)
        elif not acts and not conclusion and not action:
            intentions = _WORDS_PER_INTENTION * _count(_INTENTION, lower)
            self.findings.add(index, _ONLY_ANNOUNCES, min(intentions / (words + _SHORT_STEP), 1))
        return bool(conclusion)

    def _report_invented_data(self, step: Step, text: str) -> None:
        """Report the first step of the run that says its data are invented.

        Later ones may speak of that step. Words of the task do not count, nor what is rejected.
        """
        lower = text.lower()
        for match in () if self.invented_data else _NOT_REAL.finditer(lower):
            before = lower[max(match.start() - 70, 0) : match.start()]
            if (
                _starts_word(lower, match.start())
                and match[0] not in self.task
                and not _REJECTION.search(before)
            ):
                self.invented_data = True
                line = line_around(text, match.start()) if len(lower) == len(text) else ""
                self.findings.add(step.index, _INVENTS_DATA, quote=line, phrase=match[0])
                return

    def _read_admissions(self, index: int, lower: str) -> None:
        """Report a step that brings something it says it assumed, or found by hand.

        Words of the task do not count: it may ask for a sample, or for an assumption.
        """
        for kind, pattern in (
            (_ADMITS_ASSUMED_FACTS, _INVENTION),
            (_ADMITS_MANUAL_WORK, _MANUAL),
        ):
            words = (m[0] for m in pattern.finditer(lower) if _starts_word(lower, m.start()))
            own = next((word for word in words if word not in self.task), None)
            if own:
                self.findings.add(index, kind, phrase=own)


def _phrase(pattern: re.Pattern[str], lower: str, original: str) -> str | None:
    """The first match that starts a word, as it was written."""
    matches = (m for m in pattern.finditer(lower) if _starts_word(lower, m.start()))
    return next((original[match.start() : match.end()] for match in matches), None)


def _claimed_phrase(pattern: re.Pattern[str], lower: str, original: str) -> str | None:
    """The first match in a sentence that its author states as a fact, as it was written."""
    if not pattern.search(lower):
        return None
    for sentence in claims(original):
        phrase = _phrase(pattern, lower[sentence.start : sentence.end], sentence.text)
        if phrase is not None:
            return phrase
    return None


def _count(pattern: re.Pattern[str], lower: str) -> int:
    return sum(_starts_word(lower, match.start()) for match in pattern.finditer(lower))


def _starts_word(text: str, position: int) -> bool:
    return not (position and text[position - 1].isalnum())
