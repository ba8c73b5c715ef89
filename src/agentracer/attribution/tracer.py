"""The `Tracer`: passes a run to a backend, checks its judgement, and makes the `Verdict`.

It decides when there is nothing to attribute, keeps the labels away from the backend, and refuses
a judgement that names agents, steps or quotes which the run does not contain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike

from pydantic import ValidationError

from agentracer._version import __version__
from agentracer.attribution import batch
from agentracer.attribution.backends import (
    Backend,
    Item,
    Judgement,
    SupportsAttribute,
    as_backend,
    contract_error,
    create_backend,
)
from agentracer.attribution.judgeability import Judgeability, judgeability
from agentracer.errors import AgentracerError, FormatError
from agentracer.trace import GroundTruth, Observed, Trace
from agentracer.verdict import Candidate, Provenance, Verdict

__all__ = ["Tracer"]


class Tracer:
    """Says which agent and which step made a run fail.

    Args:
        model: a spec such as `embedded` or `vllm:PATH`, or a backend of your own (see
            `agentracer.attribution.Backend`).
        ground_truth: show the backend the right answer (w/ G); every trace must then have one.
        top_k: length of the ranked shortlist in a verdict.
        method: how a language model is asked, one of `agentracer.attribution.methods.METHODS`;
            `all-at-once` unless the spec says otherwise.
        samples: answers to draw; the share that agrees is the confidence.
        temperature: of sampling; by default 0, and 0.7 where there are several samples.
        token_budget: tokens of a prompt; a longer run is read in windows.
        answer_tokens: tokens of one answer with its reasoning; 2,048 by default.
        abstain: whether a language model may blame no step; by default, unless the run is known to
            have failed.
        seed: of labels and samples; the same seed gives the same verdict.
        concurrency: runs or requests at a time in `attribute_many`.
        timeout: seconds to wait for one answer of a server.
        retries: further tries after a server failed.
        target_error: abstain where the measured confidence is too low for at most this share of
            the verdicts to be wrong; the shortlist is kept. For the embedded tracer.

    Raises:
        UnknownModel: there is no backend for the spec.
        MissingExtra: the backend's libraries are not installed.
        ValueError: `top_k` or `concurrency` is less than 1, or the backend has no such option.
        TypeError: `model` is neither a spec nor a backend.
    """

    def __init__(
        self,
        model: str | SupportsAttribute = "embedded",
        *,
        ground_truth: bool = False,
        top_k: int = 5,
        method: str | None = None,
        samples: int | None = None,
        temperature: float | None = None,
        token_budget: int | None = None,
        answer_tokens: int | None = None,
        abstain: bool | None = None,
        seed: int | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        target_error: float | None = None,
    ) -> None:
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}")
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        options = {
            "method": method,
            "samples": samples,
            "temperature": temperature,
            "token_budget": token_budget,
            "answer_tokens": answer_tokens,
            "abstain": abstain,
            "seed": seed,
            "concurrency": concurrency,
            "timeout": timeout,
            "retries": retries,
            "target_error": target_error,
        }
        backend = create_backend(model) if isinstance(model, str) else as_backend(model)
        self.backend: Backend = backend.with_options(
            **{name: value for name, value in options.items() if value is not None}
        )
        self.concurrency = concurrency
        self.model = model if isinstance(model, str) else self.backend.name
        self.ground_truth = ground_truth
        self.top_k = top_k

    def attribute(self, trace: Trace) -> Verdict:
        """Attribute one run. Abstains where it cannot be judged (see `judgeability`).

        Raises:
            FormatError: w/ G was asked for, and the trace has no ground truth.
            BackendError: the backend failed, or named what the trace does not contain.
            TypeError: `trace` is not a `Trace`.
        """
        _check_type(trace)
        started = time.perf_counter()
        check = judgeability(trace)
        judgement = self._judge(trace) if check else Judgement(abstain_reason=check.problem)
        return self._verdict(trace, check, judgement, time.perf_counter() - started)

    async def aattribute(self, trace: Trace) -> Verdict:
        """Run `attribute` in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.attribute, trace)

    def attribute_many(
        self, traces: Iterable[Trace], *, progress: batch.Progress = None
    ) -> Iterator[batch.BatchItem]:
        """Attribute many runs at a time, and yield each result as soon as it is there.

        A run that fails is yielded with its error and does not affect the others. `traces` is read
        as it is needed, so it may be longer than memory; to leave early, close the iterator.

        Args:
            traces: the runs.
            progress: called with the number done and the number of all (None if unknown); True
                draws a bar on standard error.

        Raises:
            TypeError: `traces` is a single run or a path, or yields something else than a `Trace`.
        """
        if isinstance(traces, Trace | str | PathLike) or not isinstance(traces, Iterable):
            raise TypeError(
                f"attribute_many needs an iterable of Trace, not {type(traces).__name__}\n"
                "  remedy: pass a list of traces; for a single one use attribute"
            )
        return batch.attribute_all(
            self.attribute_batch,
            traces,
            width=self.concurrency or self.backend.batch_size,
            batched=self.backend.batches_in_process,
            progress=progress,
        )

    def aattribute_many(
        self, traces: Iterable[Trace], *, progress: batch.Progress = None
    ) -> AsyncIterator[batch.BatchItem]:
        """Run `attribute_many` in a thread, so that the event loop is not blocked."""
        return batch.iterate_in_thread(self.attribute_many(traces, progress=progress))

    def attribute_batch(self, traces: Sequence[Trace]) -> list[Verdict | AgentracerError]:
        """Attribute runs in one call of the backend; one result for each, in order.

        Raises:
            TypeError: one of them is not a `Trace`.
        """
        for trace in traces:
            _check_type(trace)
        if len(traces) < 2:
            return [self._verdict_or_error(trace) for trace in traces]
        started = time.perf_counter()
        results: dict[int, Judgement | AgentracerError] = {}
        items: dict[int, Item] = {}
        checks = [judgeability(trace) for trace in traces]
        for index, (trace, check) in enumerate(zip(traces, checks, strict=True)):
            if not check:
                results[index] = Judgement(abstain_reason=check.problem)
                continue
            try:
                items[index] = (trace.observed, self._truth(trace))
            except FormatError as error:
                results[index] = error
        judgements = self.backend.attribute_batch(list(items.values()))
        results.update(zip(items, judgements, strict=True))
        seconds = (time.perf_counter() - started) / len(traces)
        return [
            self._checked_verdict(trace, check, results[index], seconds)
            for index, (trace, check) in enumerate(zip(traces, checks, strict=True))
        ]

    def _verdict_or_error(self, trace: Trace) -> Verdict | AgentracerError:
        try:
            return self.attribute(trace)
        except AgentracerError as error:
            return error

    def _checked_verdict(
        self,
        trace: Trace,
        check: Judgeability,
        judgement: Judgement | AgentracerError,
        seconds: float,
    ) -> Verdict | AgentracerError:
        if isinstance(judgement, AgentracerError):
            return judgement
        try:
            if check:
                judgement = self._checked(trace, judgement)
            return self._verdict(trace, check, judgement, seconds)
        except AgentracerError as error:
            return error

    def _judge(self, trace: Trace) -> Judgement:
        truth = self._truth(trace)
        try:
            judgement = self.backend.attribute(trace.observed, ground_truth=truth)
        except AgentracerError:
            raise
        except Exception as error:
            problem = f"failed on {trace.id}: {type(error).__name__}: {error}"
            raise contract_error(self.backend.name, problem) from error
        return self._checked(trace, judgement)

    def _checked(self, trace: Trace, judgement: Judgement) -> Judgement:
        problem = next(_problems(judgement, trace.observed), None)
        if problem:
            raise contract_error(self.backend.name, f"broke its contract on {trace.id}: {problem}")
        return judgement

    def _truth(self, trace: Trace) -> GroundTruth | None:
        if self.ground_truth and trace.ground_truth is None:
            raise FormatError(
                "the trace has no ground truth, which Tracer(ground_truth=True) needs",
                source=trace.id,
                place="ground_truth",
                remedy="add it to the trace, or use Tracer(ground_truth=False)",
            )
        return trace.ground_truth if self.ground_truth else None

    def _verdict(
        self, trace: Trace, check: Judgeability, judgement: Judgement, seconds: float
    ) -> Verdict:
        try:
            return self._unchecked_verdict(trace, check, judgement, seconds)
        except ValidationError as error:
            problem = f"returned values out of range: {error}"
            raise contract_error(self.backend.name, problem) from error

    def _unchecked_verdict(
        self, trace: Trace, check: Judgeability, judgement: Judgement, seconds: float
    ) -> Verdict:
        abstains = judgement.abstain_reason is not None
        first = None if abstains else next(iter(judgement.candidates), None)
        return Verdict(
            trace_id=trace.id,
            agent=(judgement.agent or first.agent) if first else None,
            step=first.step if first else None,
            reason=judgement.reason or (first.reason if first else ""),
            confidence=judgement.confidence or 0.0,
            candidates=judgement.candidates[: self.top_k],
            likely_steps=judgement.likely_steps,
            coverage=judgement.coverage,
            agents=dict(judgement.agents),
            abstained=first is None,
            abstain_reason=judgement.abstain_reason,
            calibrated=judgement.calibrated,
            notes=(*judgement.notes, *check.notes),
            basis=judgement.basis,
            outcome_known=trace.outcome.success is not None,
            provenance=Provenance(
                model=self.model,
                method=self.backend.method,
                ground_truth=self.ground_truth,
                versions={"agentracer": __version__, **judgement.versions},
                usage=replace(judgement.usage, seconds=seconds),
            ),
        )


