"""Functions of MBPP+ that are looked for by what they should do, tried, and renamed.

    reader -> normaliser -> searcher -> filter -> tester -> chooser -> renamer -> formatter

The library holds reference solutions of MBPP+ (Austin et al. 2021; EvalPlus, Apache-2.0) under
names that say nothing; the task is the text of one problem with its one example; the program that
comes out has to pass the hidden inputs. Programs really run, each of them once, in the sandbox.
"""

from __future__ import annotations

import ast
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentracer.lab.sandbox import ExecutionLimits, run_python
from credit.pipeline import Family, Problem, Program

__all__ = ["family"]

_SIZE = 90
_HIDDEN = 6
_LIMITS = ExecutionLimits(wall_seconds=300.0, cpu_seconds=200.0)

# Runs inside the sandbox: which programs do the same as a reference with each call. Steps are
# counted, not timed, so that the answer is the same on every machine.
_TRIAL = """\
import contextlib, io, json, sys

class TooLong(BaseException):
    pass

def tried(code, calls):
    left = 20_000
    def tick(frame, event, argument):
        nonlocal left
        left -= 1
        if left < 0:
            raise TooLong
        return tick
    names, values = {"__name__": "solution"}, []
    try:
        exec(compile(code, "solution.py", "exec"), names)
    except BaseException:
        return None
    for call in calls:
        left = 20_000
        sys.settrace(tick)
        try:
            values.append(repr(eval(call, names))[:2000])
        except BaseException as error:
            values.append("raises " + type(error).__name__)
        finally:
            sys.settrace(None)
    return values

def agrees(values, wanted):
    return values is not None and values == wanted and not values[0].startswith("raises")

results = []
with contextlib.redirect_stdout(io.StringIO()):
    for reference, calls, codes in json.loads(PAYLOAD):
        wanted = tried(reference, calls)
        results.append([int(agrees(tried(code, calls), wanted)) for code in codes])
print(json.dumps(results))
"""


class _World:
    """The library, and what its programs do."""

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self.records = records
        self.codes = [_anonymous(record) for record in records]
        self.arity = [_arity(code) for code in self.codes]
        self.examples = [_example(record) for record in records]
        wanted = [
            (f"def f(*_):\n    return {expected}\n", [f"f({arguments})"], self.codes)
            for arguments, expected in self.examples
        ]
        self.passes = _run(wanted)


def family(data: Path) -> Family:
    """The family, over a random library of the usable problems."""
    text = (data / "mbppplus" / "MbppPlus.jsonl").read_text(encoding="utf-8")
    usable = [r for r in map(json.loads, text.splitlines()) if _usable(r)]
    records = random.Random(0).sample(usable, _SIZE)
    world = _World(records)
    problems = [
        Problem(f"mbpp-{number}", record["prompt"], record["prompt"], str(number))
        for number, record in enumerate(records)
        if world.passes[number][number]
    ]
    hidden = _Hidden(world)
    return Family("mbpp", _slots(world), _wiring, hidden.right, problems, hidden.prepare)


def _wiring(problem: Problem) -> Program:
    said = yield ("reader", problem.given)
    terms = yield ("normaliser", said[0])
    ranked = yield ("searcher", terms)
    fitting = yield ("filter", ranked, said[1])
    tried = yield ("tester", fitting, said[1])
    chosen = yield ("chooser", tried)
    code = yield ("renamer", chosen, said[1])
    program = yield ("formatter", code)
    return str(program)


