"""Questions over a small collection of documents, which take several hops to answer.

Goals are single facts (`the birthplace of A`), the tools are a search and a reader, and the final
name or number decides.
"""

# ruff: noqa: ARG002 - every domain is asked in the same way, and needs only some of it

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from agentracer.lab.testbed.answer_lines import AnswerLines
from agentracer.lab.testbed.arithmetic import calculate
from agentracer.lab.testbed.problems import (
    Goal,
    Problem,
    ToolResult,
    WrongCall,
    depends_on,
    held_out,
    pick,
    shuffled,
)
from agentracer.lab.testbed.qa_documents import (
    DOCUMENTS,
    Document,
    by_title,
    read_text,
    search_text,
)
from agentracer.lab.testbed.server import ScriptedCall

__all__ = ["QaDomain", "read", "search"]

Chain = tuple[str, tuple[str, ...], str]
"""Where it starts, the relations, and what they lead to."""

UNKNOWN = "not found"
_LISTED = re.compile(r"^(doc-\d+) \| (.+?) \|", re.MULTILINE)
_FACT = re.compile(r"the ([a-z][a-z ]*[a-z]) of (.+)")
_DIFFERENCE = re.compile(r"the difference of ([A-Z]|\d+) and ([A-Z]|\d+)")
_RELATIONS = sorted({r for document in DOCUMENTS for r in document.facts}, key=len, reverse=True)


def search(query: str) -> str:
    """Find documents of the collection by words; gives their ids, titles and first sentences.

    Args:
        query: the words.
    """
    return search_text(query)


def read(document: str) -> str:
    """Read one document of the collection.

    Args:
        document: its id, such as `doc-07`.
    """
    return read_text(document)