def _check_type(trace: object) -> None:
    if isinstance(trace, Trace):
        return
    if isinstance(trace, str | PathLike):
        remedy = (
            "pass agentracer.formats.load_any(path)[0] for a file, "
            "agentracer.Store().load(trace_id) for a recorded run"
        )
    elif isinstance(getattr(trace, "trace", None), Trace):
        remedy = "pass its attribute trace, as in attribute(run.trace)"
    elif isinstance(trace, Iterable) and not isinstance(trace, Mapping):
        remedy = "use attribute_many for several traces"
    else:
        remedy = "pass an agentracer.Trace, such as run.trace after `with record() as run`"
    raise TypeError(f"Tracer attributes a Trace, not {type(trace).__name__}\n  remedy: {remedy}")


def _problems(judgement: Judgement, run: Observed) -> Iterator[str]:
    """Every way in which a judgement does not fit the run that it is about."""
    agents = frozenset(run.agent_names)
    if not judgement.candidates and not judgement.abstain_reason:
        yield "it must either name candidates or say why it names none"
    if not all(0 <= step < len(run.steps) for step in judgement.likely_steps):
        yield f"likely_steps: the run has {len(run.steps)} steps"
    if judgement.agent is not None and judgement.agent not in agents:
        yield f"the agent {judgement.agent!r} did not act in this run"
    for unknown in sorted(set(judgement.agents) - agents):
        yield f"agents: {unknown!r} did not act in this run"
    if sum(judgement.agents.values()) > 1 + 1e-6:
        yield "agents: the shares of the blame sum to more than 1"
    named = [(candidate.agent, candidate.step) for candidate in judgement.candidates]
    if len(set(named)) < len(named):
        yield "a candidate is named twice"
    for rank, candidate in enumerate(judgement.candidates):
        for problem in _candidate_problems(candidate, agents, run):
            yield f"candidates[{rank}]: {problem}"


def _candidate_problems(
    candidate: Candidate, agents: frozenset[str], run: Observed
) -> Iterator[str]:
    if candidate.agent not in agents:
        yield f"the agent {candidate.agent!r} did not act in this run"
    if candidate.step >= len(run.steps):
        yield f"step {candidate.step} does not exist, the run has {len(run.steps)} steps"
    for evidence in candidate.evidence:
        if evidence.step >= len(run.steps):
            yield f"the evidence quotes step {evidence.step}, which does not exist"
        elif evidence.quote not in run.text(evidence.step):
            yield f"the quote {evidence.quote[:60]!r} is not in step {evidence.step}"