class _Hidden:
    """Whether a program passes the hidden inputs; each program is run once for each problem."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self._known: dict[tuple[str, str], bool] = {}

    def prepare(self, pairs: Sequence[tuple[Problem, str]]) -> None:
        """Run all of these with one start of the sandbox."""
        waiting: dict[str, list[str]] = {}
        for problem, program in pairs:
            if (problem.answer, program) not in self._known:
                waiting.setdefault(problem.answer, []).append(program)
        payload = [(*self._hidden(int(number)), codes) for number, codes in waiting.items()]
        rows = _run(payload) if payload else []
        for (number, codes), row in zip(waiting.items(), rows, strict=True):
            self._known.update({(number, c): same for c, same in zip(codes, row, strict=True)})

    def right(self, problem: Problem, program: str) -> bool:
        """See `Family`."""
        self.prepare([(problem, program)])
        return self._known[problem.answer, program]

    def _hidden(self, number: int) -> tuple[str, list[str]]:
        record = self._world.records[number]
        name = record["entry_point"]
        inputs = [*record["base_input"], *record["plus_input"]][:_HIDDEN]
        calls = [f"{name}({', '.join(map(repr, given))})" for given in inputs]
        return record["canonical_solution"], calls


def _run(payload: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> list[list[bool]]:
    """For each (reference, calls, programs), which of the programs do what the reference does."""
    run = run_python(f"PAYLOAD = {json.dumps(payload)!r}\n{_TRIAL}", limits=_LIMITS)
    return [[bool(same) for same in row] for row in json.loads(run.stdout)]


def _usable(record: dict[str, Any]) -> bool:
    """One function, one plain example, inputs that are JSON."""
    try:
        body = ast.parse(record["canonical_solution"]).body
        _example(record)
    except (SyntaxError, ValueError, IndexError, TypeError):
        return False
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return len(functions) == 1 and functions[0].name == record["entry_point"]


def _example(record: dict[str, Any]) -> tuple[str, str]:
    """The arguments and the result of the example."""
    found = re.search(r"^assert (.+)$", record["prompt"], re.MULTILINE)
    compared = ast.parse(found[1] if found else "", mode="eval").body
    if not isinstance(compared, ast.Compare) or not isinstance(compared.left, ast.Call):
        raise ValueError("the example is no plain comparison")
    arguments = ", ".join(ast.unparse(argument) for argument in compared.left.args)
    return arguments, ast.unparse(compared.comparators[0])


def _anonymous(record: dict[str, Any]) -> str:
    """The solution under the name `f`; what it calls itself by is renamed too."""
    tree = ast.parse(record["canonical_solution"])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == record["entry_point"]:
            node.name = "f"
        elif isinstance(node, ast.Name) and node.id == record["entry_point"]:
            node.id = "f"
    return ast.unparse(tree) + "\n"


def _arity(code: str) -> tuple[int, int]:
    node = next(n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef))
    count = len(node.args.args)
    return count - len(node.args.defaults), 99 if node.args.vararg else count


# -- reader: prompt -> [description, example]


def whole(prompt: str) -> list[str]:
    """The text before the example, and the example."""
    text, _, example = prompt.strip().strip('"').partition("assert ")
    return [text.strip(), example.strip().strip('"').strip()]


def after_function(prompt: str) -> list[str]:
    """What comes after `function to`."""
    text, example = whole(prompt)
    return [text.partition("function to ")[2] or text, example]


def six_words(prompt: str) -> list[str]:
    """The first six words of the task."""
    text, example = after_function(prompt)
    return [" ".join(text.split()[:6]), example]


def example_only(prompt: str) -> list[str]:
    """The example says it all."""
    _, example = whole(prompt)
    return [example, example]


def no_example(prompt: str) -> list[str]:
    """The text only."""
    return [whole(prompt)[0], ""]


def first_clause(prompt: str) -> list[str]:
    """The task up to the first comma or full stop."""
    text, example = after_function(prompt)
    return [re.split(r"[,.]", text)[0], example]


# -- normaliser: description -> terms

_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an the of to in from for and or is are be by with that which given write python "
        "function whether find check if it its as on at using use not each",
    )
)


def stemmed(text: str) -> list[str]:
    """Words without endings, and without those that say nothing."""
    words = [w for w in re.findall(r"[a-z]+", text.lower()) if w not in _STOP]
    return [re.sub(r"(?:ing|ed|es|s|er|est)$", "", w) if len(w) > 4 else w for w in words]


def words_only(text: str) -> list[str]:
    """All words."""
    return re.findall(r"[a-z]+", text.lower())


def content_words(text: str) -> list[str]:
    """Words but for those that say nothing."""
    return [w for w in re.findall(r"[a-z]+", text.lower()) if w not in _STOP]


def long_words(text: str) -> list[str]:
    """Words of seven letters or more."""
    return [w for w in re.findall(r"[a-z]+", text.lower()) if len(w) >= 7]


_CODE_WORDS = {
    "largest": "max", "maximum": "max", "smallest": "min", "minimum": "min", "sum": "sum",
    "sort": "sorted", "sorted": "sorted", "string": "str", "list": "list", "tuple": "tuple",
    "unique": "set", "duplicate": "set", "count": "count", "length": "len", "dictionary": "dict",
    "remainder": "mod", "even": "mod", "odd": "mod", "regex": "re", "square": "pow", "power": "pow",
}  # fmt: skip


def as_code_words(text: str) -> list[str]:
    """Words, and what programmers call these things."""
    words = stemmed(text)
    return [*words, *(_CODE_WORDS[w] for w in content_words(text) if w in _CODE_WORDS)]


def capitals(text: str) -> list[str]:
    """Words as they are written, capitals and all."""
    return re.findall(r"\w+", text)


# -- chooser: [[program, passed]] -> program


def first_passing(tried: list[list[Any]]) -> int:
    """The first that passed, else the first."""
    return next((p for p, passed in tried if passed), tried[0][0] if tried else -1)


def first_of_all(tried: list[list[Any]]) -> int:
    """The first."""
    return tried[0][0] if tried else -1


def last_passing(tried: list[list[Any]]) -> int:
    """The last that passed."""
    return next((p for p, passed in reversed(tried) if passed), -1)


def passing_or_nothing(tried: list[list[Any]]) -> int:
    """The first that passed, or none."""
    return next((p for p, passed in tried if passed), -1)


def second_opinion(tried: list[list[Any]]) -> int:
    """The second that passed, where two did."""
    found = [p for p, passed in tried if passed]
    return found[min(1, len(found) - 1)] if found else -1


# -- formatter: code -> program


def as_it_is(code: str) -> str:
    """Nothing is changed."""
    return code


def one_function(code: str) -> str:
    """Imports are left out."""
    return "\n".join(line for line in code.splitlines() if "import " not in line)


def at_most_six_lines(code: str) -> str:
    """Longer programs are cut."""
    return "\n".join(code.splitlines()[:6])


def no_comments(code: str) -> str:
    """What comes after a # is left out."""
    return re.sub(r"#.*", "", code)


