"""Small programs: goals are functions, the tool runs their examples, hidden tests decide.

A problem asks for one to four of the functions of `coding_tasks` (and of MBPP+, where its file is
given). The functions do not depend on each other, so a mistake in one of them is not repaired by
the others.
"""

# ruff: noqa: ARG002 - every domain is asked in the same way, and needs only some of it

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from agentracer.lab.testbed.code_tests import ExpectedCall, run_cases
from agentracer.lab.testbed.coding_functions import functions
from agentracer.lab.testbed.functions import Function
from agentracer.lab.testbed.problems import (
    Goal,
    Problem,
    ToolResult,
    WrongCall,
    held_out,
    pick,
    shuffled,
)
from agentracer.lab.testbed.server import ScriptedCall

__all__ = ["CodingDomain"]

_RESULT = re.compile(r"^Result: ([A-Z]) =\n```python\n(.*?)```", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(r"^FINAL ANSWER:\n```python\n(.*?)```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(\w+)\(")
_OWN_COMBINATIONS = 160


class CodingDomain:
    """See `agentracer.lab.testbed.problems.Domain`.

    Args:
        data: a folder with `mbppplus/`; without it there are our own functions only.
    """

    name = "coding"
    mission = "writes small Python modules"
    misread = "other code handed in than was tested"

    def __init__(self, data: Path | None = None) -> None:
        self._functions = {function.name: function for function in functions(data)}

        def run_tests(function: str, code: str) -> str:
            """Run the examples of the task for one function on a complete Python program.

            Args:
                function: the name of the function.
                code: the program.
            """
            requested = self._functions.get(function)
            if requested is None:
                return f"The task has no function {function!r}."
            return _report(code, requested.examples)[1]

        self.tools = (run_tests,)

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The functions that are for tests only."""
        return held_out(self.name, self._functions)

    @cached_property
    def _problems(self) -> list[Problem]:
        groups: list[list[Function]] = []
        for test in (False, True):
            able = [f for f in self._functions.values() if (f.name in self.held_out) is test]
            own = [f for f in able if not f.external]
            foreign = shuffled([f for f in able if f.external], "foreign")
            groups += [[f] for f in own]
            if len(own) > 1:
                groups += [
                    shuffled(own, "combination", i)[: 2 + i % 3] for i in range(_OWN_COMBINATIONS)
                ]
            groups += [foreign[i : i + 1 + i % 4] for i in range(len(foreign))]
            if own:
                groups += [[f, pick(own, f.name)] for f in foreign]
        by_name = {" + ".join(f.name for f in group): group for group in groups}
        return [_problem(identity, group) for identity, group in by_name.items()]

    def problems(self) -> Sequence[Problem]:
        """All modules to write."""
        return self._problems

    def evaluate(self, spec: str, values: Mapping[str, str]) -> str:
        """The code that follows the spec to the letter."""
        function = self._named(spec)
        return function.code_for(spec) if function is not None else "pass\n"

    def needs(self, spec: str) -> tuple[str, ...]:
        """Nothing: the functions stand alone."""
        return ()

    def next_call(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> ScriptedCall | None:
        """Run the examples; when they fail, write it again and run them again."""
        function = self._named(spec)
        if function is None:
            return None
        code = function.code_for(spec)
        arguments = {"function": function.name, "code": code}
        if not tool_results:
            return ScriptedCall("run_tests", arguments)
        failed = not tool_results[-1].text.splitlines()[-1].startswith("All ")
        retry = failed and len(tool_results) < 3 and tool_results[-1].arguments.get("code") != code
        return ScriptedCall("run_tests", arguments) if retry else None

    def conclude(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> str:
        """The code that was tested last."""
        return str(tool_results[-1].arguments.get("code", "")) if tool_results else ""

    def result_text(self, key: str, value: str) -> str:
        """`Result: A =` and a code block."""
        return f"Result: {key} =\n```python\n{value}```"

    def results_in(self, text: str) -> Iterator[tuple[str, str]]:
        """All such blocks."""
        return ((match[1], match[2]) for match in _RESULT.finditer(text))

    def combine(self, values: Mapping[str, str]) -> str:
        """All functions in one module."""
        return "\n\n".join(values.values())

    def answer_text(self, answer: str) -> str:
        """`FINAL ANSWER:` and a code block."""
        return f"FINAL ANSWER:\n```python\n{answer}```"

    def answer_in(self, text: str) -> str | None:
        """The last such block."""
        answers = _ANSWER.findall(text)
        return answers[-1] if answers else None

    def check(self, problem: Problem, answer: str) -> bool:
        """Whether the module passes all tests of all its functions, the hidden ones included."""
        required = [self._functions[name] for name in problem.parts]
        cases = [case for function in required for case in (*function.examples, *function.hidden)]
        return _report(answer, tuple(cases))[0]

    def may_skip_tools(self, spec: str) -> bool:
        """Some hand in untested code."""
        return True

    def wrong_specs(self, problem: Problem, goal: Goal) -> Sequence[tuple[str, str]]:
        """A requirement that the plan distorts or loses."""
        function = self._named(goal.spec)
        return function.wrong_specs if function is not None else ()

    def wrong_values(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Code with a bug that the examples do not show, whatever was tested."""
        function = self._named(goal.spec)
        return function.bugs if function is not None else ()

    def wrong_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """Such code, tested and found good."""
        function = self._named(goal.spec)
        if function is None:
            return []
        return [
            WrongCall(f"bug: {bug}", {"function": function.name, "code": code}, code)
            for bug, code in function.bugs
        ]

    def failing_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """Code with a bug that the examples do show."""
        function = self._named(goal.spec)
        if function is None:
            return []
        return [
            WrongCall("bug that the tests show", {"function": function.name, "code": code}, "")
            for code in function.slips
        ]

    def wrong_answers(
        self, problem: Problem, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """A module without one of its functions, or with an older version of it."""
        wrong = []
        for goal in problem.goals:
            others = {k: v for k, v in values.items() if k != goal.key}
            if others:
                wrong.append(("function left out of the module", self.combine(others)))
            wrong += [
                ("another version put into the module", self.combine({**values, goal.key: code}))
                for _, code in self.wrong_values(problem, goal, values)[:1]
            ]
        return wrong

    def _named(self, spec: str) -> Function | None:
        match = _NAMED.search(spec)
        return self._functions.get(match[1]) if match else None


def _problem(identity: str, group: Sequence[Function]) -> Problem:
    goals = tuple(Goal(chr(ord("A") + i), function.spec, "") for i, function in enumerate(group))
    if len(group) == 1:
        question = group[0].statement
    else:
        listed = "\n\n".join(
            f"{number}. {function.statement}" for number, function in enumerate(group, start=1)
        )
        question = f"Write one Python module with these {len(group)} functions.\n\n{listed}"
    answer = "\n\n".join(function.solution for function in group)
    parts = tuple(function.name for function in group)
    return Problem(identity, question, goals, answer, parts)


@lru_cache(maxsize=20_000)
def _report(code: str, cases: tuple[ExpectedCall, ...]) -> tuple[bool, str]:
    """The results of some tests; the same program is run once."""
    report = run_cases(code, cases)
    return report.passed, report.text
