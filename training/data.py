"""Labelled traces into prompts and solutions, in exactly the form that a `Tracer` asks and reads.

The prompt of a trace is what `Tracer("transformers:...")` would send: it is asked for at the
attribution backend (`LanguageModelBackend.first_prompts`), with a tokenizer in place of a model.
A trace that does not fit the context comes as the windows in which it would be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentracer.attribution.judge import JudgePrompt, LanguageModelBackend
from agentracer.attribution.language_models import chat
from agentracer.attribution.language_models.base import Prompt, Reply, Request
from agentracer.attribution.methods.base import JudgeOptions
from agentracer.errors import BackendError, TrainingError
from agentracer.trace import Trace
from training.augment import variant
from training.config import Augment, Data
from training.reasoning import solution

__all__ = ["Example", "Reader", "demonstration", "examples", "prepare"]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt, and what a right answer to it is.

    Attributes:
        id: of the trace, with the number of its variant and of its window.
        trace: the run as it is shown, with the label in its numbering.
        judge_prompt: the request, with the view of the run and the steps that may be named.
        step: the decisive one if it is among them; None where nobody is to blame.
        agent: whose step it is.
    """

    id: str
    trace: Trace
    judge_prompt: JudgePrompt
    step: int | None
    agent: str | None

    @property
    def prompt(self) -> Prompt:
        """The turns of the prompt."""
        return self.judge_prompt.request.prompt


class Reader:
    """A tokenizer in the place of a judge: it counts tokens and answers nothing."""

    name = "training"
    answer_format: Literal["tagged", "json"] = "tagged"
    remote = False
    batch_size = 1
    versions: Mapping[str, str] = {}

    def __init__(self, tokenizer: Any, context: int) -> None:
        self._tokenizer, self._context = tokenizer, context

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer."""
        return self._context

    @property
    def special_tokens(self) -> frozenset[str]:
        """Those of the tokenizer."""
        return chat.special_tokens(self._tokenizer)

    def count_tokens(self, text: str) -> int:
        """By the tokenizer, as the backend in this process counts."""
        ids = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return len(ids["input_ids"])

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Never called."""
        raise NotImplementedError


def examples(
    traces: Sequence[Trace], tokenizer: Any, settings: Data, *, key: int = 0
) -> list[Example]:
    """The prompts of traces as a Tracer with this seed would send them.

    Args:
        traces: labelled.
        tokenizer: of the model.
        settings: context and answer length.
        key: what the labels of steps are drawn from; `Tracer` takes 0 unless told otherwise.
    """
    reader = Reader(tokenizer, settings.context)
    options = JudgeOptions(seed=key, answer_tokens=settings.answer_tokens)
    backend = LanguageModelBackend(reader, options)
    return [one for trace in traces for one in _of_trace(trace, backend, settings)]


def _of_trace(trace: Trace, backend: LanguageModelBackend, settings: Data) -> Iterable[Example]:
    truth = trace.ground_truth if settings.ground_truth else None
    try:
        prompts = backend.first_prompts(trace.observed, ground_truth=truth)
    except BackendError as error:
        raise TrainingError(
            f"no prompt: {str(error).partition(chr(10))[0]}",
            place=f"trace {trace.id}",
            remedy="raise data.context, or lower data.answer_tokens",
        ) from error
    label = trace.labels[0]
    idle = 0
    for number, judge_prompt in enumerate(prompts):
        inside = label.step in judge_prompt.steps
        if not inside:
            # Of the windows without the label one is enough to learn to name nobody.
            idle += 1
            if idle > 1:
                continue
        place = "" if len(prompts) == 1 else f"/{number}"
        step = label.step if inside else None
        agent = label.agent if inside else None
        yield Example(f"{trace.id}{place}", trace, judge_prompt, step, agent)


def prepare(
    traces: Sequence[Trace], tokenizer: Any, settings: Data, *, seed: int, enough: int | None = None
) -> list[Example]:
    """Training prompts: each trace, or its variants, under labels of their own.

    Args:
        traces: labelled.
        tokenizer: of the model.
        settings: see `Data`.
        seed: of the variants and the labels.
        enough: prompts that training will look at; no more variants are made than that needs.
    """
    augment: Augment = settings.augment
    if not augment.copies:
        return examples(traces, tokenizer, settings, key=seed)
    found: list[Example] = []
    for copy in range(augment.copies):
        if enough is not None and len(found) >= enough:
            break
        key = seed * 1_000 + copy + 1
        varied = [
            variant(
                trace,
                key,
                rename=augment.rename,
                digits=augment.digits,
                prefix=augment.prefix,
                distractors=augment.distractors,
            ).model_copy(update={"id": f"{trace.id}#{copy}"})
            for trace in traces
        ]
        found += examples(varied, tokenizer, settings, key=key)
    return found


def demonstration(
    example: Example,
    tokenizer: Any,
    room: int,
    *,
    blame_last: bool = False,
    verbatim: bool = False,
) -> str:
    """Reasoning and answer to learn from, in at most `room` tokens.

    Where all of it does not fit, what is said of the first steps is left out.

    Args:
        example: what is asked.
        tokenizer: of the model.
        room: tokens that it may take.
        blame_last: let the answer name the last step in place of the decisive one.
        verbatim: repeat whole steps; see `reasoning.solution`.

    Raises:
        TrainingError: even what is said of the decisive step does not fit.
    """
    trace, view, steps = example.trace, example.judge_prompt.view, example.judge_prompt.steps
    blame = max(steps) if blame_last else None
    starts = (0, *_starts(example))
    for start, brief in (*((one, False) for one in starts), (starts[-1], True)):
        text = solution(
            trace, view, steps, blame=blame, from_step=start, verbatim=verbatim, brief=brief
        )
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) < room:
            return text
    raise TrainingError(
        f"the reasoning about the decisive line alone does not fit {room} tokens",
        place=f"trace {example.id}",
        remedy="raise data.answer_tokens",
    )


def _starts(example: Example) -> list[int]:
    """Where to begin where there is less and less room, the decisive step last."""
    end = example.step if example.step is not None else max(example.judge_prompt.steps)
    first = min(example.judge_prompt.steps)
    halves, at = [], first
    while at < end:
        at = (at + end + 1) // 2
        halves.append(at)
    return halves
