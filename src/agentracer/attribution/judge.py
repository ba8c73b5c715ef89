"""The attribution backend around a language model: a method, a budget, and a judgement.

It drives methods (which ask) against a model (which answers), one run or many side by side, and
turns what they find into a `Judgement` with its costs and the versions that it depends on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from agentracer.attribution import prompts
from agentracer.attribution.backends import Judgement
from agentracer.attribution.language_models.base import (
    ContextExceeded,
    LanguageModel,
    Reply,
    Request,
)
from agentracer.attribution.methods import METHODS, Case, Finding, Options, Steps
from agentracer.attribution.rendering import TraceView
from agentracer.errors import AgentracerError, BackendError
from agentracer.trace import GroundTruth, Observed
from agentracer.usage import Usage

__all__ = [
    "LanguageModelBackend",
    "Question",
    "embedded_openai",
    "embedded_transformers",
    "embedded_vllm",
    "openai",
    "transformers",
    "vllm",
]

_ASSUMED_CONTEXT = 8_192  # tokens; where neither the user nor the server names a length
_SHRINKS = 4

Item = tuple[Observed, GroundTruth | None]


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt that a judge would send, and what can be answered.

    Attributes:
        view: the run with the labels that stand in the prompt.
        request: the prompt and the form of its answer.
        steps: those that an answer may name.
    """

    view: TraceView
    request: Request
    steps: tuple[int, ...]


