"""Describe a function that a coding problem asks for, its tests, and ways to get it wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentracer.lab.testbed.coding_tasks import ExpectedCall

__all__ = ["Function", "FunctionTests"]


@dataclass(frozen=True)
class FunctionTests:
    """Tests of a function, and ways to fail them.

    Attributes:
        bugs: (what is wrong, code) that the examples do not show.
        slips: code whose mistake the examples do show.
        examples: tests that the team may run.
        hidden: the further tests that decide.
    """

    bugs: tuple[tuple[str, str], ...]
    slips: tuple[str, ...]
    examples: tuple[ExpectedCall, ...]
    hidden: tuple[ExpectedCall, ...]


@dataclass(frozen=True)
class Function:
    """A function to write.

    Attributes:
        name: its name.
        statement: what is asked, with examples.
        spec: a good point of a plan for it.
        solution: code that is right.
        code_for: the code that follows a spec to the letter.
        wrong_specs: (kind, spec) of plans that lose or distort something.
        load_tests: its tests and bugs, which may have to be found out first.
        external: whether it is read from a data set that is not part of the package.
    """

    name: str
    statement: str
    spec: str
    solution: str
    code_for: Callable[[str], str]
    wrong_specs: tuple[tuple[str, str], ...]
    load_tests: Callable[[], FunctionTests]
    external: bool = False

    @property
    def bugs(self) -> tuple[tuple[str, str], ...]:
        """Of its tests; see `FunctionTests`."""
        return self.load_tests().bugs

    @property
    def slips(self) -> tuple[str, ...]:
        """Of its tests; see `FunctionTests`."""
        return self.load_tests().slips

    @property
    def examples(self) -> tuple[ExpectedCall, ...]:
        """Of its tests; see `FunctionTests`."""
        return self.load_tests().examples

    @property
    def hidden(self) -> tuple[ExpectedCall, ...]:
        """Of its tests; see `FunctionTests`."""
        return self.load_tests().hidden
