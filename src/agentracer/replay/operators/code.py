"""Bugs put into Python code, by its syntax tree: everything else in the text stays as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentracer.errors import MissingExtra

try:
    import libcst as cst
except ModuleNotFoundError as error:
    raise MissingExtra("inject", needed_for="corrupting code") from error

import itertools

from agentracer.replay.operators.base import Corruption, operator
from agentracer.replay.operators.places import Edit, code_places, corrupt_text
from agentracer.trace import Trace

__all__: list[str] = []

Proposal = tuple[Any, str]
"""A replacement of a node, and what is wrong with it."""

Propose = Callable[[Any], Sequence[Proposal]]
"""The replacements of a node that a rule knows; none for most nodes."""

_OPPOSITE: Final[dict[type[Any], type[Any]]] = {
    cst.Equal: cst.NotEqual,
    cst.NotEqual: cst.Equal,
    cst.LessThan: cst.GreaterThanEqual,
    cst.GreaterThanEqual: cst.LessThan,
    cst.GreaterThan: cst.LessThanEqual,
    cst.LessThanEqual: cst.GreaterThan,
    cst.In: cst.NotIn,
    cst.NotIn: cst.In,
    cst.Is: cst.IsNot,
    cst.IsNot: cst.Is,
}
_NEIGHBOUR: Final[dict[type[Any], type[Any]]] = {
    cst.LessThan: cst.LessThanEqual,
    cst.LessThanEqual: cst.LessThan,
    cst.GreaterThan: cst.GreaterThanEqual,
    cst.GreaterThanEqual: cst.GreaterThan,
}
_CONFUSED: Final[dict[type[Any], type[Any]]] = {
    cst.Add: cst.Subtract,
    cst.Subtract: cst.Add,
    cst.Multiply: cst.Add,
    cst.Divide: cst.FloorDivide,
    cst.FloorDivide: cst.Divide,
    cst.Modulo: cst.FloorDivide,
    cst.And: cst.Or,
    cst.Or: cst.And,
    cst.AddAssign: cst.SubtractAssign,
    cst.SubtractAssign: cst.AddAssign,
    cst.MultiplyAssign: cst.AddAssign,
}
_GUARDS: Final = (cst.Return, cst.Raise, cst.Continue, cst.Break)


class _Editor(cst.CSTTransformer):
    """Counts the proposals of a rule; with `chosen`, carries out that one."""

    def __init__(self, propose: Propose, chosen: int | None = None) -> None:
        super().__init__()
        self._propose, self._chosen = propose, chosen
        self.proposals = 0
        self.reason = ""

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        updated = super().on_leave(original_node, updated_node)
        for replacement, reason in self._propose(original_node):
            if self.proposals == self._chosen:
                updated, self.reason = replacement, reason
            self.proposals += 1
        return updated


def _edit(propose: Propose) -> Edit:
    def edit(code: str, rng: random.Random) -> tuple[str, str] | None:
        try:
            module = cst.parse_module(code)
        except (cst.ParserSyntaxError, RecursionError):
            return None
        counting = _Editor(propose)
        module.visit(counting)
        order = list(range(counting.proposals))
        rng.shuffle(order)
        for chosen in order:
            editor = _Editor(propose, chosen)
            changed = module.visit(editor).code
            if changed != code and _compiles(changed):
                return changed, editor.reason
        return None

    return edit


def _code_operator(name: str, says: str) -> Callable[[Propose], Propose]:
    def add(propose: Propose) -> Propose:
        edit = _edit(propose)

        @operator(f"code.{name}", says=says)
        def rule(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
            return corrupt_text(code_places(trace, step), edit, rng)

        return propose

    return add


@_code_operator("changed_return_value", "a function returns the wrong value")
def _changed_return_value(node: Any) -> Sequence[Proposal]:
    if not isinstance(node, cst.Return) or node.value is None:
        return ()
    others = [_wrong_value(node.value)]
    return [
        (node.with_changes(value=value), f"returns {_text(value)} in place of {_text(node.value)}")
        for value in others
        if value is not None
    ]


@_code_operator("inverted_condition", "a condition is inverted")
def _inverted_condition(node: Any) -> Sequence[Proposal]:
    if not isinstance(node, (cst.If, cst.While, cst.IfExp, cst.CompIf)):
        return ()
    test = _negated(node.test)
    return [(node.with_changes(test=test), f"the condition {_text(node.test)} is inverted")]


@_code_operator("off_by_one", "a bound is off by one")
def _off_by_one(node: Any) -> Sequence[Proposal]:
    if isinstance(node, cst.Comparison) and len(node.comparisons) == 1:
        target = node.comparisons[0]
        if type(target.operator) in _NEIGHBOUR:
            moved = target.with_changes(operator=_NEIGHBOUR[type(target.operator)]())
            changed = node.with_changes(comparisons=[moved])
            return [(changed, f"compares {_text(changed)} where it has to be {_text(node)}")]
    if isinstance(node, (cst.Call, cst.Slice, cst.Index)):
        return _shifted_parts(node)
    return ()


@_code_operator("wrong_operator", "an operator is the wrong one")
def _wrong_operator(node: Any) -> Sequence[Proposal]:
    if isinstance(node, (cst.BinaryOperation, cst.BooleanOperation, cst.AugAssign)):
        other = _CONFUSED.get(type(node.operator))
        if other is not None:
            changed = node.with_changes(operator=other())
            return [(changed, f"computes {_text(changed)} in place of {_text(node)}")]
    return ()


@_code_operator("swapped_arguments", "two arguments are swapped")
def _swapped_arguments(node: Any) -> Sequence[Proposal]:
    if not isinstance(node, cst.Call):
        return ()
    plain = [i for i, arg in enumerate(node.args) if arg.keyword is None and not arg.star]
    proposals: list[Proposal] = []
    for first, second in itertools.pairwise(plain):
        args = list(node.args)
        one, two = args[first].value, args[second].value
        if not one.deep_equals(two):
            args[first] = args[first].with_changes(value=two)
            args[second] = args[second].with_changes(value=one)
            proposals.append(
                (node.with_changes(args=args), f"the arguments of {_text(node)} are swapped")
            )
    return proposals


@_code_operator("dropped_edge_case", "the check of an edge case is missing")
def _dropped_edge_case(node: Any) -> Sequence[Proposal]:
    if not isinstance(node, cst.IndentedBlock) or len(node.body) < 2:
        return ()
    proposals: list[Proposal] = []
    for position, statement in enumerate(node.body):
        if isinstance(statement, cst.If) and statement.orelse is None and _is_guard(statement):
            rest = [*node.body[:position], *node.body[position + 1 :]]
            reason = f"the case {_text(statement.test)} is not handled"
            proposals.append((node.with_changes(body=rest), reason))
    return proposals


@_code_operator("deleted_statement", "a statement is missing")
def _deleted_statement(node: Any) -> Sequence[Proposal]:
    if not isinstance(node, cst.IndentedBlock) or len(node.body) < 2:
        return ()
    proposals: list[Proposal] = []
    for position, line in enumerate(node.body):
        if isinstance(line, cst.SimpleStatementLine) and _has_effect(line):
            rest = [*node.body[:position], *node.body[position + 1 :]]
            reason = f"the statement {_text(line).strip()} is missing"
            proposals.append((node.with_changes(body=rest), reason))
    return proposals


# -- pieces


def _wrong_value(value: Any) -> Any:
    """A value that a hasty author might have returned."""
    if isinstance(value, cst.Integer):
        return cst.Integer(str(int(value.value, 0) + 1))
    if isinstance(value, cst.Name) and value.value in ("True", "False"):
        return cst.Name("False" if value.value == "True" else "True")
    if isinstance(value, (cst.Comparison, cst.UnaryOperation, cst.BooleanOperation)):
        return _negated(value)
    if isinstance(value, cst.Call) and len(value.args) >= 1 and not value.args[0].star:
        return value.args[0].value  # sorted(x) becomes x, str(x) becomes x
    if isinstance(value, cst.BinaryOperation):
        return value.left
    if isinstance(value, cst.Tuple) and len(value.elements) > 1:
        return value.with_changes(elements=value.elements[::-1])
    if isinstance(value, (cst.List, cst.Dict, cst.ListComp)):
        return None
    if isinstance(value, cst.SimpleString):
        return cst.SimpleString('""' if len(value.value) > 2 else '" "')
    return cst.Name("None")


def _negated(test: Any) -> Any:
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return test.expression
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        target = test.comparisons[0]
        opposite = _OPPOSITE.get(type(target.operator))
        if opposite is not None:
            return test.with_changes(comparisons=[target.with_changes(operator=opposite())])
    bare = test if isinstance(test, (cst.Name, cst.Call, cst.Attribute, cst.Subscript)) else (
        test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    )  # fmt: skip
    return cst.UnaryOperation(cst.Not(), bare)


def _shifted_parts(node: Any) -> Sequence[Proposal]:
    """Bounds of `range` and slices, and indices, moved by one."""
    if isinstance(node, cst.Call):
        if not (isinstance(node.func, cst.Name) and node.func.value == "range" and node.args):
            return ()
        last = min(len(node.args), 2) - 1
        proposals: list[Proposal] = []
        for by in (1, -1):
            args = list(node.args)
            args[last] = args[last].with_changes(value=_shifted(args[last].value, by))
            changed = node.with_changes(args=args)
            proposals.append((changed, f"{_text(changed)} in place of {_text(node)}"))
        return proposals
    if isinstance(node, cst.Slice):
        parts = [name for name in ("lower", "upper") if getattr(node, name) is not None]
        return [
            (node.with_changes(**{name: _shifted(getattr(node, name), 1)}), "a slice is off by one")
            for name in parts
        ]
    if isinstance(node.value, cst.Integer):
        return [(node.with_changes(value=_shifted(node.value, 1)), "an index is off by one")]
    return ()


def _shifted(value: Any, by: int) -> Any:
    if isinstance(value, cst.Integer):
        moved = int(value.value, 0) + by
        if moved >= 0:
            return cst.Integer(str(moved))
        return cst.UnaryOperation(cst.Minus(), cst.Integer(str(-moved)))
    sign = cst.Add() if by > 0 else cst.Subtract()
    atom = (cst.Name, cst.Call, cst.Attribute, cst.Subscript, cst.BinaryOperation)
    left = value if isinstance(value, atom) else (
        value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    )  # fmt: skip
    return cst.BinaryOperation(left, sign, cst.Integer("1"))


def _is_guard(statement: Any) -> bool:
    lines = statement.body.body
    last = lines[-1] if lines else None
    if isinstance(statement.body, cst.SimpleStatementSuite):
        return isinstance(last, _GUARDS)
    return isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], _GUARDS)


def _has_effect(line: Any) -> bool:
    first = line.body[0]
    if isinstance(first, (cst.Assign, cst.AugAssign, cst.AnnAssign)):
        return True
    return isinstance(first, cst.Expr) and isinstance(first.value, cst.Call)


def _text(node: Any) -> str:
    text = cst.Module([]).code_for_node(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _compiles(code: str) -> bool:
    try:
        compile(code, "corrupted", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