class LanguageModelBackend:
    """Attribution by a language model.

    Args:
        model: the judge.
        options: how it works; see `Tracer`.

    Attributes:
        usage: tokens and calls of all attributions so far.
    """

    def __init__(self, model: LanguageModel, options: Options | None = None) -> None:
        self.model = model
        self.options = options or Options()
        self.name = model.name
        self.method = self.options.method
        self.usage = Usage()
        self._lock = threading.Lock()

    @property
    def batch(self) -> int:
        """Runs that are best attributed at a time."""
        return self.model.batch

    @property
    def remote(self) -> bool:
        """Whether runs at a time are waited for side by side, or computed in one batch."""
        return self.model.remote

    def configured(self, **options: Any) -> Self:
        """The same model with other options of `Options`, or of the model's server.

        Raises:
            ValueError: there is no such option, or no such method.
        """
        for name in ("timeout", "retries", "concurrency"):
            value = options.pop(name, None)
            if value is not None and hasattr(self.model, name):
                setattr(self.model, name, value)
            elif value is not None and name != "concurrency":
                raise ValueError(f"{self.name} runs in this process and has no {name}")
        chosen = replace(self.options, **options)
        if chosen.method not in METHODS:
            raise ValueError(
                f"there is no method {chosen.method!r}\n  remedy: use one of {', '.join(METHODS)}"
            )
        counts = (chosen.samples, chosen.token_budget, chosen.answer_tokens)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("samples, token_budget and answer_tokens are at least 1")
        return type(self)(self.model, chosen)

    def undefended(self) -> Self:
        """The same judge without the defences against hostile text: for measuring them."""
        return type(self)(self.model, replace(self.options, defended=False))

    def questions(
        self, run: Observed, *, ground_truth: GroundTruth | None = None
    ) -> list[Question]:
        """What it would ask first of a run, without asking: one prompt, or one a window.

        What a model is trained on is thereby what it will be asked.

        Raises:
            BackendError: the frame of the prompt alone does not fit.
        """
        case, steps = self._start((run, ground_truth), None)
        found = []
        for request in next(steps):
            named = request.form.slots[-2] if request.form.slots else ()
            known = case.view.step_of
            in_question = tuple(known[label] for label in named if label in known)
            found.append(Question(case.view, request, in_question))
        return found

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None = None) -> Judgement:
        """Judge one run.

        Raises:
            BackendError: the model failed.
        """
        found = self.attribute_batch([(run, ground_truth)])[0]
        if isinstance(found, AgentracerError):
            raise found
        return found

    def attribute_batch(self, items: Sequence[Item]) -> list[Judgement | AgentracerError]:
        """Judge several runs side by side: what they ask at one time goes to the model together.

        A run that fails costs only itself.
        """
        driven = [_Driven(self._start, item) for item in items]
        while waiting := [one for one in driven if one.asks]:
            requests = [request for one in waiting for request in one.asks]
            replies = iter(self._replies(requests))
            for one in waiting:
                one.answer([next(replies) for _ in one.asks])
        return [self._judgement(one) for one in driven]

    def _replies(self, requests: list[Request]) -> list[Reply]:
        """One reply a request, whatever the model does; a batch that fails is taken apart."""
        try:
            return self.model.generate(requests)
        except Exception as error:  # noqa: BLE001 - a model library may raise anything
            if len(requests) > 1:
                return [self._replies([request])[0] for request in requests]
            if isinstance(error, BackendError):
                return [error]
            failed = BackendError(f"{self.name} failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            return [failed]

    def _start(self, item: Item, budget: int | None) -> tuple[Case, Steps]:
        run, truth = item
        options = self.options
        view = TraceView(
            run,
            truth,
            key=str(options.seed),
            defended=options.defended,
            forbidden=self.model.special_tokens,
        )
        limit = self.model.context_length
        context = limit or max(
            _ASSUMED_CONTEXT, (options.token_budget or 0) + options.answer_tokens
        )
        answer = min(options.answer_tokens, max(context // 4, 1))
        allowed = min(options.token_budget or context, context - answer, budget or context)
        case = Case(view, self.model, options, budget=allowed, answer_tokens=answer)
        if limit is None and options.token_budget is None:
            case.note(f"the context length is unknown: {_ASSUMED_CONTEXT:,} tokens assumed")
        return case, METHODS[options.method](case)

    def _judgement(self, one: _Driven) -> Judgement | AgentracerError:
        with self._lock:
            self.usage += one.usage
        if one.error is not None:
            return one.error
        assert one.finding is not None  # noqa: S101 - a run ends with a finding or an error
        assert one.case is not None  # noqa: S101
        finding, case = one.finding, one.case
        reason = finding.reason or (finding.candidates[0].reason if finding.candidates else "")
        blind = 1 / len(case.view.run.steps)
        # One sample says nothing of its chances; then the honest figure is that of a blind guess.
        confidence = finding.confidence if finding.confidence is not None else blind
        return Judgement(
            candidates=finding.candidates,
            agents=finding.shares,
            confidence=confidence if finding.candidates else 0.0,
            reason=reason,
            abstain_reason=finding.abstain_reason,
            notes=tuple(case.notes),
            versions={
                **self.model.versions,
                **case.versions,
                "prompts": prompts.version(case.used),
                "labels": "nonce" if self.options.defended else "index",
                "seed": str(self.options.seed),
            },
            usage=one.usage,
        )


class _Driven:
    """One run on its way: what it asks for next, or what came of it."""

    def __init__(self, start: Callable[[Item, int | None], tuple[Case, Steps]], item: Item) -> None:
        self._begin, self._item = start, item
        self.case: Case | None = None
        self._steps: Steps | None = None
        self.asks: list[Request] = []
        self.finding: Finding | None = None
        self.error: AgentracerError | None = None
        self.usage = Usage()
        self._shrunk = 0
        self._restart(None)

    def answer(self, replies: list[Reply]) -> None:
        """Hand over the replies to `asks`, and find out what comes next."""
        too_long = next((one for one in replies if isinstance(one, ContextExceeded)), None)
        for reply in replies:
            if isinstance(reply, list):
                self.usage = sum((one.usage for one in reply), self.usage)
        if too_long is not None and self.case is not None and self._shrunk < _SHRINKS:
            # The server knows its context better than an estimate does: go on in windows.
            self._shrunk += 1
            smaller = min(self.case.budget, self.case.longest(self.asks)) * 7 // 10
            if too_long.limit:
                smaller = min(
                    smaller, too_long.limit - min(self.case.answer_tokens, too_long.limit // 4)
                )
            self._restart(smaller)
            if self.error is not None:
                self.error = too_long  # what made it too small says more than that it is
        else:
            self._advance(replies)

    def _restart(self, budget: int | None) -> None:
        self.asks = []
        try:
            self.case, self._steps = self._begin(self._item, budget)
        except AgentracerError as error:
            self.error = error
            return
        self._advance(None)

    def _advance(self, replies: list[Reply] | None) -> None:
        assert self._steps is not None  # noqa: S101 - set by _restart
        try:
            # A method that asks for nothing is asked again; None starts a generator.
            self.asks = next(self._steps) if replies is None else self._steps.send(replies)
        except StopIteration as done:
            self.asks, self.finding = [], done.value
        except AgentracerError as error:
            self.asks, self.error = [], error
        except Exception as error:  # noqa: BLE001 - one bad run must not cost the others of a batch
            self.asks = []
            self.error = BackendError(f"the method failed: {type(error).__name__}: {error}")
            self.error.__cause__ = error
        if not self.asks and self.case is not None:
            self.usage += self.case.usage


def openai(argument: str) -> LanguageModelBackend:
    """The backend for `openai:MODEL@URL`."""
    from agentracer.attribution.language_models.openai_compatible import OpenAICompatible

    return LanguageModelBackend(OpenAICompatible(argument))


def transformers(argument: str) -> LanguageModelBackend:
    """The backend for `transformers:PATH`."""
    from agentracer.attribution.language_models.transformers_local import TransformersModel

    return LanguageModelBackend(TransformersModel(argument))


def vllm(argument: str) -> LanguageModelBackend:
    """The backend for `vllm:PATH`."""
    from agentracer.attribution.language_models.vllm_local import VllmModel

    return LanguageModelBackend(VllmModel(argument))


def embedded_openai(argument: str) -> LanguageModelBackend:
    """The backend for `embedded+openai:MODEL@URL`."""
    return openai(argument).configured(method="rerank")


def embedded_transformers(argument: str) -> LanguageModelBackend:
    """The backend for `embedded+transformers:PATH`."""
    return transformers(argument).configured(method="rerank")


def embedded_vllm(argument: str) -> LanguageModelBackend:
    """The backend for `embedded+vllm:PATH`."""
    return vllm(argument).configured(method="rerank")
