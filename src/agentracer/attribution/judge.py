"""The attribution backend for language models.

It runs a method against a model, for one run or a batch of them, and adds the costs and the
versions that the result depends on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from agentracer.attribution import prompts
from agentracer.attribution.backends import Backend, Item, Judgement
from agentracer.attribution.language_models.base import (
    ContextExceeded,
    LanguageModel,
    Reply,
    Request,
)
from agentracer.attribution.methods import METHODS, load_method
from agentracer.attribution.methods.base import JudgeContext, JudgeOptions, RequestFlow
from agentracer.attribution.rendering import TraceView
from agentracer.errors import AgentracerError, BackendError
from agentracer.trace import GroundTruth, Observed
from agentracer.usage import Usage

__all__ = [
    "JudgePrompt",
    "LanguageModelBackend",
    "embedded_openai",
    "embedded_transformers",
    "embedded_vllm",
    "openai",
    "transformers",
    "vllm",
]

_ASSUMED_CONTEXT = 8_192  # tokens, if neither the user nor the server states a context length
_MAX_RESTARTS = 4  # with a smaller budget, after a prompt was too long


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """One prompt of a judge, and the steps that an answer may name.

    Attributes:
        view: the run with the labels that the prompt uses.
        request: the prompt and the grammar of its answer.
        steps: indices of the steps that an answer may name.
    """

    view: TraceView
    request: Request
    steps: tuple[int, ...]


class LanguageModelBackend(Backend):
    """Attribution by a language model.

    Args:
        model: the judge.
        options: of the judge; see `Tracer`.

    Attributes:
        usage: tokens and calls of all attributions so far.
    """

    def __init__(self, model: LanguageModel, options: JudgeOptions | None = None) -> None:
        self.model = model
        self.options = options or JudgeOptions()
        self.name = model.name
        self.method = self.options.method
        self.usage = Usage()
        self._lock = threading.Lock()

    @property
    def batch_size(self) -> int:
        """Runs that are best attributed at a time."""
        return self.model.batch_size

    @property
    def batches_in_process(self) -> bool:
        """Whether the model runs in this process, and computes several runs in one batch."""
        return not self.model.remote

    def with_options(self, **options: Any) -> Self:
        """Return a judge with the same model and other options.

        Args:
            options: fields of `JudgeOptions`, and `timeout`, `retries` and `concurrency` of a
                model server.

        Raises:
            ValueError: there is no such option or method, or a value is out of range.
        """
        for name in ("timeout", "retries", "concurrency"):
            value = options.pop(name, None)
            if value is not None and hasattr(self.model, name):
                setattr(self.model, name, value)
            elif value is not None and name != "concurrency":
                raise ValueError(f"{self.name} runs in this process and has no {name}")
        unknown = sorted(set(options) - {field.name for field in fields(JudgeOptions)})
        if unknown:
            raise ValueError(
                f"a language model has no option {', '.join(unknown)}\n  remedy: leave it out"
            )
        chosen = replace(self.options, **options)
        if chosen.method not in METHODS:
            raise ValueError(
                f"there is no method {chosen.method!r}\n  remedy: use one of {', '.join(METHODS)}"
            )
        counts = (chosen.samples, chosen.token_budget, chosen.answer_tokens)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("samples, token_budget and answer_tokens must be at least 1")
        return type(self)(self.model, chosen)

    def without_defenses(self) -> Self:
        """Return the same judge without the defences against hostile text, to measure them."""
        return type(self)(self.model, replace(self.options, defended=False))

    def first_prompts(
        self, run: Observed, *, ground_truth: GroundTruth | None = None
    ) -> list[JudgePrompt]:
        """Return what would be asked first of a run: one prompt, or one for each window.

        Training uses it, so that a model is trained on the prompts that it will get.

        Raises:
            BackendError: the frame of the prompt alone does not fit.
        """
        context, flow = self._start((run, ground_truth), None)
        judgements = []
        for request in next(flow):
            labels = request.grammar.choices[-2] if request.grammar.choices else ()
            step_of = context.view.step_of
            steps = tuple(step_of[label] for label in labels if label in step_of)
            judgements.append(JudgePrompt(context.view, request, steps))
        return judgements

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None = None) -> Judgement:
        """Judge one run.

        Raises:
            BackendError: the model failed.
        """
        result = self.attribute_batch([(run, ground_truth)])[0]
        if isinstance(result, AgentracerError):
            raise result
        return result

    def attribute_batch(self, items: Sequence[Item]) -> list[Judgement | AgentracerError]:
        """Judge several runs: the requests of all of them go to the model in one batch.

        A run that fails gives its error and does not affect the others.
        """
        runs = [_RunInProgress(self._start, item) for item in items]
        while waiting := [run for run in runs if run.requests]:
            requests = [request for run in waiting for request in run.requests]
            replies = iter(self._replies(requests))
            for run in waiting:
                run.send([next(replies) for _ in run.requests])
        return [self._judgement(run) for run in runs]

    def _replies(self, requests: list[Request]) -> list[Reply]:
        """Return one reply for each request. A batch that fails is repeated one by one."""
        try:
            return self.model.generate(requests)
        except Exception as error:  # noqa: BLE001 - a model library may raise anything
            if len(requests) > 1:
                return [self._replies([request])[0] for request in requests]
            if isinstance(error, BackendError):
                return [error]
            failure = BackendError(f"{self.name} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return [failure]

    def _start(self, item: Item, budget: int | None) -> tuple[JudgeContext, RequestFlow]:
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
        length = limit or max(_ASSUMED_CONTEXT, (options.token_budget or 0) + options.answer_tokens)
        answer = min(options.answer_tokens, max(length // 4, 1))
        allowed = min(options.token_budget or length, length - answer, budget or length)
        context = JudgeContext(view, self.model, options, budget=allowed, answer_tokens=answer)
        if limit is None and options.token_budget is None:
            context.add_note(
                f"the context length is unknown: {_ASSUMED_CONTEXT:,} tokens are assumed"
            )
        return context, load_method(options.method)(context)

    def _judgement(self, run: _RunInProgress) -> Judgement | AgentracerError:
        with self._lock:
            self.usage += run.usage
        if run.error is not None:
            return run.error
        assert run.judgement is not None  # noqa: S101 - a run ends with a judgement or an error
        assert run.context is not None  # noqa: S101
        judgement, context = run.judgement, run.context
        # One sample gives no measure of confidence; the chance of a blind guess stands in for it.
        confidence = judgement.confidence
        if confidence is None:
            confidence = 1 / len(context.view.run.steps)
        return replace(
            judgement,
            confidence=confidence if judgement.candidates else 0.0,
            notes=tuple(context.notes),
            versions={
                **self.model.versions,
                **context.versions,
                "prompts": prompts.version(context.prompt_names),
                "labels": "nonce" if self.options.defended else "index",
                "seed": str(self.options.seed),
            },
            usage=run.usage,
        )


class _RunInProgress:
    """One run of a batch: its open requests, then its judgement or error."""

    def __init__(
        self, start: Callable[[Item, int | None], tuple[JudgeContext, RequestFlow]], item: Item
    ) -> None:
        self._start, self._item = start, item
        self.context: JudgeContext | None = None
        self._flow: RequestFlow | None = None
        self.requests: list[Request] = []
        self.judgement: Judgement | None = None
        self.error: AgentracerError | None = None
        self.usage = Usage()
        self._restarts = 0
        self._restart(None)

    def send(self, replies: list[Reply]) -> None:
        """Give the replies to `requests` to the method, and get its next requests or its result."""
        too_long = next((reply for reply in replies if isinstance(reply, ContextExceeded)), None)
        for reply in replies:
            if isinstance(reply, list):
                self.usage = sum((completion.usage for completion in reply), self.usage)
        if too_long is not None and self.context is not None and self._restarts < _MAX_RESTARTS:
            # The prompt was longer than the server's context: start again with a smaller budget.
            self._restarts += 1
            budget = min(self.context.budget, self.context.longest_prompt(self.requests)) * 7 // 10
            if too_long.limit:
                answer = min(self.context.answer_tokens, too_long.limit // 4)
                budget = min(budget, too_long.limit - answer)
            self._restart(budget)
            if self.error is not None:
                self.error = too_long  # the cause is more informative than the smaller budget
        else:
            self._advance(replies)

    def _restart(self, budget: int | None) -> None:
        self.requests = []
        try:
            self.context, self._flow = self._start(self._item, budget)
        except AgentracerError as error:
            self.error = error
            return
        self._advance(None)

    def _advance(self, replies: list[Reply] | None) -> None:
        assert self._flow is not None  # noqa: S101 - set by _restart
        try:
            self.requests = next(self._flow) if replies is None else self._flow.send(replies)
        except StopIteration as stop:
            self.requests, self.judgement = [], stop.value
        except AgentracerError as error:
            self.requests, self.error = [], error
        except Exception as error:  # noqa: BLE001 - one bad run must not cost the others of a batch
            self.requests = []
            self.error = BackendError(f"the method failed: {type(error).__name__}: {error}")
            self.error.__cause__ = error
        if not self.requests and self.context is not None:
            self.usage += self.context.usage


def openai(argument: str) -> LanguageModelBackend:
    """Create the backend for `openai:MODEL@URL`."""
    from agentracer.attribution.language_models.openai_compatible import OpenAICompatible

    return LanguageModelBackend(OpenAICompatible(argument))


def transformers(argument: str) -> LanguageModelBackend:
    """Create the backend for `transformers:PATH`."""
    from agentracer.attribution.language_models.transformers_local import TransformersModel

    return LanguageModelBackend(TransformersModel(argument))


def vllm(argument: str) -> LanguageModelBackend:
    """Create the backend for `vllm:PATH`."""
    from agentracer.attribution.language_models.vllm_local import VllmModel

    return LanguageModelBackend(VllmModel(argument))


def embedded_openai(argument: str) -> LanguageModelBackend:
    """Create the backend for `embedded+openai:MODEL@URL`."""
    return openai(argument).with_options(method="rerank")


def embedded_transformers(argument: str) -> LanguageModelBackend:
    """Create the backend for `embedded+transformers:PATH`."""
    return transformers(argument).with_options(method="rerank")


def embedded_vllm(argument: str) -> LanguageModelBackend:
    """Create the backend for `embedded+vllm:PATH`."""
    return vllm(argument).with_options(method="rerank")
