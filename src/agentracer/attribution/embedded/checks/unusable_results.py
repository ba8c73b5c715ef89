"""Find steps that state figures although what they should come from failed or was empty.

Reported is the step that states them: the result right before it failed or holds nothing, the step
says nothing of that, and what it states occurs nowhere before and follows from nothing known.
Linear in the text of the run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.history import Known, Mention, RunEvent, line_around
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.quantities import figures, is_derived, rounded
from agentracer.attribution.embedded.text.sentences import claims
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.system_conventions import FAILED_EXECUTION, REPORT_HEAD
from agentracer.attribution.embedded.text.unwrap import without_code_and_logs

__all__ = ["KINDS", "ResultsCheck"]

KINDS = FindingKinds()
"""What this check reports."""

_STATES_AFTER_FAILURE = KINDS.decisive(
    "states_after_failure",
    "states a figure although the result that it should come from failed",
    detail="{figure} occurs nowhere before; {place} is an error",
)
_STATES_AFTER_NOTHING = KINDS.decisive(
    "states_after_empty_result",
    "states a figure although the result that it should come from is empty",
    detail="{figure} occurs nowhere before; {place} is empty",
)

_EMPTY = re.compile(
    r"\s*(?:|\[\s*\]|\{\s*\}|null|none|n/?a|\"\"|no (?:results?|matches|data|records?|rows)"
    r"(?: (?:were |was )?(?:found|available))?\.?|nothing(?: was)? found\.?|not found\.?)\s*\Z",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\s*(?:error\b|traceback \(most recent|exception\b|failed\b|failure\b|"
    r"[\w.]{0,40}(?:error|exception):)",
    re.IGNORECASE,
)
_ADMITS = re.compile(
    r"\b(?:unable|cannot|can't|could(?:n't| not)|"
    r"no (?:results?|data|information|matches|records?)|not (?:found|available|able|provide)|"
    r"did(?:n't| not)|does(?:n't| not)|errors?|"
    r"fail(?:ed|s|ure)?|"
    r"unfortunately|sorry|apolog\w+|instead|try|again|issue|problem|missing|empty|nothing|unknown|"
    r"however|seems?|based on (?:my|general)|assum\w+|estimat\w+|approximat\w+)\b",
    re.IGNORECASE,
)
_LONGEST = 6_000  # characters of a step that are looked at


class ResultsCheck:
    """Finds steps that go on from a failed or empty result as if it had held something.

    Fed with the events of a run, in order.

    Args:
        signals: of the run.

    Attributes:
        findings: so far.
    """

    def __init__(self, signals: Signals) -> None:
        self.findings = FindingLog(KINDS, len(signals.run.steps))
        self._signals = signals
        self._unusable: dict[str, _Unusable] = {}  # by agent
        self._report: _Unusable | None = None  # of an executor, for who speaks next

    def take(self, event: RunEvent, known: Known) -> None:
        """Look at an event.

        Args:
            event: the next one.
            known: what was known before it.
        """
        step, signals = event.step, self._signals
        if event.kind == "result":
            self._take_result(event)
        elif event.kind == "said" and (step.agent in signals.executors or step.kind == "tool"):
            failed = FAILED_EXECUTION.search(event.text[:REPORT_HEAD]) is not None
            self._report = _unusable(event, failed=True) if failed else None
        elif event.kind == "said" and step.index not in signals.quoting:
            before = self._unusable.pop(step.agent, None) or self._report
            self._report = None
            if before is not None and not signals.code[step.index]:
                self._compare(event, known, before)

    def _take_result(self, event: RunEvent) -> None:
        """Remember a result that cannot be used; a usable one makes it forgotten."""
        failed = event.call is not None and event.call.error is not None
        failed = failed or _ERROR.match(event.text) is not None
        if failed or _EMPTY.match(event.text):
            self._unusable[event.step.agent] = _unusable(event, failed=failed)
        else:
            self._unusable.pop(event.step.agent, None)

    def _compare(self, event: RunEvent, known: Known, before: _Unusable) -> None:
        text = without_code_and_logs(event.text[:_LONGEST])
        if _ADMITS.search(text):
            return
        terms = known.recent_figures
        for sentence in claims(text):
            for figure in figures(sentence.text):
                known_before = rounded(figure.value) in known.values or len(figure.text) < 2
                if known_before or is_derived(figure.value, terms):
                    continue
                self.findings.add(
                    event.step.index,
                    _STATES_AFTER_FAILURE if before.failed else _STATES_AFTER_NOTHING,
                    quote=line_around(text, sentence.start + figure.start),
                    source=before.source,
                    figure=figure.text,
                    place=before.source.place,
                )
                return


@dataclass(frozen=True, slots=True)
class _Unusable:
    """A result from which nothing can be taken: an error, or an empty one."""

    source: Mention
    failed: bool


def _unusable(event: RunEvent, *, failed: bool) -> _Unusable:
    line = line_around(event.text.strip(), 0)
    return _Unusable(Mention(event.step.index, True, line, ""), failed)
