"""Check what a step asks tools for, what it gets, and what it then states.

Reported at the step at fault: a document that lacks the name that was searched for, a second-best
hit that was opened, a claim that no result supports, or that is taken from another sentence than
the one that answers the query. Linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.assignments import (
    assignments,
    is_formula,
    parse_number,
)
from agentracer.attribution.embedded.text.unwrap import argument_texts, as_text
from agentracer.call_nesting import CallNesting
from agentracer.trace import Observed, Step, ToolCall

__all__ = ["KINDS", "check_sources"]

KINDS = FindingKinds()
"""What this check reports."""

_CLAIMS = "claims on sources"  # a kind of content, by the name that model files give it

_EMPTY_RESULT = KINDS.either("empty_result", "asks a tool and gets no result", detail="{query}")
_SAME_RESULT = KINDS.against(
    "same_result_as_other_call",
    "gets the result that a call with another query returned",
    detail="{query}",
)
_SKIPS_FIRST_HIT = KINDS.against("skips_first_hit", "passes over the first hit", detail="{hit}")
_SKIPS_BETTER_HIT = KINDS.against(
    "skips_better_hit", "passes over a hit that fits the query better", detail="{hit}"
)
_PICKS_BEST_HIT = KINDS.in_favour("picks_best_hit")
_LACKS_QUERIED_NAMES = KINDS.against(
    "result_lacks_queried_names",
    "reads about another name than it asked for",
    detail="{names}",
)
_CLAIM_WITHOUT_LOOKUP = KINDS.against(
    "claim_without_lookup",
    "states something without having looked it up",
    detail="{claim}",
    content=_CLAIMS,
)
_CLAIM_IN_NO_RESULT = KINDS.against(
    "claim_in_no_result",
    "states something that none of its results contains",
    detail="{claim}",
    content=_CLAIMS,
)
_CLAIM_IN_RESULT = KINDS.either("claim_in_result", content=_CLAIMS)
_CLAIM_FROM_UNRELATED_SENTENCE = KINDS.against(
    "claim_from_unrelated_sentence",
    "takes its claim from a sentence that fits the query less than another",
    detail="{sentence}",
)
_CLAIM_ANSWERS_QUERY = KINDS.in_favour("claim_answers_query")
_TRUNCATED_NAME = KINDS.against("truncated_name", "states only a part of a name", detail="{name}")

_LONGEST_RESULT = 20_000  # characters that are looked at
_LONGEST_QUERY = 500
_LONGEST_PICK = 80  # characters of a query that may pick a hit
_SHORTEST_RESULT = 12  # characters; two shorter ones may be equal by chance
_MOST_SENTENCES = 200  # of a result
_MOST_CLAIMS = 10  # of a step that are compared
_KEPT_RESULTS = 6  # that a claim may rest on
_EARLIER_QUERIES = 2  # in which the names that a result should contain are looked for
_STEM = 4  # letters by which `died` and `dies` are the same
_SHOWN = 80  # characters of a query, hit or claim
_SHOWN_UNSOURCED = 60
_WORD = re.compile(r"[^\W\d_]+")
_PROPER_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_FULL_NAME = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)+\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_FUNCTION_WORDS = frozenset(
    re.findall(r"\w+", "the of a an and in to is was for with by on at from")
)
_NO_RESULT = re.compile(r"\W*(?:nothing|no |none|not |null|undefined|\[\]|\{\})", re.IGNORECASE)


@dataclass(slots=True)
class _Lookup:
    """A call of an agent: its query and its result, empty if it failed."""

    query: str
    result: str


@dataclass(slots=True)
class _Sources:
    """What an agent has looked up since it last stated something."""

    queries: list[str] = field(default_factory=list)
    lookups: list[_Lookup] = field(default_factory=list)


def check_sources(run: Observed, texts: Sequence[str]) -> FindingLog:
    """Check how each step used what tools returned.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `unwrap_json`).
    """
    return _GroundingCheck(run, texts).findings


class _GroundingCheck:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.findings = FindingLog(KINDS, len(run.steps))
        self.sources: dict[str, _Sources] = {}
        self.first_query: dict[tuple[str, str], str] = {}  # (tool, result) -> its first query
        self.uses_tools = any(step.tool_calls for step in run.steps)
        self.claimed: set[str] = set()
        self.computed: set[str] = set()  # names that are defined by a formula
        task, nesting = run.task.casefold(), CallNesting(run)
        for step, text in zip(run.steps, texts, strict=True):
            sources = self.sources.setdefault(step.agent, _Sources())
            self._compare_claims(step, text, sources, task)
            for ref, call in nesting.results_after(step.index):
                caller = run.steps[ref.step]
                own = self.sources.setdefault(caller.agent, _Sources())
                self._compare_call(caller, call, own, made_inside=nesting.has_inner_steps(*ref))

    def _compare_call(
        self, step: Step, call: ToolCall, sources: _Sources, *, made_inside: bool
    ) -> None:
        query = " ".join(argument_texts(call.arguments, numbers=True))[:_LONGEST_QUERY]
        result = as_text(call.result)[:_LONGEST_RESULT] if call.error is None else ""
        if made_inside:
            pass  # what steps inside the call made is their act, not the caller's
        elif call.error is not None or not result.strip() or _NO_RESULT.match(result):
            self.findings.add(step.index, _EMPTY_RESULT, query=query[:_SHOWN])
        else:
            self._compare_results(step.index, call.name, query, result)
            self._compare_pick(step.index, query, sources)
            self._compare_names(step.index, query, result, sources)
        sources.queries.append(query)
        sources.lookups = [*sources.lookups, _Lookup(query, result)][-_KEPT_RESULTS:]

    def _compare_results(self, index: int, tool: str, query: str, result: str) -> None:
        first = self.first_query.setdefault((tool, result), query)
        if first != query and len(result) > _SHORTEST_RESULT:
            self.findings.add(index, _SAME_RESULT, query=query[:_SHOWN])

    def _compare_pick(self, index: int, query: str, sources: _Sources) -> None:
        """Compare what was picked from the list that the call before returned with the others."""
        if not sources.lookups or not query or len(query) > _LONGEST_PICK:
            return
        before = sources.lookups[-1]
        hits = [line for line in before.result.split("\n") if line.strip()][:_MOST_SENTENCES]
        picked = next((place for place, hit in enumerate(hits) if query in hit), None)
        if picked is None or len(hits) < 2:
            return
        query_stems = _stems(before.query)
        fits = [len(query_stems & _stems(hit)) for hit in hits]
        best = max(fits)
        self.findings.add(index, _SKIPS_FIRST_HIT, picked > 0, hit=hits[0][:_SHOWN])
        if fits[picked] < best:
            share = (best - fits[picked]) / len(query_stems)
            self.findings.add(index, _SKIPS_BETTER_HIT, share, hit=hits[fits.index(best)][:_SHOWN])
        else:
            self.findings.add(index, _PICKS_BEST_HIT)

    def _compare_names(self, index: int, query: str, result: str, sources: _Sources) -> None:
        """Whether a result is about somebody with a part of the name that was asked for.

        That it lacks the name says nothing: a tool need not repeat what it was asked.
        """
        recent = reversed([*sources.queries[-_EARLIER_QUERIES:], query])
        queries = (q for q in recent if "\n" not in q)  # several lines are code
        named = next((q for q in queries if _FULL_NAME.search(q)), "")
        lower = result.casefold()
        for name in _FULL_NAME.findall(named):
            parts = name.casefold().split()
            absent = [part for part in parts if part not in lower]
            if len(absent) == 1 and len(parts) > 1 and _other_name(parts, absent[0], result):
                shown = ", ".join(part for part in name.split() if part.casefold() in absent)
                self.findings.add(index, _LACKS_QUERIED_NAMES, 1 / len(parts), names=shown)
                return

    def _compare_claims(self, step: Step, text: str, sources: _Sources, task: str) -> None:
        claims = self._new_claims(text)
        if not claims:
            return
        if not sources.lookups:
            fresh = [claim for claim in claims if claim.casefold() not in task]
            # Where no agent uses tools, nothing could have been looked up.
            unsourced = self.uses_tools and bool(fresh)
            self.findings.add(
                step.index, _CLAIM_WITHOUT_LOOKUP, unsourced, claim=claims[0][:_SHOWN_UNSOURCED]
            )
            return
        for claim in claims[:_MOST_CLAIMS]:
            holding = [lookup for lookup in sources.lookups if _contains(lookup.result, claim)]
            if not holding:
                self.findings.add(step.index, _CLAIM_IN_NO_RESULT, claim=claim[:_SHOWN])
            else:
                self.findings.add(step.index, _CLAIM_IN_RESULT)
                self._compare_sentences(step.index, claim, holding[-1], sources)
        sources.lookups, sources.queries = [], []

    def _new_claims(self, text: str) -> list[str]:
        """The values that a text states for the first time and that are not computed."""
        assigned = assignments(text) if "=" in text or ":" in text else []
        self.computed |= {a.name for a in assigned if a.defines and is_formula(a.text)}
        # What is computed from other values needs no source: `plan_consistency` checks it.
        stated = [a.text for a in assigned if not a.defines and a.name not in self.computed]
        claims = [text for text in stated if text and text.casefold() not in self.claimed]
        self.claimed.update(claim.casefold() for claim in claims)
        return claims

    def _compare_sentences(
        self, index: int, claim: str, lookup: _Lookup, sources: _Sources
    ) -> None:
        """Whether the sentence with a claim is the one that fits the query best."""
        query = sources.queries[0] if sources.queries else lookup.query
        names = _stems(" ".join(_PROPER_NAME.findall(query)))
        query_stems = _stems(query) - names
        sentences = [s for s in _SENTENCE_END.split(lookup.result) if s.strip()][:_MOST_SENTENCES]
        fits = [len(query_stems & _stems(sentence)) for sentence in sentences]
        own = max(
            (f for f, s in zip(fits, sentences, strict=True) if _contains(s, claim)), default=0
        )
        if fits and max(fits) > own:
            share = (max(fits) - own) / max(len(query_stems), 1)
            best = sentences[fits.index(max(fits))].strip()
            self.findings.add(index, _CLAIM_FROM_UNRELATED_SENTENCE, share, sentence=best[:_SHOWN])
        elif own:
            self.findings.add(index, _CLAIM_ANSWERS_QUERY)
        longer = _longer_name(lookup.result, claim)
        if longer:
            self.findings.add(index, _TRUNCATED_NAME, name=longer)


def _other_name(parts: Sequence[str], absent: str, result: str) -> bool:
    """Whether a result holds a full name that differs from one in the absent part alone."""
    place = list(parts).index(absent)
    for other in _FULL_NAME.findall(result):
        words = other.casefold().split()
        if len(words) >= len(parts) and all(
            word == part
            for n, (word, part) in enumerate(zip(words, parts, strict=False))
            if n != place
        ):
            return True
    return False


def _contains(text: str, claim: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(claim)}(?!\w)", text, re.IGNORECASE) is not None


def _longer_name(text: str, claim: str) -> str | None:
    """A name in the text that ends in the claim; None if the claim also occurs alone."""
    if parse_number(claim) is not None or not claim[:1].isupper():
        return None
    pattern = re.compile(rf"((?:[A-Z][a-z]+ )?)(?<!\w){re.escape(claim)}(?!\w)")
    matches = list(pattern.finditer(text))
    if matches and all(match[1] for match in matches):
        return matches[0][0]
    return None


def _stems(text: str) -> set[str]:
    words = (word for word in _WORD.findall(text) if word.lower() not in _FUNCTION_WORDS)
    return {word[:_STEM].lower() for word in words}
