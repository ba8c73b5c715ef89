"""Sentences of a text, and whether their author states them as facts.

A plan, a request, a condition, a question and a quotation are no claims: who writes "Provide the
final answer" has concluded nothing. The word lists are English. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Sentence", "claims", "is_claim", "sentence_at", "sentences"]

_END = re.compile(r"(?<=[.!?])(?:[\"')*]{0,3})[ \t]+(?=\S)|\n+")
_LIST_MARKER = re.compile(r"[ \t]*(?:(?:\d{1,3}[.)]|[-*•+#]{1,6}|\(?[a-z]\))[ \t]+)?[*_`\"'(]*")
_QUOTED_LINE = re.compile(r"[ \t]*>")
_INTRODUCED = re.compile(
    r"(?:please|then|now|next|first|second|third|finally|lastly|also|and|so|ok(?:ay)?|"
    r"step \w{1,3}|you|to|the \w+ (?:agent|expert))[,:]?[ \t]+",
    re.IGNORECASE,
)
_IMPERATIVE_WORDS = """
add answer apply ask average browse calculate call check choose combine compare compile compute
conclude confirm consider convert count create deduct define deliver determine divide double
draft draw ensure enter estimate evaluate examine execute explain extract fetch figure find
finish fix format gather generate get give go hand identify implement include insert inspect
keep let list load locate look make mark multiply note obtain open order output pass perform
plan plot prepare present print proceed produce provide put query read recalculate recheck
reconcile record reduce remember reply report research respond retrieve return review round run
save say scrape search see select send set share show simulate solve sort start state submit
subtract sum summarise summarize take tell test think total try use validate verify visit wait
work write
"""
_IMPERATIVES = frozenset(_IMPERATIVE_WORDS.split())
_UNCERTAIN = re.compile(
    r"\b(?=[a-z][a-z.])"
    r"(?:if|once|unless|until|whether|suppose|assum\w+|hypothetical\w*|for example|for instance|"
    r"e\.g\.|such as|could|would|should|might|may|can be|must|shall|will|needs? to|ha(?:s|ve) to|"
    r"going to|want(?:s|ed)? to|plans? to|try to|in order to|so that|so (?:we|you|i) can|please|"
    r"let'?s|let us|let me|expected|make sure|ensure|remember to|instead of|rather than|not|never|"
    r"isn't|wasn't|doesn't|don't|didn't|wrong|incorrect\w*|mistake\w*|mistaken\w*|error|typo|"
    r"placeholder|example)\b",
    re.IGNORECASE,
)
_QUOTATION = re.compile(
    r"\b(?:says?|said|states?|stated|claims?|claimed|according to|reads?|quote[ds]?|asks?|asked|"
    r"wrote|writes)\b",
    re.IGNORECASE,
)
_LONGEST_SENTENCE = 600  # characters; a longer one is a table or a dump


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        text: the sentence, without the white space around it.
        start: where it begins.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


def sentences(text: str) -> Iterator[Sentence]:
    """Split a text at the ends of sentences and lines."""
    start = 0
    for match in _END.finditer(text):
        yield from _sentence(text, start, match.start())
        start = match.end()
    yield from _sentence(text, start, len(text))


def _sentence(text: str, start: int, end: int) -> Iterator[Sentence]:
    part = text[start:end]
    stripped = part.strip()
    if stripped:
        yield Sentence(stripped, start + part.find(stripped[0]))


def sentence_at(text: str, position: int) -> Sentence:
    """The sentence around a position; an empty one where there is only white space."""
    for sentence in sentences(text):
        if sentence.end >= position:
            return sentence
    return Sentence("", len(text))


def is_claim(sentence: str) -> bool:
    """Whether the author of a sentence states it as a fact of their own.

    False for questions, requests and plans (an imperative, `should`, `will`), conditions,
    negations, quotations, data, and anything too long to be a sentence.
    """
    if len(sentence) > _LONGEST_SENTENCE or sentence.rstrip("*_\"') ").endswith("?"):
        return False
    if sentence.startswith(("{", "[{", "[[", "<")):  # data or markup
        return False
    if _QUOTED_LINE.match(sentence) or _UNCERTAIN.search(sentence) or _QUOTATION.search(sentence):
        return False
    return not _is_imperative(sentence)


def _is_imperative(sentence: str) -> bool:
    marker = _LIST_MARKER.match(sentence)
    rest = sentence[marker.end() :] if marker else sentence
    for _ in range(3):
        introduced = _INTRODUCED.match(rest)
        if introduced is None:
            break
        rest = rest[introduced.end() :]
    word = re.match(r"[A-Za-z]+", rest)
    return word is not None and word[0].lower() in _IMPERATIVES and not _is_noun(rest, word.end())


def _is_noun(text: str, end: int) -> bool:
    """Whether an imperative's word is a heading or a subject: `Answer: 4`, `Total is 4`."""
    return re.match(r"[*_`]*(?:\s*[:=]|\s+(?:is|was|are|were|of)\b)", text[end:]) is not None


def claims(text: str) -> Iterator[Sentence]:
    """The sentences of a text that its author states as facts."""
    return (sentence for sentence in sentences(text) if is_claim(sentence.text))
