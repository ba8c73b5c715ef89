"""Questions of several hops over the testbed's forty documents, answered by programs.

    cleaner -> decomposer -> (searcher -> picker -> reader -> trimmer for each hop) -> calculator
    -> formatter

The documents are invented and in prose; names in them resemble each other on purpose. The same four
agents act in every hop, so a weakness may show at one hop and not at another.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentracer.lab.testbed.qa_documents import DOCUMENTS
from agentracer.lab.testbed.qa_domain import QaDomain
from credit.pipeline import Family, Problem, Program

__all__ = ["family"]

_TEXTS = {document.id: f"{document.title}. {document.text}" for document in DOCUMENTS}
_TITLES = {document.id: document.title for document in DOCUMENTS}
_RELATIONS = sorted(
    {r for document in DOCUMENTS for r in document.facts}, key=lambda r: (-len(r), r)
)
_HOPS = 5


def family(_data: Path) -> Family:
    """The family, over questions of at most ten facts, and the differences of two of them."""
    problems = [
        Problem(f"qa-{number}", problem.question, problem.question, problem.answer)
        for number, problem in enumerate(QaDomain().problems())
        if len([goal for goal in problem.goals if " of " in goal.spec]) <= 2 * _HOPS
    ]
    return Family("documents", SLOTS, _wiring, _right, problems)


def _wiring(problem: Problem) -> Program:
    text = yield ("cleaner", problem.given)
    chains = yield ("decomposer", text)
    ends: list[str] = []
    for subject, relations in chains[:2]:
        value = subject
        for relation in relations[:_HOPS]:
            listed = yield ("searcher", value, relation)
            document = yield ("picker", listed, value)
            raw = yield ("reader", document, relation)
            value = yield ("trimmer", raw)
        ends.append(value)
    result = yield ("calculator", ends)
    answer = yield ("formatter", result)
    return str(answer)


def _right(problem: Problem, answer: str) -> bool:
    return answer.strip().casefold() == problem.answer.casefold()


# -- cleaner: question -> what is asked


def frames_cut(text: str) -> str:
    """Leave out how it is asked."""
    text = re.sub(
        r"^(Find out|I need to know|What is|According to the collection, what is) ", "", text
    )
    text = text.replace(" Please use the documents of the collection only.", "")
    text = text.replace("Compare two numbers: ", "").replace(" What is their difference?", "")
    return text.strip().rstrip("?.").strip()


def first_sentence(text: str) -> str:
    """Only the first sentence counts."""
    return re.sub(r"^.*?(?=the )", "", re.split(r"[.?]", text)[0], count=1)


def lowered(text: str) -> str:
    """Everything in small letters."""
    return frames_cut(text).lower()


def no_punctuation(text: str) -> str:
    """Words only."""
    return re.sub(r"[^\w\s]", "", frames_cut(text))


def what_is_only(text: str) -> str:
    """Cut the commonest frame."""
    return text.removeprefix("What is ").rstrip("?.")


# -- decomposer: what is asked -> [[start, [relations, first hop first]]]


def by_lexicon(text: str) -> list[Any]:
    """Known relations from the left, and what is left is the name."""
    chains = []
    for part in re.split(r",? and (?=the )", text):
        rest, relations = part.strip(" ,"), []
        while found := re.match(rf"the ({'|'.join(_RELATIONS)}) of (?:the )?", rest):
            relations.append(found[1])
            rest = rest[found.end(1) + 4 :].strip()
        chains.append([rest, relations[::-1]])
    return chains


def by_of(text: str) -> list[Any]:
    """Cut at every `of`."""
    chains = []
    for part in re.split(r",? and (?=the )", text):
        *relations, start = re.split(r" of ", part.strip(" ,"))
        chains.append([start, [r.removeprefix("the ") for r in reversed(relations)]])
    return chains


def by_of_the(text: str) -> list[Any]:
    """Cut where `of the` is, and once more before a capital letter."""
    chains = []
    for part in re.split(r",? and (?=the )", text):
        *relations, last = re.split(r" of (?=the [a-z])", part.strip(" ,"))
        relation, _, start = last.partition(" of ")
        hops = [*relations, relation]
        chains.append([start, [r.removeprefix("the ") for r in reversed(hops)]])
    return chains


def one_chain(text: str) -> list[Any]:
    """As by the lexicon, but a question has one chain only."""
    return by_lexicon(re.split(r",? and (?=the )", text)[0])


def two_hops(text: str) -> list[Any]:
    """As by the lexicon, at most two hops deep."""
    return [[start, relations[:2]] for start, relations in by_lexicon(text)]


def to_the_left(text: str) -> list[Any]:
    """As by `of`, with the hops in the order in which they are read."""
    return [[start, relations[::-1]] for start, relations in by_of(text)]


# -- searcher: (name, relation) -> documents, best first


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


_BODY = {identity: Counter(_words(text)) for identity, text in _TEXTS.items()}
_OFTEN = Counter(word for body in _BODY.values() for word in body)


def _ranked(score: Callable[[str], float]) -> list[str]:
    scored = sorted((-score(identity), identity) for identity in _TEXTS)
    return [identity for value, identity in scored[:4] if value < 0]


def bm25_name(name: str, _relation: str) -> list[str]:
    """BM25 over bodies, for the name."""
    return _bm25(_words(name))


def bm25_both(name: str, relation: str) -> list[str]:
    """BM25 over bodies, for name and relation."""
    return _bm25([*_words(name), *_words(relation)])


def _bm25(query: list[str]) -> list[str]:
    mean = sum(sum(body.values()) for body in _BODY.values()) / len(_BODY)

    def score(identity: str) -> float:
        body = _BODY[identity]
        length = 1.2 * (0.25 + 0.75 * sum(body.values()) / mean)
        return sum(
            math.log(1 + (len(_BODY) - _OFTEN[w] + 0.5) / (_OFTEN[w] + 0.5))
            * body[w] * 2.2 / (body[w] + length)
            for w in query
            if body[w]
        )  # fmt: skip

    return _ranked(score)


def title_words(name: str, _relation: str) -> list[str]:
    """Words that name and title share."""
    words = set(_words(name)) - {"the", "and", "of"}
    return _ranked(lambda identity: len(words & set(_words(_TITLES[identity]))))


def counted(name: str, relation: str) -> list[str]:
    """How often the words are there."""
    query = set(_words(name)) | set(_words(relation))
    return _ranked(lambda identity: sum(_BODY[identity][word] for word in query))


def letters(name: str, _relation: str) -> list[str]:
    """Triples of letters that name and title share."""
    ours = _triples(name)
    return _ranked(
        lambda i: len(ours & _triples(_TITLES[i])) / max(1, len(ours | _triples(_TITLES[i])))
    )


def _triples(text: str) -> set[str]:
    plain = f" {text.lower()} "
    return {plain[i : i + 3] for i in range(len(plain) - 2)}


def contains(name: str, _relation: str) -> list[str]:
    """Documents whose text has the name."""
    return [identity for identity, text in _TEXTS.items() if name and name in text][:4]


# -- picker: documents -> the text of one


def exact(listed: Sequence[str], name: str) -> str:
    """The one of that title, else the first."""
    found = [i for i in listed if _TITLES[i].lower() == name.lower()]
    return _TEXTS[found[0]] if found else first(listed, name)


def first(listed: Sequence[str], _name: str) -> str:
    """The first one."""
    return _TEXTS[listed[0]] if listed else ""


def likest(listed: Sequence[str], name: str) -> str:
    """The one with the most similar title."""
    key = lambda i: difflib.SequenceMatcher(None, name.lower(), _TITLES[i].lower()).ratio()  # noqa: E731
    return _TEXTS[max(listed, key=key)] if listed else ""


def longest(listed: Sequence[str], _name: str) -> str:
    """The one that says most."""
    return max((_TEXTS[i] for i in listed), key=len, default="")


def first_two(listed: Sequence[str], _name: str) -> str:
    """The first two, one after the other."""
    return " ".join(_TEXTS[i] for i in listed[:2])


def begins_alike(listed: Sequence[str], name: str) -> str:
    """The first one whose title begins with the same word."""
    head = name.split(" ", maxsplit=1)[0].lower()
    found = [i for i in listed if _TITLES[i].lower().startswith(head)]
    return first(found or listed, name)


# -- reader: (text, relation) -> raw value

_PATTERNS = {
    "birthplace": r"Born in \d+ in ([^,]+),",
    "year of birth": r"Born in (\d+)",
    "teacher": r"learned the craft from ([^.]+)\.",
    "employer": r"spent with ([^.]+)\.",
    "place of death": r"died in ([^.]+)\.",
    "river": r"town on ([^,]+),",
    "twin town": r"twin town is ([^.]+)\.",
    "year of foundation": r"founded (?:by [^.]+? )?in (\d+)",
    "number of inhabitants": r"has (\d+) inhabitants",
    "first elected mayor": r"citizens was ([^.]+)\.",
    "founder": r"founded by (.+?) in \d",
    "seat": r"seat in (.+?) ever",
    "product": r"to make ([^.]+)\.",
    "best known director": r"director was ([^,]+),",
    "author": r"book by ([^.]+)\.",
    "publisher": r"appeared with (.+?) in \d",
    "year of publication": r"appeared with .+? in (\d+)",
    "setting": r"set in (.+?) and",
}


def by_pattern(text: str, relation: str) -> str:
    """A pattern for every relation."""
    found = re.search(_PATTERNS.get(relation, "$^"), text)
    return found[1] if found else ""


_KEYS = {
    "birthplace": "Born", "teacher": "learned", "employer": "spent", "place of death": "died",
    "founder": "founded by", "seat": "seat", "author": "book by", "publisher": "appeared with",
    "setting": "set in", "first elected mayor": "citizens was", "twin town": "twin",
    "best known director": "director was", "river": " on ",
}  # fmt: skip


def by_key(text: str, relation: str) -> str:
    """The first name after a word that goes with the relation, or the first number."""
    if relation.startswith(("year", "number")):
        return by_number(text, relation)
    after = text.partition(_KEYS.get(relation, relation))[2]
    found = re.search(r"(?:the )?[A-Z][\w']+(?: (?:and )?[A-Z][\w']+)*", after)
    return found[0] if found else ""


def by_number(text: str, relation: str) -> str:
    """The first number for what is a number, and patterns for the rest."""
    if relation.startswith("number"):
        return str((re.findall(r"\b\d{4,}\b", text) or [""])[-1])
    if relation.startswith("year"):
        return str((re.findall(r"\b\d{4}\b", text) or [""])[0])
    return by_pattern(text, relation)


def by_sentence(text: str, relation: str) -> str:
    """The last name in the sentence that shares most words with the relation."""
    words = set(_words(relation))
    sentences = [s for s in re.split(r"(?<=\.) ", text) if s][1:]
    best = max(sentences, key=lambda s: len(words & set(_words(s))), default="")
    found = re.findall(r"\b\d{4,}\b|[A-Z][\w']+(?: [A-Z][\w']+)*", best)
    return str(found[-1]) if found else ""


def people_only(text: str, relation: str) -> str:
    """Patterns that somebody wrote for people and books."""
    known = {"birthplace", "year of birth", "teacher", "employer", "place of death", "author",
             "publisher", "setting", "founder", "seat"}  # fmt: skip
    return by_pattern(text, relation) if relation in known else by_sentence(text, relation)


def towns_only(text: str, relation: str) -> str:
    """Patterns that somebody wrote for towns and firms."""
    known = {"river", "twin town", "number of inhabitants", "first elected mayor", "founder",
             "seat", "product", "best known director", "author"}  # fmt: skip
    return by_pattern(text, relation) if relation in known else by_key(text, relation)


# -- trimmer: raw value -> value


def kept(raw: str) -> str:
    """As it is, without spaces around it."""
    return raw.strip()


def without_article(raw: str) -> str:
    """Without `the` in front."""
    return re.sub(r"^(the|The) ", "", raw.strip())


def two_words(raw: str) -> str:
    """At most two words."""
    return " ".join(raw.split()[:2])


def before_and(raw: str) -> str:
    """What stands before `and`."""
    return raw.partition(" and ")[0].strip()


def capitals(raw: str) -> str:
    """Words with a capital letter, and numbers."""
    return " ".join(w for w in raw.split() if w[0].isupper() or w[0].isdigit())


def last_word(raw: str) -> str:
    """The last word, which is the family's name."""
    return raw.rsplit(maxsplit=1)[-1] if raw.split() else ""


