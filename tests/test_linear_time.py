"""No regular expression of the package takes more than linear time on long runs."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import agentracer
from agentracer.redaction.tokens import token_rules

ROOT = Path(agentracer.__file__).parent
LENGTH, SECONDS = 10_000, 0.01  # 200 kB in 0.2 s
MOST_SECONDS = 0.05  # too long however it grows, on a busy machine too
GROWTH = 8  # times as long as at a quarter of the length: 4 is linear, 16 quadratic
PROBES = [
    *" \t\n\r\x0b-_=#*~+.,:;!?/\\|&%$@^<>()[]{}'\"`0a1Zé漢",
    *(
        "```",
        "'''",
        '"""',
        "a ",
        "1.",
        "1,",
        "1 ",
        "a.",
        "a-",
        "a_",
        "a:",
        "\n\n",
        " \n",
        "\n ",
        "a\n",
    ),
    *(
        "ab1-",
        "((",
        "[]",
        "{}",
        "<a>",
        "</",
        "://",
        "**",
        "- ",
        "| ",
        "\\\\",
        "\\'",
        "%2",
        "$1",
        "1+1=",
    ),
]
METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")


@dataclass(frozen=True)
class Use:
    """A pattern, where it stands, and whether it is only ever matched at one place."""

    place: str
    pattern: re.Pattern[str]
    anchored: bool


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its file."""
    for info in pkgutil.walk_packages([str(ROOT)], "agentracer."):
        spec = importlib.util.find_spec(info.name)
        if spec is not None and spec.origin is not None:
            yield info.name, Path(spec.origin)


def methods_by_name(trees: dict[str, ast.Module]) -> dict[tuple[str, str], set[str]]:
    """By module and name: the methods called on a variable; the module is empty if it is public."""
    methods: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                owner = node.value
                name = getattr(owner, "id", getattr(owner, "attr", ""))
                methods[module if name.startswith("_") else "", name].add(node.attr)
    return methods


def patterns_in(value: object, depth: int = 0) -> Iterator[re.Pattern[str]]:
    """The patterns of text in a global value: itself, or in containers and fields of objects."""
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
    elif depth < 4 and isinstance(value, dict):
        for item in [*value.keys(), *value.values()]:
            yield from patterns_in(item, depth + 1)
    elif depth < 4 and isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from patterns_in(item, depth + 1)
    elif depth < 4 and type(value).__module__.startswith("agentracer"):
        names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
        for name in names:
            yield from patterns_in(getattr(value, name, None), depth + 1)


def literal_patterns(tree: ast.Module) -> Iterator[tuple[str, re.Pattern[str], int]]:
    """Patterns written out in calls such as `re.sub("a+", ...)` outside of `re.compile`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        function, owner = node.func.attr, getattr(node.func.value, "id", None)
        first = node.args[0] if node.args else None
        if owner == "re" and function in METHODS and isinstance(first, ast.Constant):
            yield function, re.compile(first.value), node.lineno


def uses() -> list[Use]:
    """Every pattern of the package, once."""
    trees, found = {}, {}
    for name, file in modules():
        trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    methods = methods_by_name(trees)
    for name, tree in trees.items():
        for function, pattern, line in literal_patterns(tree):
            anchored = function in ("match", "fullmatch")
            found.setdefault(pattern, Use(f"{name}:{line}", pattern, anchored))
        try:
            module = importlib.import_module(name)
        except ImportError:  # an optional framework is not installed
            continue
        for variable, value in vars(module).items():
            called = methods.get((name if variable.startswith("_") else "", variable), set())
            anchored = bool(called) and called <= {"match", "fullmatch"}
            for pattern in patterns_in(value):
                found.setdefault(pattern, Use(f"{name}.{variable}", pattern, anchored))
    found |= {rule.pattern: Use(f"rule {rule.kind}", rule.pattern, False) for rule in token_rules()}
    return sorted(found.values(), key=lambda use: use.place)


def seconds(use: Use, text: str) -> float:
    """The least processor time of three runs over a text."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        if use.anchored:
            use.pattern.match(text)
            use.pattern.fullmatch(text)
        else:
            for _match in use.pattern.finditer(text):
                pass
        best = min(best, time.process_time() - started)
        if best < SECONDS:
            break
    return best


def repeated(probe: str, length: int) -> list[str]:
    """A long run of a probe, alone and between two letters."""
    run = probe * (length // len(probe))
    return [run, f"a{run}a"]


def grows(use: Use, probe: str) -> str | None:
    """The seconds that a pattern takes on a long run, if too many or if they grow too fast."""
    texts = zip(repeated(probe, LENGTH // 4), repeated(probe, LENGTH), strict=True)
    for short, long in texts:
        taken = seconds(use, long)
        if taken > MOST_SECONDS or SECONDS < taken > GROWTH * seconds(use, short):
            return f"{taken:.2f} s"
    return None


@pytest.mark.slow
def test_every_pattern_takes_linear_time_on_long_runs():
    everything = uses()
    assert len(everything) > 200, "the search for patterns misses some"
    slow = []
    for use in everything:
        times = ((probe, grows(use, probe)) for probe in PROBES)
        first = next(((probe, taken) for probe, taken in times if taken), None)
        if first is not None:  # one probe is enough to name it
            slow.append((use.place, *first))
    assert slow == []


def test_a_quadratic_pattern_is_noticed():
    assert grows(Use("here", re.compile(r"\s+$"), False), " ")