def single_quotes(code: str) -> str:
    """All quotation marks are the same."""
    return code.replace('"', "'")


def four_spaces(code: str) -> str:
    """Tabs and single spaces in front become four spaces."""
    return re.sub(r"^( +)", "    ", code, flags=re.MULTILINE)


def _named(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {function.__name__: function for function in functions}


def _slots(world: _World) -> dict[str, dict[str, Callable[..., Any]]]:
    return {
        "reader": _named(after_function, whole, six_words, example_only, no_example, first_clause),
        "normaliser": _named(
            as_code_words, stemmed, content_words, words_only, long_words, capitals
        ),
        "searcher": _searchers(world),
        "filter": _filters(world),
        "tester": _testers(world),
        "chooser": _named(
            first_passing, first_of_all, last_passing, passing_or_nothing, second_opinion
        ),
        "renamer": _renamers(world),
        "formatter": _named(
            as_it_is, one_function, at_most_six_lines, no_comments, single_quotes, four_spaces
        ),
    }


def _searchers(world: _World) -> dict[str, Callable[..., Any]]:
    """Given terms, the twelve best programs."""
    names = [_split(r["entry_point"]) for r in world.records]
    inside = [_terms(code) for code in world.codes]

    def by_code(terms: list[str]) -> list[int]:
        """BM25 over the words in the code."""
        return _bm25(terms, inside)

    def by_everything(terms: list[str]) -> list[int]:
        """BM25 over the words in the code and what it was once called."""
        return _bm25(terms, [i + n for i, n in zip(inside, names, strict=True)])

    def by_old_name(terms: list[str]) -> list[int]:
        """Words that the query and the old name share."""
        scores = [len(set(terms) & {w[: len(w)] for w in n}) / (1 + len(n)) for n in names]
        return _best(scores)

    def by_beginnings(terms: list[str]) -> list[int]:
        """Words of the old name that begin alike, in their first four letters."""
        ours = {t[:4] for t in terms}
        return _best([float(len(ours & {w[:4] for w in n})) for n in names])

    def by_calls(terms: list[str]) -> list[int]:
        """Built-in functions that the query names."""
        query = set(terms)
        return _best([float(sum(t in code for t in query)) / len(code) for code in world.codes])

    def by_length(terms: list[str]) -> list[int]:
        """Long tasks need long programs."""
        return _best([-abs(len(code) / 40 - len(terms)) + 50 for code in world.codes])

    return _named(by_everything, by_code, by_old_name, by_beginnings, by_calls, by_length)


def _filters(world: _World) -> dict[str, Callable[..., Any]]:
    """(programs, example) -> programs."""

    def arguments_fit(ranked: list[int], example: str) -> list[int]:
        """Those that take as many arguments as the example gives."""
        count = _count(example)
        return [p for p in ranked if count is None or _between(count, world.arity[p])]

    def all_of_them(ranked: list[int], _example: str) -> list[int]:
        """No filter."""
        return ranked

    def one_argument(ranked: list[int], _example: str) -> list[int]:
        """Those that take one argument."""
        return [p for p in ranked if world.arity[p][0] == 1]

    def by_commas(ranked: list[int], example: str) -> list[int]:
        """As many arguments as there are commas in the example, and one more."""
        count = example.partition("==")[0].count(",") + 1
        return [p for p in ranked if _between(count, world.arity[p])]

    def short_ones(ranked: list[int], _example: str) -> list[int]:
        """Programs of at most 200 characters."""
        return [p for p in ranked if len(world.codes[p]) <= 200]

    return _named(arguments_fit, all_of_them, one_argument, by_commas, short_ones)


def _testers(world: _World) -> dict[str, Callable[..., Any]]:
    """(programs, example) -> [[program, whether it passes the example]]."""
    known = {f"({a}) {e}": n for n, (a, e) in enumerate(world.examples)}

    def passes(program: int, example: str) -> bool:
        try:
            compared: Any = ast.parse(example, mode="eval").body
            given = ", ".join(ast.unparse(argument) for argument in compared.left.args)
            number = known.get(f"({given}) {ast.unparse(compared.comparators[0])}")
        except (SyntaxError, AttributeError):
            return False
        return number is not None and world.passes[number][program]

    def tester(name: str, says: str, count: int) -> Callable[..., Any]:
        def test(ranked: list[int], example: str) -> list[list[Any]]:
            return [[program, passes(program, example)] for program in ranked[:count]]

        test.__name__, test.__doc__ = name, says
        return test

    def trusting(ranked: list[int], _example: str) -> list[list[Any]]:
        """What is short enough passes."""
        return [[program, len(world.codes[program]) < 160] for program in ranked]

    return _named(
        tester("tries_all", "Runs all of them.", 12),
        tester("tries_three", "Runs the first three.", 3),
        tester("tries_one", "Runs the first.", 1),
        tester("tries_six", "Runs the first six.", 6),
        trusting,
    )


def _renamers(world: _World) -> dict[str, Callable[..., Any]]:
    """(program, example) -> its code under the name that the example calls."""

    def wanted(example: str) -> str:
        found = re.match(r"(\w+)\s*\(", example)
        return found[1] if found else "solution"

    def code_of(program: int) -> str:
        return world.codes[program] if program >= 0 else ""

    def alias(program: int, example: str) -> str:
        """The old name stays, and the new one stands for it."""
        return f"{code_of(program)}\n{wanted(example)} = f\n"

    def definition(program: int, example: str) -> str:
        """Only where it is defined."""
        return code_of(program).replace("def f(", f"def {wanted(example)}(")

    def every_letter(program: int, example: str) -> str:
        """Every f that stands by itself."""
        return re.sub(r"\bf\b", wanted(example), code_of(program))

    def wrapped(program: int, example: str) -> str:
        """A function of one argument around it."""
        return f"{code_of(program)}\ndef {wanted(example)}(x):\n    return f(x)\n"

    def outermost(example: str) -> str:
        found = re.findall(r"(\w+)\s*\(", example)
        return found[-1] if found else "solution"

    def last_called(program: int, example: str) -> str:
        """Under the name of what the example calls last."""
        return f"{code_of(program)}\n{outermost(example)} = f\n"

    return _named(alias, definition, every_letter, wrapped, last_called)


def _between(count: int, arity: tuple[int, int]) -> bool:
    return arity[0] <= count <= arity[1]


def _count(example: str) -> int | None:
    try:
        compared: Any = ast.parse(example, mode="eval").body
        return len(compared.left.args)
    except (SyntaxError, AttributeError):
        return None


def _split(name: str) -> list[str]:
    return [w for w in re.split(r"[_\d]+", name.lower()) if w]


def _terms(code: str) -> list[str]:
    return [w for token in re.findall(r"[A-Za-z_]+", code) for w in _split(token) if len(w) > 1]


def _best(scores: Sequence[float]) -> list[int]:
    order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    return [n for n in order[:12] if scores[n] > 0]


def _bm25(terms: Sequence[str], documents: Sequence[Sequence[str]]) -> list[int]:
    counts = [Counter(document) for document in documents]
    often = Counter(word for count in counts for word in count)
    mean = sum(map(len, documents)) / len(documents)

    def score(count: Counter[str], length: int) -> float:
        norm = 1.2 * (0.25 + 0.75 * length / mean)
        return sum(
            math.log(1 + (len(counts) - often[w] + 0.5) / (often[w] + 0.5))
            * count[w] * 2.2 / (count[w] + norm)
            for w in set(terms)
            if count[w]
        )  # fmt: skip

    return _best([score(c, len(d)) for c, d in zip(counts, documents, strict=True)])