# -- calculator: ends of the chains -> result


def distance(ends: Sequence[str]) -> str:
    """The difference, where there are two numbers."""
    numbers = [int(end) for end in ends if end.isdigit()]
    return str(abs(numbers[0] - numbers[1])) if len(numbers) > 1 else ends[-1] if ends else ""


def first_less_second(ends: Sequence[str]) -> str:
    """The difference with its sign."""
    numbers = [int(end) for end in ends if end.isdigit()]
    return str(numbers[0] - numbers[1]) if len(numbers) > 1 else ends[-1] if ends else ""


def last_end(ends: Sequence[str]) -> str:
    """The last one."""
    return ends[-1] if ends else ""


def first_end(ends: Sequence[str]) -> str:
    """The first one."""
    return ends[0] if ends else ""


def summed(ends: Sequence[str]) -> str:
    """The sum, where there are numbers only."""
    numbers = [int(end) for end in ends if end.isdigit()]
    return str(sum(numbers)) if numbers and len(numbers) == len(ends) else distance(ends)


# -- formatter: result -> answer


def plain(result: str) -> str:
    """As it is."""
    return result


def titled(result: str) -> str:
    """With capital letters, and no sign."""
    return result.strip("-").title().replace("'S", "'s")


def grouped(result: str) -> str:
    """Numbers in groups of three."""
    return f"{int(result):,}" if result.isdigit() else result


def short(result: str) -> str:
    """At most fourteen characters."""
    return result[:14]


def unquoted(result: str) -> str:
    """Without quotation marks and apostrophes."""
    return re.sub(r"['\"]", "", result)


def _named(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {function.__name__: function for function in functions}


SLOTS: dict[str, dict[str, Callable[..., Any]]] = {
    "cleaner": _named(frames_cut, first_sentence, lowered, no_punctuation, what_is_only),
    "decomposer": _named(by_lexicon, by_of, by_of_the, one_chain, two_hops, to_the_left),
    "searcher": _named(bm25_name, bm25_both, title_words, counted, letters, contains),
    "picker": _named(exact, first, likest, longest, first_two, begins_alike),
    "reader": _named(by_pattern, by_key, by_number, by_sentence, people_only, towns_only),
    "trimmer": _named(kept, without_article, two_words, before_and, capitals, last_word),
    "calculator": _named(distance, first_less_second, last_end, first_end, summed),
    "formatter": _named(plain, titled, grouped, short, unquoted),
}
