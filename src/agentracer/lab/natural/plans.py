"""Read a plan out of a text, and check it against the rules of its task.

The plan is what follows the last heading "Plan:"; without one, the whole text. Names are found as
whole words, whatever their case. Three kinds:

    assign   each item gets one slot, as "item: slot" lines, or under a slot as a heading
    select   the items that are named
    route    all items, in the order in which they are named

A plan that gives an item two slots, names a place of a route twice, or leaves one out, is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PlanTask", "plan_is_valid", "read_assignment", "read_order"]

Rule = Sequence[str | float]
Quantities = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class PlanTask:
    """A planning task, as in `data/planning_tasks.toml`.

    Attributes:
        id: its name.
        difficulty: a guess, `easy`, `medium` or `hard`.
        text: the task as the team gets it.
        kind: how the plan is read.
        items: what is assigned, selected or ordered.
        rules: each is a name and its arguments; see `plan_is_valid`.
        slots: for `assign`, in their order.
        quantities: by item: what it weighs, costs and so on.
        distances: for `route`: by `A-B`, the same both ways.
        plan: a right plan.
        wrong: wrong ones.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    id: str
    difficulty: Literal["easy", "medium", "hard"]
    text: str
    kind: Literal["assign", "select", "route"]
    items: list[str]
    rules: list[list[str | float]]
    plan: str
    wrong: list[str]
    slots: list[str] = field(default_factory=list)
    quantities: dict[str, dict[str, float]] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)


def plan_is_valid(text: str, task: PlanTask) -> bool:
    """Read the plan in a text and try all rules of its task.

    Rules of `assign`: `at ITEM SLOT...`, `not_at ITEM SLOT...`, `before A B`, `together A B`,
    `apart A B`, `next_to A B`, `not_next_to A B` (by the order of the slots), `per_slot N` (at
    most), `load SLOT N` (at most, summed over all quantities of the items in it).
    Rules of `select`: `at_most QUANTITY N`, `at_least QUANTITY N`, `count FROM TO`,
    `include ITEM...`, `excludes ITEM...`, `needs A B`, `not_both A B`, `one_of ITEM...` (exactly
    one), `some_of ITEM...` (at least one).
    Rules of `route`: `first P`, `last P`, `not_first P`, `not_last P`, `before A B`,
    `directly_before A B`, `at_most N` (the sum of the distances).

    Raises:
        KeyError: the task has a rule or a distance that is not known.
    """
    if task.kind == "assign":
        slots = read_assignment(text, task.items, task.slots)
        return slots is not None and all(_assign_rule(rule, slots, task) for rule in task.rules)
    order = read_order(text, task.items)
    if task.kind == "select":
        return bool(order) and all(_select_rule(rule, set(order), task) for rule in task.rules)
    whole = sorted(order) == sorted(task.items)
    return whole and all(_route_rule(rule, order, task.distances) for rule in task.rules)


def read_assignment(text: str, items: Sequence[str], slots: Sequence[str]) -> dict[str, int] | None:
    """Return the position of each item's slot, or None if the text is not clear about one."""
    result: dict[str, int] = {}
    heading: int | None = None
    for clause in _clauses(_plan_part(text), slots):
        named, places = _named(clause, items), _named(clause, slots)
        if len(places) > 1:
            return None
        if places:
            position = list(slots).index(places[0])
            heading = position if not named else None
        elif heading is not None:
            position = heading
        else:
            continue
        for item in named:
            if result.setdefault(item, position) != position:
                return None
    return result if len(result) == len(items) else None


def read_order(text: str, items: Sequence[str]) -> list[str]:
    """Return the items in the order in which the plan names them; an item may come twice."""
    order = _named(_plan_part(text), items)
    return [name for name, _ in itertools.groupby(order)]


def _plan_part(text: str) -> str:
    plain = re.sub(r"[*_`#]", "", text)
    return re.split(r"\bplan\s*:", plain, flags=re.IGNORECASE)[-1]


def _clauses(text: str, slots: Sequence[str]) -> list[str]:
    """Lines; those with more than one slot are divided at commas and semicolons."""
    clauses: list[str] = []
    for line in text.splitlines():
        several = len(set(_named(line, slots))) > 1
        clauses.extend(re.split(r"[,;]", line) if several else [line])
    return [clause for clause in clauses if clause.strip()]


def _named(text: str, names: Sequence[str]) -> list[str]:
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(
        r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE
    )
    by_fold = {name.casefold(): name for name in names}
    return [by_fold[match[0].casefold()] for match in pattern.finditer(text)]


def _assign_rule(rule: Rule, slot_of: Mapping[str, int], task: PlanTask) -> bool:
    name, *rest = rule
    if name == "per_slot":
        used = list(slot_of.values())
        return all(used.count(slot) <= float(rest[0]) for slot in used)
    if name == "load":
        slot = task.slots.index(str(rest[0]))
        inside = [item for item, position in slot_of.items() if position == slot]
        return sum(sum(task.quantities[i].values()) for i in inside) <= float(rest[1])
    first = slot_of[str(rest[0])]
    if name in ("at", "not_at"):
        inside_slots = first in [task.slots.index(str(slot)) for slot in rest[1:]]
        return inside_slots is (name == "at")
    gap = slot_of[str(rest[1])] - first
    return {
        "before": gap > 0,
        "together": gap == 0,
        "apart": gap != 0,
        "next_to": abs(gap) == 1,
        "not_next_to": abs(gap) != 1,
    }[str(name)]


def _select_rule(rule: Rule, chosen: set[str], task: PlanTask) -> bool:
    name, *rest = rule
    if name == "count":
        return float(rest[0]) <= len(chosen) <= float(rest[1])
    if name in ("at_most", "at_least"):
        total = sum(task.quantities[item][str(rest[0])] for item in chosen)
        limit = float(rest[1])
        return total <= limit + 1e-9 if name == "at_most" else total >= limit - 1e-9
    inside = [str(item) in chosen for item in rest]
    decide: dict[str, Callable[[], bool]] = {
        "include": lambda: all(inside),
        "excludes": lambda: not any(inside),
        "needs": lambda: not inside[0] or inside[1],
        "not_both": lambda: not all(inside),
        "one_of": lambda: sum(inside) == 1,
        "some_of": lambda: any(inside),
    }
    return decide[str(name)]()


def _route_rule(rule: Rule, order: Sequence[str], distances: Mapping[str, float]) -> bool:
    name, *rest = rule
    if name == "at_most":
        legs = itertools.pairwise(order)
        return sum(_distance(a, b, distances) for a, b in legs) <= float(rest[0]) + 1e-9
    place = order.index(str(rest[0]))
    if name in ("before", "directly_before"):
        gap = order.index(str(rest[1])) - place
        return gap > 0 if name == "before" else gap == 1
    last = len(order) - 1
    return {
        "first": place == 0,
        "last": place == last,
        "not_first": place != 0,
        "not_last": place != last,
    }[str(name)]


def _distance(a: str, b: str, distances: Mapping[str, float]) -> float:
    key = f"{a}-{b}"
    return distances[key] if key in distances else distances[f"{b}-{a}"]
