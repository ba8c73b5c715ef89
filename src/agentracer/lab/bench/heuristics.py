"""Blame by rules that read a run, but need no training and no model.

They share the parsing of roles and failures with the embedded tracer, but not its weights. A rule
whose condition never holds in a run names its first step. The combination at the end is the rule
list of `embedded:rules`; it was written with a look at the development half of Who&When, and is
marked so.
"""

from __future__ import annotations

from collections.abc import Callable

from agentracer.attribution.embedded.rule_list import rank_by_rules
from agentracer.attribution.embedded.text.quotes import answer_source
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.step_facts import read_run

__all__ = ["HEURISTICS", "POST_HOC"]

POST_HOC = frozenset({"rule list (embedded:rules)"})
"""Rules that were written with a view of the labels of the development half."""


def _first_worker(signals: Signals) -> list[int]:
    return [step.index for step in signals.workers if step.index != signals.briefing]


def _first_code(signals: Signals) -> list[int]:
    return [index for index, code in enumerate(signals.code) if code]


def _first_failure(signals: Signals) -> list[int]:
    return list(signals.failures)


def _before_failure(signals: Signals) -> list[int]:
    return [max(index - 1, 0) for index in signals.failures]


def _answer(signals: Signals) -> list[int]:
    """The first step that holds the whole answer; else those that bring parts of it up."""
    whole = answer_source(signals)
    parts = [i for i, step in enumerate(read_run(signals).steps) if step.new_answer_share]
    pieces = parts if whole is None else [whole, *parts]
    return list(dict.fromkeys(pieces))


def _rule_list(signals: Signals) -> list[int]:
    return rank_by_rules(signals)[1]


HEURISTICS: dict[str, Callable[[Signals], list[int]]] = {
    "first worker step": _first_worker,
    "first code block": _first_code,
    "first tool error": _first_failure,
    "step before first tool error": _before_failure,
    "answer provenance": _answer,
    "rule list (embedded:rules)": _rule_list,
}
"""Each names steps in order of suspicion."""