class QaDomain(AnswerLines):
    """See `agentracer.lab.testbed.problems.Domain`. It needs no data."""

    name = "qa"
    mission = "answers questions from a collection of documents"
    tools = (search, read)
    misread = "misread tool result"
    result_line = re.compile(r"^Result: ([A-Z]) = (.+?)\s*$", re.MULTILINE)
    answer_line = re.compile(r"^FINAL ANSWER: (.+?)\s*$", re.MULTILINE)
    nothing = UNKNOWN

    def __init__(self, data: Path | None = None) -> None:
        del data

    @cached_property
    def _chains(self) -> list[Chain]:
        return shuffled([c for start in DOCUMENTS for c in _chains(start)], "chains")[:1500]

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The chains of facts that are for tests only."""
        return held_out(self.name, map(_chain_id, self._chains))

    @cached_property
    def _problems(self) -> list[Problem]:
        problems = [_chain_problem(chain) for chain in self._chains[:700]]
        for test, wanted in ((False, 300), (True, 40)):
            numeric = [
                chain
                for chain in self._chains
                if chain[2].isdigit() and (_chain_id(chain) in self.held_out) is test
            ]
            pairs = list(zip(numeric[::2], numeric[1::2], strict=False))[:wanted]
            problems += [_difference_problem(one, other) for one, other in pairs]
        return problems

    def problems(self) -> Sequence[Problem]:
        """All questions."""
        return self._problems

    def evaluate(self, spec: str, values: Mapping[str, str]) -> str:
        """The fact, as the documents have it."""
        if numbers := _DIFFERENCE.fullmatch(spec):
            one, other = (values.get(number, number) for number in numbers.groups())
            ok = one.isdigit() and other.isdigit()
            return (
                calculate(f"{max(int(one), int(other))} - {min(int(one), int(other))}")
                if ok
                else UNKNOWN
            )
        relation, subject = _parsed(spec, values)
        if not relation:
            return subject
        document = by_title(subject)
        return document.facts.get(relation, (UNKNOWN, ""))[0] if document else UNKNOWN

    def needs(self, spec: str) -> tuple[str, ...]:
        """The letters in it."""
        return depends_on(spec)

    def next_call(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> ScriptedCall | None:
        """First a search, then the document about the subject, if one was found."""
        relation, subject = _parsed(spec, values)
        if not relation or len(tool_results) >= 5 or _DIFFERENCE.fullmatch(spec):
            return None
        reads = [call for call in tool_results if call.name == "read"]
        if any(_fact_in(call.text, relation) for call in reads):
            return None
        titles = {
            title: identity
            for call in tool_results
            for identity, title in _LISTED.findall(call.text)
        }
        if subject in titles:
            chosen = titles[subject]
            if any(call.arguments.get("document") == chosen for call in reads):
                return None
            return ScriptedCall("read", {"document": chosen})
        searches = [call for call in tool_results if call.name == "search"]
        if len(searches) > 1:
            return None
        query = subject if searches else f"{subject} {relation}"
        return ScriptedCall("search", {"query": query})

    def conclude(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> str:
        """What the last document that was read says about the relation."""
        relation, _ = _parsed(spec, values)
        facts = [_fact_in(call.text, relation) for call in tool_results if call.name == "read"]
        named = [fact for fact in facts if fact]
        return named[-1] if named else UNKNOWN

    def check(self, problem: Problem, answer: str) -> bool:
        """Whether it is the right name or number."""
        return answer.strip().casefold() == problem.answer.casefold()

    def may_skip_tools(self, spec: str) -> bool:
        """Differences need no document; everything else is looked up."""
        return _DIFFERENCE.fullmatch(spec) is not None

    def wrong_specs(self, problem: Problem, goal: Goal) -> Sequence[tuple[str, str]]:
        """Another relation of the same subject, or a hop that is left out."""
        match = _FACT.fullmatch(goal.spec)
        if match is None or self.may_skip_tools(goal.spec):
            return []
        relation, subject = match.groups()
        kinds = {k for d in DOCUMENTS if relation in d.facts for k in [d.kind]}
        others = {r for d in DOCUMENTS if d.kind in kinds for r in d.facts} - {relation}
        order = shuffled(sorted(others), problem.id, goal.key, "relations")
        wrong = [("wrong relation in the plan", f"the {r} of {subject}") for r in order[:4]]
        if len(subject) == 1:
            wrong.append(("lost condition in the plan", f"the same as {subject}"))
        return wrong

    def wrong_values(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Something else of the same kind that the document says, or a name that looks alike."""
        right = values[goal.key]
        if right.isdigit() and len(right) > 1:
            typo = right[:-2] + right[-1] + right[-2]
            wrong = [("digits swapped", typo), ("digits swapped", right[1] + right[0] + right[2:])]
            return [(kind, value) for kind, value in wrong if value != right and value[0] != "0"]
        _, subject = _parsed(goal.spec, values)
        document = by_title(subject)
        facts = list(document.facts.values()) if document else []
        kind = next((k for value, k in facts if value == right), "")
        wrong = [("another name in the document", v) for v, k in facts if k == kind and v != right]
        alike = [("a name that looks alike", d.title) for d in _alike(right) if d.kind == kind]
        return [*wrong, *alike]

    def wrong_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """Reading a document about another subject that has such a fact too."""
        relation, subject = _parsed(goal.spec, values)
        listed = _LISTED.findall(search_text(f"{subject} {relation}"))
        wrong = []
        for identity, title in listed:
            document = by_title(title)
            fact = document.facts.get(relation) if document else None
            if title != subject and fact is not None:
                wrong.append(WrongCall("wrong document read", {"document": identity}, fact[0], 1))
        return wrong

    def failing_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """A search for words that are in no document."""
        if self.may_skip_tools(goal.spec):
            return []
        _, subject = _parsed(goal.spec, values)
        garbled = re.sub(r"\w+", lambda word: word[0][::-1], subject)
        return [WrongCall("search that finds nothing", {"query": garbled}, "")]

    def wrong_answers(
        self, problem: Problem, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """The result of an earlier hop, or another number or name."""
        earlier = [("intermediate result reported", v) for v in list(values.values())[:-1]]
        last = problem.goals[-1]
        return [
            *earlier[-2:],
            *(("result miscopied", v) for _, v in self.wrong_values(problem, last, values)),
        ]


def _parsed(spec: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Relation and subject of a spec, its letter resolved; no relation in `the same as A`."""
    match = _FACT.fullmatch(spec)
    if match is None:
        same = spec.removeprefix("the same as ")
        return "", values.get(same, same)
    relation = next((r for r in _RELATIONS if spec.startswith(f"the {r} of ")), match[1])
    subject = spec.removeprefix(f"the {relation} of ")
    return relation, values.get(subject, subject)


def _fact_in(text: str, relation: str) -> str:
    """What a document that was read says about a relation, or nothing."""
    document = by_title(text.partition("\n")[0].strip())
    return document.facts.get(relation, ("", ""))[0] if document else ""


def _alike(title: str) -> list[Document]:
    """Documents whose title shares a word with this one."""
    words = set(title.split()) - {"the", "The", "and", "of", "A"}
    document = by_title(title)
    return [
        d
        for d in DOCUMENTS
        if d.title != title and document is not None and words & set(d.title.split())
    ]


def _chains(start: Document) -> Iterator[Chain]:
    """Chains of two to five facts that come by nothing twice."""

    def walk(at: Document, path: tuple[str, ...], seen: frozenset[str]) -> Iterator[Chain]:
        for relation, (value, _) in at.facts.items():
            if value in seen:
                continue
            if len(path) >= 1:
                yield start.title, (*path, relation), value
            following = by_title(value)
            if following is not None and len(path) < 4:
                yield from walk(following, (*path, relation), seen | {value})

    if start.kind in ("book", "firm"):
        yield from walk(start, (), frozenset({start.title}))


_FRAMES = (
    "What is {}?",
    "Find out {}.",
    "I need to know {}. Please use the documents of the collection only.",
    "According to the collection, what is {}?",
)


def _chain_id(chain: Chain) -> str:
    return f"{chain[0]}: {' > '.join(chain[1])}"


def _chain_problem(chain: Chain) -> Problem:
    start, path, answer = chain
    goals = _chain_goals(start, path, 0)
    identity = _chain_id(chain)
    question = pick(_FRAMES, identity).format(_phrase(start, path))
    return Problem(identity, question, goals, answer)


def _difference_problem(one: Chain, other: Chain) -> Problem:
    first = _chain_goals(one[0], one[1], 0)
    second = _chain_goals(other[0], other[1], len(first))
    ends = f"the difference of {first[-1].key} and {second[-1].key}"
    last = Goal(chr(ord("A") + len(first) + len(second)), ends, "the answer")
    answer = str(abs(int(one[2]) - int(other[2])))
    question = (
        f"Compare two numbers: {_phrase(one[0], one[1])}, and {_phrase(other[0], other[1])}. "
        "What is their difference?"
    )
    parts = (_chain_id(one), _chain_id(other))
    return Problem(" | ".join(parts), question, (*first, *second, last), answer, parts)


def _chain_goals(start: str, path: Sequence[str], shift: int) -> tuple[Goal, ...]:
    letters = [chr(ord("A") + shift + i) for i in range(len(path))]
    subjects = [start, *letters]
    return tuple(
        Goal(letter, f"the {relation} of {subject}")
        for letter, relation, subject in zip(letters, path, subjects, strict=False)
    )


def _phrase(start: str, path: Sequence[str]) -> str:
    return " of ".join([f"the {relation}" for relation in reversed(path)] + [start])
