"""Runs tests on a program in the sandbox.

What the testing code of `coding_team` does, for those who need no team: it imports no framework.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.lab.sandbox import ExecutionLimits, run_python
from agentracer.lab.testbed.coding_tasks import ExpectedCall

__all__ = ["CodeTestReport", "ExpectedCall", "run_cases"]

# CPU time ends what loops, wall time only what sleeps: a busy machine must not change a result.
_TEST_LIMITS = ExecutionLimits(wall_seconds=60.0, cpu_seconds=2.0)

# Runs inside the sandbox. What the tested code prints is swallowed: a program may print whatever
# it likes, and only the lines of this harness count. Code that wants to cheat can.
_HARNESS = """\
import contextlib, io, json

def outcome(expression, names):
    try:
        return repr(eval(expression, names))
    except BaseException as error:
        return "raises " + type(error).__name__

def main(code, cases):
    names = {"__name__": "solution"}
    results = []
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(code, "solution.py", "exec"), names)
        except BaseException as error:
            return {"broken": f"{type(error).__name__}: {error}", "results": []}
        for case in cases:
            got = outcome(case["call"], names)
            wanted = "raises " + case["error"] if case["error"] else outcome(case["value"], {})
            results.append([wanted, got])
    return {"broken": "", "results": results}

print(json.dumps(main(*json.loads(PAYLOAD))))
"""


@dataclass(frozen=True, slots=True)
class CodeTestReport:
    """The results of some tests.

    Attributes:
        passed: True when all of them ran and passed.
        text: The report as the tool returns it.
    """

    passed: bool
    text: str


def run_cases(code: str, cases: Sequence[ExpectedCall]) -> CodeTestReport:
    """Run tests on a program in the sandbox; failures of any kind are part of the report."""
    payload = json.dumps(
        [code, [{"call": c.call, "value": c.value, "error": c.error} for c in cases]]
    )
    run = run_python(f"PAYLOAD = {payload!r}\n{_HARNESS}", limits=_TEST_LIMITS)
    try:
        answer = json.loads(run.stdout)
        broken, results = str(answer["broken"]), list(answer["results"])
    except (ValueError, KeyError, TypeError):
        why = f"stopped by its {run.stopped_by} limit" if run.stopped_by else run.stderr[-400:]
        return CodeTestReport(False, f"The tests did not finish (exit code {run.exit_code}): {why}")
    if broken:
        return CodeTestReport(False, f"The program could not be loaded: {broken}")
    lines = []
    failed = 0
    for case, (expected, got) in zip(cases, results, strict=False):
        if expected == got:
            lines.append(f"PASSED  {case}")
        else:
            failed += 1
            lines.append(
                f"FAILED  {case.call}\n        expected: {expected}\n        got:      {got}"
            )
    lines.append(
        f"{failed} of {len(cases)} tests failed." if failed else f"All {len(cases)} tests passed."
    )
    return CodeTestReport(not failed and len(results) == len(cases), "\n".join(lines))
