"""Read the functions of MBPP+ (Apache-2.0) from its file, and compute bugs for them.

A bug is a small change of the reference solution (`mutants`) that passes the example of the task
and fails a hidden test; a slip fails the example already. The changes are run, in one sandboxed
program for each function, when its tests are first needed. Execution steps are counted, not timed,
so that the result is the same on every machine.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentracer.lab.sandbox import ExecutionLimits, run_python
from agentracer.lab.testbed.coding_tasks import ExpectedCall
from agentracer.lab.testbed.functions import Function, FunctionTests

__all__ = ["mbpp_functions", "mutants"]

_MAX_HIDDEN = 14
_MAX_MUTANTS = 24
_LIMITS = ExecutionLimits(wall_seconds=180.0, cpu_seconds=8.0)

# Runs inside the sandbox: the values of all tests, for the solution and for each changed program.
_TRIAL = """\
import contextlib, io, json, sys

class TooLong(BaseException):
    pass

def counted(code, calls):
    left = 60_000
    def tick(frame, event, argument):
        nonlocal left
        left -= 1
        if left < 0:
            raise TooLong
        return tick
    names, values = {"__name__": "solution"}, []
    sys.settrace(tick)
    try:
        exec(compile(code, "solution.py", "exec"), names)
        for call in calls:
            try:
                values.append(repr(eval(call, names)))
            except Exception as error:
                values.append("raises " + type(error).__name__)
    except BaseException:
        return None
    finally:
        sys.settrace(None)
    return values

programs, calls = json.loads(PAYLOAD)
with contextlib.redirect_stdout(io.StringIO()):
    results = [counted(code, calls) for code in programs]
literal = []
for value in results[0] or []:
    try:
        literal.append(repr(eval(value, {})) == value)
    except Exception:
        literal.append(False)
print(json.dumps([results, literal]))
"""


def mbpp_functions(path: Path, taken: set[str]) -> list[Function]:
    """The usable functions of the file, under names that are not taken."""
    functions: dict[str, Function] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            task = _MbppTask.read(json.loads(line))
            if task is not None and task.name not in taken:
                functions.setdefault(task.name, _function(task))
    return list(functions.values())


@dataclass(frozen=True)
class _MbppTask:
    """One line of the file."""

    name: str
    signature: str
    text: str
    example: ExpectedCall
    solution: str
    inputs: tuple[str, ...]

    @classmethod
    def read(cls, data: dict[str, Any]) -> _MbppTask | None:
        """None where the task is not of the common form: one function, one example."""
        name, prompt = str(data["entry_point"]), str(data["prompt"])
        asserts = re.findall(r"^assert (.+)$", prompt, re.MULTILINE)
        text = re.sub(r"\s+", " ", prompt.strip().strip('"').partition("assert ")[0]).strip()
        try:
            body = _parsed(str(data["canonical_solution"])).body
            compared = ast.parse(asserts[0], mode="eval").body
        except (SyntaxError, IndexError, ValueError):
            return None
        defined = [node for node in body if isinstance(node, ast.FunctionDef)]
        plain = all(isinstance(n, (ast.FunctionDef, ast.Import, ast.ImportFrom)) for n in body)
        equal = (
            isinstance(compared, ast.Compare)
            and len(compared.ops) == 1
            and isinstance(compared.ops[0], ast.Eq)
        )
        if len(defined) != 1 or defined[0].name != name or not plain or not equal:
            return None
        left, right = ast.unparse(compared.left), ast.unparse(compared.comparators[0])
        calls = [
            f"{name}({', '.join(map(repr, arguments))})"
            for arguments in [*data["base_input"], *data["plus_input"]]
        ]
        short = [call for call in dict.fromkeys(calls) if len(call) < 300 and call != left]
        return cls(
            name,
            f"{name}({ast.unparse(defined[0].args)})",
            text.replace(" -- ", " - "),
            ExpectedCall(left, right),
            ast.unparse(ast.Module(body, [])) + "\n",
            tuple(short[:_MAX_HIDDEN]),
        )


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some solutions have invalid escapes in their patterns
        return ast.parse(code)


def _function(task: _MbppTask) -> Function:
    statement = (
        f"Write a Python function `{task.signature}`. {task.text}\n\nExamples:\n    {task.example}"
    )
    return Function(
        name=task.name,
        statement=statement,
        spec=f"write `{task.signature}`. {task.text}",
        solution=task.solution,
        code_for=lambda _: task.solution,
        wrong_specs=(),
        load_tests=lambda: _computed_tests(task),
        external=True,
    )


@cache
def _computed_tests(task: _MbppTask) -> FunctionTests:
    """Run the solution and its mutants, and sort them by what the tests say."""
    changed = list(mutants(task.solution))
    calls = [task.example.call, task.example.value, *task.inputs]
    programs = [task.solution, *(code for _, code in changed)]
    payload = json.dumps([programs, calls])
    run = run_python(f"PAYLOAD = {payload!r}\n{_TRIAL}", limits=_LIMITS)
    try:
        results, literal = json.loads(run.stdout)
        right = results[0]
    except (ValueError, IndexError, TypeError):
        right = None
    if right is None or right[0] != right[1]:
        return FunctionTests((), (), (task.example,), ())
    usable = [i for i in range(2, len(calls)) if literal[i]]
    hidden = tuple(ExpectedCall(calls[i], right[i]) for i in usable)
    bugs, slips = [], []
    for (kind, code), values in zip(changed, results[1:], strict=True):
        if values is None:
            continue
        if values[0] != right[0]:
            slips.append(code)
        elif any(values[i] != right[i] for i in usable):
            bugs.append((kind, code))
    return FunctionTests(tuple(bugs), tuple(slips), (task.example,), hidden)


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMBINED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
}


def mutants(code: str) -> Iterator[tuple[str, str]]:
    """Small changes of a program, one at a time: (what was changed, code)."""
    changed: dict[str, str] = {}
    for position, _ in enumerate(ast.walk(ast.parse(code))):
        for kind in ("comparison", "operator", "constant", "condition", "result"):
            tree = ast.parse(code)
            node = list(ast.walk(tree))[position]
            if _change(node, kind):
                text = ast.unparse(tree) + "\n"
                if text != code:
                    changed.setdefault(text, f"wrong {kind}")
    yield from ((kind, text) for text, kind in list(changed.items())[:_MAX_MUTANTS])


def _change(node: ast.AST, kind: str) -> bool:
    """Change a node in place, if it is of this kind."""
    if kind == "comparison" and isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        node.ops[0] = _COMPARED[type(node.ops[0])]()
    elif kind == "operator" and isinstance(node, ast.BinOp) and type(node.op) in _COMBINED:
        node.op = _COMBINED[type(node.op)]()
    elif kind == "constant" and isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
    elif kind == "condition" and isinstance(node, (ast.If, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif kind == "result" and isinstance(node, ast.Call) and getattr(node.func, "id", "") in _PEERS:
        node.func = ast.Name(_PEERS[getattr(node.func, "id", "")])
    else:
        return False
    return True


_PEERS = {
    "max": "min",
    "min": "max",
    "sorted": "list",
    "all": "any",
    "any": "all",
    "set": "list",
    "sum": "len",
    "tuple": "list",
}
