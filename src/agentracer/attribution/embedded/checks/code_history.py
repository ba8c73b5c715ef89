"""Follow functions through a run: which version was tested, submitted, or left out.

Code is parsed, never run. Two versions are the same if they differ in layout and comments only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.code import code_blocks, function_bodies
from agentracer.attribution.embedded.text.system_conventions import REQUESTED_FUNCTION
from agentracer.attribution.embedded.text.unwrap import argument_texts, as_text
from agentracer.call_nesting import CallNesting
from agentracer.trace import Observed, Step, ToolCall

__all__ = ["KINDS", "check_code"]

KINDS = FindingKinds()
"""What this check reports."""

_FUNCTIONS = "functions"  # a kind of content, by the name that model files give it

_FIRST_VERSION = KINDS.either(
    "first_version", "is the first to write this function", detail="{name}", content=_FUNCTIONS
)
_UNTESTED_CODE = KINDS.either(
    "untested_code", "submits a function that was not run", detail="{name}", content=_FUNCTIONS
)
_UNCHANGED_CODE = KINDS.in_favour("unchanged_code", content=_FUNCTIONS)
_SUBMITS_FAILED_CODE = KINDS.against(
    "submits_failed_code", "submits code that had failed", detail="{name}"
)
_DIFFERS_FROM_TESTED = KINDS.against(
    "differs_from_tested_code", "submits other code than was tested", detail="{name}"
)
_DIFFERS_FROM_PREVIOUS = KINDS.either(
    "differs_from_previous_code", "changes code that was submitted before", detail="{name}"
)
_REWRITES_WORKING_CODE = KINDS.either(
    "rewrites_working_code", "rewrites code that had worked", detail="{name}"
)
_RUNS_CODE = KINDS.either("runs_code", "runs its code", detail="{name}", content=_FUNCTIONS)
_CODE_FAILS = KINDS.either("code_fails", "runs code that fails", detail="{name}")
_CODE_WORKS = KINDS.either("code_works")
_OMITS_WRITTEN_FUNCTIONS = KINDS.against(
    "omits_written_functions", "leaves out functions that were written", detail="{names}"
)
_LACKS_REQUESTED_FUNCTIONS = KINDS.either(
    "lacks_requested_functions",
    "ends without functions that the task asks for",
    detail="{names}",
)
_HAS_REQUESTED_FUNCTIONS = KINDS.either("has_requested_functions")

_LONGEST_TASK = 20_000  # characters in which requested functions are looked for
_MOST_BLOCKS = 8  # of code in one step
_MOST_FUNCTIONS = 100  # that are followed
_FAILED = re.compile(r"\b(?:fail|failed|error|exception|traceback|raises)\b", re.IGNORECASE)
_PASSED = re.compile(r"\b(?:pass|passed|ok|success|succeeded)\b", re.IGNORECASE)


@dataclass(slots=True)
class _Version:
    """The latest version of a function.

    Attributes:
        body: its syntax tree as text.
        tested: whether a tool ran it.
        failed: whether that failed.
    """

    body: str
    tested: bool = False
    failed: bool = False

    @property
    def works(self) -> bool:
        return self.tested and not self.failed


def check_code(run: Observed, texts: Sequence[str]) -> FindingLog:
    """Check how the code of each step relates to earlier versions.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `unwrap_json`).
    """
    return _HistoryCheck(run, texts).findings


class _HistoryCheck:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.findings = FindingLog(KINDS, len(run.steps))
        self.latest: dict[str, _Version] = {}
        self.any_tested = False
        last: tuple[int, set[str]] | None = None
        nesting = CallNesting(run)
        for step, text in zip(run.steps, texts, strict=True):
            submitted = _submitted(text)
            if submitted:
                self._submit(step.index, submitted)
                last = step.index, set(submitted)
            for ref, call in nesting.results_after(step.index):
                self._test(run.steps[ref.step], call)
        if last is not None:
            self._compare_with_task(run.task, *last)

    def _submit(self, index: int, submitted: dict[str, str]) -> None:
        for name, body in submitted.items():
            previous = self.latest.get(name)
            if previous is None:
                kind = _UNTESTED_CODE if self.any_tested else _FIRST_VERSION
                self.findings.add(index, kind, name=name)
                self._store(name, _Version(body))
            elif previous.body == body:
                self.findings.add(index, _UNCHANGED_CODE)
                if previous.failed:
                    self.findings.add(index, _SUBMITS_FAILED_CODE, name=name)
            else:
                if previous.works:
                    self.findings.add(index, _DIFFERS_FROM_TESTED, name=name)
                elif not previous.tested:
                    self.findings.add(index, _DIFFERS_FROM_PREVIOUS, name=name)
                self._store(name, _Version(body))

    def _test(self, step: Step, call: ToolCall) -> None:
        for text in argument_texts(call.arguments):
            for name, body in function_bodies(text).items():
                self.any_tested = True
                result = as_text(call.result)
                failed = call.error is not None or bool(_FAILED.search(result))
                passed = not failed and bool(_PASSED.search(result))
                previous = self.latest.get(name)
                if previous is not None and previous.works and previous.body != body:
                    self.findings.add(step.index, _REWRITES_WORKING_CODE, name=name)
                self.findings.add(step.index, _RUNS_CODE, name=name)
                self.findings.add(step.index, _CODE_FAILS, failed, name=name)
                self.findings.add(step.index, _CODE_WORKS, passed)
                self._store(name, _Version(body, tested=True, failed=failed))

    def _store(self, name: str, version: _Version) -> None:
        if name in self.latest or len(self.latest) < _MOST_FUNCTIONS:
            self.latest[name] = version

    def _compare_with_task(self, task: str, index: int, submitted: set[str]) -> None:
        """Compare the last submission with the functions that the task asks for."""
        matches = REQUESTED_FUNCTION.findall(task[:_LONGEST_TASK])
        requested = {called or defined for called, defined in matches}
        if not requested:
            return
        missing = sorted(requested - submitted)
        written = [name for name in missing if name in self.latest]
        never_written = [name for name in missing if name not in self.latest]
        for kind, names in (
            (_OMITS_WRITTEN_FUNCTIONS, written),
            (_LACKS_REQUESTED_FUNCTIONS, never_written),
        ):
            share = len(names) / len(requested)
            self.findings.add(index, kind, share, names=", ".join(names))
        self.findings.add(index, _HAS_REQUESTED_FUNCTIONS, not missing)


def _submitted(text: str) -> dict[str, str]:
    """The functions in the code blocks of a text -> their bodies."""
    functions: dict[str, str] = {}
    if "def " in text:
        for _, code in code_blocks(text)[:_MOST_BLOCKS]:
            functions.update(function_bodies(code))
    return functions
