"""The `Tracer`: hands a trace to a backend, checks what comes back, and makes the `Verdict`.

It decides when there is nothing to attribute, keeps the labels away from the backend, and refuses
a judgement that names what the trace does not contain. How blame is found it does not know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from agentracer._version import __version__
from agentracer.attribution import many
from agentracer.attribution.backends import Backend, Judgement, create_backend
from agentracer.errors import AgentracerError, BackendError, FormatError
from agentracer.trace import GroundTruth, Observed, Trace
from agentracer.verdict import Candidate, Provenance, Verdict

__all__ = ["Tracer"]


class Tracer:
    """Says which agent and which step made a run fail.

    Args:
        model: a spec such as `embedded` or `vllm:PATH`, or a backend of your own.
        ground_truth: show the backend the right answer (w/ G); every trace must then have one.
        top_k: length of the ranked shortlist in a verdict.
        method: how a language model is asked: `all-at-once` (the default), `step-by-step`,
            `binary-search`, `windowed`, `rerank` or `prefill`.
        samples: answers that are drawn; the share that agrees is the confidence.
        temperature: of the drawing; by default 0, and 0.7 where there are several samples.
        token_budget: tokens of a prompt; a longer run is read in windows.
        answer_tokens: tokens of one answer with its reasoning (2,048 unless said otherwise).
        seed: of labels and samples; the same one gives the same verdict.
        concurrency: runs or requests under way at a time in `attribute_many`.
        timeout: seconds that a server has for one answer.
        retries: further tries after a server failed.
        target_error: abstain where the measured confidence is too low for at most this share of
            the verdicts to be wrong; the shortlist is kept. For the embedded tracer.

    Raises:
        UnknownModel: no backend answers to the spec.
        MissingExtra: the backend's libraries are not installed.
        ValueError: `top_k` is less than 1, or the backend has no such option.
    """

    def __init__(
        self,
        model: str | Backend = "embedded",
        *,
        ground_truth: bool = False,
        top_k: int = 5,
        method: str | None = None,
        samples: int | None = None,
        temperature: float | None = None,
        token_budget: int | None = None,
        answer_tokens: int | None = None,
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
        self.backend: Backend = _configured(
            create_backend(model) if isinstance(model, str) else model,
            method=method,
            samples=samples,
            temperature=temperature,
            token_budget=token_budget,
            answer_tokens=answer_tokens,
            seed=seed,
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
            target_error=target_error,
        )
        self.concurrency = concurrency
        self.model = model if isinstance(model, str) else model.name
        self.ground_truth = ground_truth
        self.top_k = top_k

    def attribute(self, trace: Trace) -> Verdict:
        """Attribute one run. Abstains where the run succeeded or has no steps.

        Raises:
            FormatError: w/ G was asked for, and the trace has no ground truth.
            BackendError: the backend failed, or named what the trace does not contain.
        """
        started = time.perf_counter()
        idle = _nothing_to_attribute(trace.observed)
        judgement = Judgement(abstain_reason=idle) if idle else self._judge(trace)
        try:
            return self._verdict(trace, judgement, time.perf_counter() - started)
        except ValidationError as error:
            raise self._broken(f"returned values out of range: {error}") from error

    async def aattribute(self, trace: Trace) -> Verdict:
        """`attribute` in a thread, so that the event loop goes on meanwhile."""
        return await asyncio.to_thread(self.attribute, trace)

    def attribute_many(
        self, traces: Iterable[Trace], *, progress: many.Progress = None
    ) -> Iterator[many.Attribution]:
        """Attribute runs side by side, and hand each result over as soon as it is there.

        A run that fails comes back with its error and costs only itself. `traces` is read as it is
        needed, so it may be longer than memory; to leave early, close the iterator.

        Args:
            traces: the runs.
            progress: called with the number done and the number of all (None if unknown); True
                draws a bar on standard error.
        """
        return many.attributed(self, traces, progress)

    def aattribute_many(
        self, traces: Iterable[Trace], *, progress: many.Progress = None
    ) -> AsyncIterator[many.Attribution]:
        """`attribute_many` in a thread, so that the event loop goes on meanwhile."""
        return many.in_thread(self.attribute_many(traces, progress=progress))

    def attribute_batch(self, traces: Sequence[Trace]) -> list[Verdict | AgentracerError]:
        """Attribute runs together, in one batch where the backend can; one result a run."""
        together = getattr(self.backend, "attribute_batch", None)
        if together is None or len(traces) < 2:
            return [_verdict_or_error(self, trace) for trace in traces]
        started = time.perf_counter()
        judged: dict[int, Judgement | AgentracerError] = {}
        items = {}
        for index, trace in enumerate(traces):
            idle = _nothing_to_attribute(trace.observed)
            if idle:
                judged[index] = Judgement(abstain_reason=idle)
                continue
            try:
                items[index] = (trace.observed, self._truth(trace))
            except FormatError as error:
                judged[index] = error
        judged.update(zip(items, together(list(items.values())), strict=True))
        seconds = (time.perf_counter() - started) / len(traces)
        return [self._finished(t, judged[i], seconds) for i, t in enumerate(traces)]

    def _finished(
        self, trace: Trace, judgement: Judgement | AgentracerError, seconds: float
    ) -> Verdict | AgentracerError:
        if isinstance(judgement, AgentracerError):
            return judgement
        try:
            return self._verdict(trace, self._sound(trace, judgement), seconds)
        except ValidationError as error:
            return self._broken(f"returned values out of range: {error}")
        except AgentracerError as error:
            return error

    def _judge(self, trace: Trace) -> Judgement:
        truth = self._truth(trace)
        try:
            judgement = self.backend.attribute(trace.observed, ground_truth=truth)
        except AgentracerError:
            raise
        except Exception as error:
            raise self._broken(f"failed on {trace.id}: {type(error).__name__}: {error}") from error
        return self._sound(trace, judgement)

    def _sound(self, trace: Trace, judgement: Judgement) -> Judgement:
        if not judgement.candidates and _nothing_to_attribute(trace.observed):
            return judgement
        problem = next(_problems(judgement, trace.observed), None)
        if problem:
            raise self._broken(f"broke its contract on {trace.id}: {problem}")
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

    def _verdict(self, trace: Trace, judgement: Judgement, seconds: float) -> Verdict:
        abstains = judgement.abstain_reason is not None
        first = None if abstains else next(iter(judgement.candidates), None)
        return Verdict(
            trace_id=trace.id,
            agent=(judgement.agent or first.agent) if first else None,
            step=first.step if first else None,
            reason=judgement.reason or (first.reason if first else ""),
            confidence=judgement.confidence,
            candidates=judgement.candidates[: self.top_k],
            likely_steps=judgement.likely_steps,
            coverage=judgement.coverage,
            agents=dict(judgement.agents),
            abstained=first is None,
            abstain_reason=judgement.abstain_reason,
            calibrated=judgement.calibrated,
            notes=judgement.notes,
            provenance=Provenance(
                model=self.model,
                method=self.backend.method,
                ground_truth=self.ground_truth,
                versions={"agentracer": __version__, **judgement.versions},
                usage=replace(judgement.usage, seconds=seconds),
            ),
        )

    def _broken(self, what: str) -> BackendError:
        return BackendError(
            f"backend {self.backend.name!r} {what}\n"
            "  remedy: report it to the author of the backend, or use model='embedded'"
        )


def _configured(backend: Backend, **options: Any) -> Backend:
    given = {name: value for name, value in options.items() if value is not None}
    configure = getattr(backend, "configured", None)
    if configure is not None:
        return configure(**given) if given else backend
    # These mean the same to every backend, if only that there is nothing to do.
    harmless = {"concurrency", "seed"}
    if given.get("method") == backend.method:
        harmless.add("method")
    unknown = sorted(set(given) - harmless)
    if unknown:
        raise ValueError(
            f"the backend {backend.name!r} has no {', '.join(unknown)}\n"
            "  remedy: leave it out, or use a language model, such as transformers:PATH"
        )
    return backend


def _verdict_or_error(tracer: Tracer, trace: Trace) -> Verdict | AgentracerError:
    try:
        return tracer.attribute(trace)
    except AgentracerError as error:
        return error


def _nothing_to_attribute(run: Observed) -> str | None:
    if run.outcome.success is True:
        return "the run succeeded: there is no failure to attribute"
    if not run.steps:
        return "the trace has no steps"
    return None


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
