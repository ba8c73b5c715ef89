"""The embedded tracer as a backend of `Tracer`: the trained ranker, or the rule list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentracer.attribution.backends import Backend, Judgement
from agentracer.attribution.embedded.explanation import decisive_step, explain
from agentracer.attribution.embedded.model.features import FEATURES_VERSION, Features
from agentracer.attribution.embedded.model.model_file import (
    DEFAULT,
    Model,
    load_model,
    shipped_model,
)
from agentracer.attribution.embedded.model.ranker import Ranking, rank
from agentracer.attribution.embedded.rules_backend import RULES_VERSION, judge_by_rules
from agentracer.errors import FormatError, UnknownModel
from agentracer.text_bounds import BoundedRun, bound_texts
from agentracer.trace import GroundTruth, Observed
from agentracer.verdict import Candidate

__all__ = ["RULES", "RULES_VERSION", "EmbeddedBackend"]

RULES = "rules"
"""The argument that asks for the rule list instead of a model."""

SHIPPED = {"": DEFAULT, "transfer": "transfer", "in-domain": "in_domain"}
"""The arguments that ask for weights in the package, and what those are called there."""

_EXPLAINED = 10  # candidates with evidence; the rest of the ranking goes without
_UNMEASURED = (
    "uncalibrated: how often such a contradiction is what made a run fail was measured on too few "
    "runs"
)
_LISTED = 1_000  # candidates of a very long run
_MOST_CHARACTERS = 3_000_000
"""Characters of a run that are read, which takes a few seconds. Of a larger run the longest texts
are read in part, and a note of the verdict says so."""


class EmbeddedBackend(Backend):
    """The trained ranker, or the rule list. Its word lists are English.

    Args:
        argument: what follows `embedded:` in a spec: nothing, `rules`, `transfer`, `in-domain`, or
            the path of a model.
        target_error: abstain where the confidence is too low for at most this share of the
            verdicts to be wrong. Without it every failed run gets a list.

    Attributes:
        trained_ids: ids of the traces to whose labels the model was fitted, as far as its file
            lists them.

    Raises:
        UnknownModel: there is no readable model at the path.
        ValueError: `target_error` is not between 0 and 1.
    """

    name = "embedded"

    def __init__(self, argument: str = "", *, target_error: float | None = None) -> None:
        if target_error is not None and not 0 < target_error < 1:
            raise ValueError(f"target_error must lie between 0 and 1, not {target_error}")
        self._argument = argument
        self.target_error = target_error
        self.method = "rules" if argument == RULES else "ranker"
        self.model: Model | None = None if argument == RULES else _model(argument)
        trained = self.model.trained_on.get("ids", ()) if self.model else ()
        self.trained_ids = frozenset(map(str, trained))

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None = None) -> Judgement:  # noqa: ARG002 - part of the protocol
        """Rank the steps of a run. O(length of its text), of which a bounded part is read."""
        bounded = bound_texts(run, _MOST_CHARACTERS, cut=_head_and_tail, repeats=False)
        judgement = judge_by_rules(bounded.run) if self.model is None else self._rank(bounded.run)
        if not bounded.cut:
            return judgement
        candidates = tuple(_quoting(run, candidate) for candidate in judgement.candidates)
        notes = (*judgement.notes, _what_was_cut(bounded))
        return replace(judgement, candidates=candidates, notes=notes)

    def _rank(self, run: Observed) -> Judgement:
        assert self.model is not None  # noqa: S101 - for mypy
        features = Features(run)
        ranking = rank(features, self.model)
        versions = {"weights": self.model.name, "features": FEATURES_VERSION}
        # The model was calibrated on failed runs alone.
        calibrated = ranking.out_of_distribution is None and run.outcome.success is False
        decisive = decisive_step(features)
        candidates = _candidates(features, _order(ranking, decisive))
        if decisive is not None:
            return Judgement(
                basis="finding",
                candidates=candidates,
                agent=run.steps[decisive].agent,
                agents=ranking.agents,
                confidence=ranking.probabilities[decisive],
                reason=candidates[0].reason,
                abstain_reason=None if self.target_error is None else self._uncalibrated(),
                notes=(_UNMEASURED,),
                versions=versions,
            )
        return Judgement(
            basis="ranking",
            candidates=candidates,
            agent=next(iter(ranking.agents)),
            agents=ranking.agents,
            confidence=ranking.confidence,
            calibrated=calibrated,
            # What the set would hold was not measured on runs out of distribution.
            likely_steps=tuple(ranking.likely) if ranking.out_of_distribution is None else (),
            coverage=self.model.calibration.coverage,
            reason=_reason(run, ranking, candidates[0]),
            abstain_reason=self._abstention(ranking.confidence, calibrated=calibrated),
            versions=versions,
        )

    def with_options(self, **options: Any) -> EmbeddedBackend:
        """The same backend with an option set: `target_error`.

        Raises:
            ValueError: an option that it does not have, or a target out of range.
        """
        target = options.pop("target_error", self.target_error)
        super().with_options(**options)  # raises for all other options
        if target is not None and self.model is None:
            raise ValueError("the rule list has no measured error to abstain at")
        return EmbeddedBackend(self._argument, target_error=target)

    def _abstention(self, confidence: float, *, calibrated: bool) -> str | None:
        """Why the promised error cannot be kept; None where it can, or none was promised."""
        if self.model is None or self.target_error is None:
            return None
        if not calibrated:
            return self._uncalibrated()
        needed = self.model.calibration.threshold(self.target_error)
        if confidence >= needed:
            return None
        target = f"at most {self.target_error:.0%} wrong verdicts"
        if needed > 1:
            return f"no confidence was measured at which {target} remained"
        return f"the confidence of {confidence:.2f} is below the {needed:.2f} needed for {target}"

    def _uncalibrated(self) -> str:
        return (
            f"at most {self.target_error:.0%} wrong verdicts were asked for, and the confidence of "
            "this one is not calibrated"
        )


def _order(ranking: Ranking, found: int | None) -> Ranking:
    """The ranking with a step that was found out in front."""
    if found is None:
        return ranking
    return replace(ranking, order=[found, *(index for index in ranking.order if index != found)])


def _model(argument: str) -> Model:
    if argument in SHIPPED:
        return shipped_model(SHIPPED[argument])
    try:
        return load_model(argument)
    except FormatError as error:
        raise UnknownModel(
            f"embedded:{argument} names no usable model: {error}\n"
            '  remedy: use model="embedded", "embedded:rules", or make one with `agentracer adapt`'
        ) from error


def _candidates(features: Features, ranking: Ranking) -> tuple[Candidate, ...]:
    steps = features.context.run.steps
    candidates = []
    for position, index in enumerate(ranking.order[:_LISTED]):
        explained = position < _EXPLAINED
        reason, evidence = explain(features, ranking, index) if explained else ("", ())
        candidates.append(
            Candidate(
                agent=steps[index].agent,
                step=index,
                probability=min(ranking.probabilities[index], 1.0),
                reason=reason,
                evidence=evidence,
            )
        )
    return tuple(candidates)


def _head_and_tail(text: str, length: int) -> str:
    """Three quarters from the start and the rest from the end; no word is read across the seam."""
    tail = length // 4
    return f"{text[: length - tail]}\n…\n{text[len(text) - tail :]}"


def _what_was_cut(bounded: BoundedRun) -> str:
    return (
        f"the run has {bounded.characters:,} characters of text: of {bounded.cut:,} texts only "
        f"{bounded.longest:,} characters were read, three quarters from the start, the rest from "
        "the end"
    )


def _quoting(run: Observed, candidate: Candidate) -> Candidate:
    """A candidate without quotes that the run does not have, since they span what was cut out."""
    evidence = tuple(
        piece if piece.quote in run.text(piece.step) else piece.model_copy(update={"quote": ""})
        for piece in candidate.evidence
    )
    return candidate.model_copy(update={"evidence": evidence})


def _reason(run: Observed, ranking: Ranking, first: Candidate) -> str:
    """Why this step is ranked first, and why its confidence is uncalibrated if it is."""
    if len(run.steps) == 1:
        return "uncalibrated: the run has a single step, there is none to tell it from"
    ranked = first.reason.replace("this step", "it", 1)
    parts = [f"no check found a contradiction; step {first.step} is ranked first: {ranked}"]
    if ranking.out_of_distribution is not None:
        parts.append(f"uncalibrated: {ranking.out_of_distribution}")
    elif run.outcome.success is None:
        parts.append("uncalibrated: the trace does not say whether this run failed")
    return "; ".join(parts)
