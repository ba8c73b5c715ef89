"""TracerTraj into prompts and solutions, in exactly the form in which a `Tracer` asks and reads.

The prompt of a trace is what `Tracer("transformers:...")` would send: it is asked for at the
attribution backend itself (`LanguageModelBackend.questions`), with a tokenizer in place of a model.
A trace that does not fit the context comes as the windows in which it would be read.

Rows are checked before anything is trained: a label outside of its trace, an agent that did not act
at the labelled step, a missing field, a run of Who&When. Train and test share no task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agentracer.attribution.judge import LanguageModelBackend, Question
from agentracer.attribution.language_models import chat
from agentracer.attribution.language_models.base import Prompt, Reply, Request
from agentracer.attribution.methods import Options
from agentracer.errors import AgentracerError, BackendError, TrainingError
from agentracer.formats import tracertraj
from agentracer.trace import Trace
from training import keptback
from training.augment import variant
from training.config import Augment, Data
from training.reasoning import solution

__all__ = ["Example", "Loaded", "Reader", "demonstration", "examples", "load", "prepare", "tasks"]

_REMEDY = "correct or remove the row, or set data.skip_bad_rows to leave such rows out"


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt, and what a right answer to it is.

    Attributes:
        id: of the trace, with the number of its variant and of its window.
        trace: the run as it is shown, with the label in its numbering.
        question: view, prompt and the steps that may be named.
        step: the decisive one if it is among them; None where nobody is to blame.
        agent: whose step it is.
    """

    id: str
    trace: Trace
    question: Question
    step: int | None
    agent: str | None

    @property
    def prompt(self) -> Prompt:
        """The turns of the prompt."""
        return self.question.request.prompt


@dataclass(slots=True)
class Loaded:
    """Labelled traces by what they are for.

    Attributes:
        train: to be trained on.
        test: about other tasks.
        skipped: rows that were left out, by reason.
    """

    train: list[Trace]
    test: list[Trace]
    skipped: dict[str, int] = field(default_factory=dict)


class Reader:
    """A tokenizer in the place of a judge: it counts tokens and answers nothing."""

    name = "training"
    answer_format: Literal["tagged", "json"] = "tagged"
    remote = False
    batch = 1
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


# -- rows


def load(settings: Data) -> Loaded:
    """Read, check and split what a config names.

    Raises:
        TrainingError: a file or row cannot be used; nothing is left of the data; train and test
            share a task.
    """
    skipped: dict[str, int] = {}
    train = list(_rows(settings, settings.train, skipped))
    if settings.test:
        test = list(_rows(settings, settings.test, skipped))
        shared = {t for trace in train for t in tasks(trace)} & {
            t for trace in test for t in tasks(trace)
        }
        if shared:
            raise TrainingError(
                f"{len(shared)} tasks are in train and in test, such as {min(shared)!r}",
                place="data.test",
                remedy="split by task, or give no data.test and let data.held_out do it",
            )
    else:
        train, test = _split(train, settings.held_out, skipped)
    for name, traces in (("train", train), ("test", test)):
        if not traces:
            raise TrainingError(
                f"no trace is left to {'train on' if name == 'train' else 'evaluate on'}"
                + (f"; left out: {skipped}" if skipped else ""),
                place=f"data.{name}",
                remedy="give more rows, or less strict data.where and data.held_out",
            )
    return Loaded(train, test, skipped)


def _rows(settings: Data, files: Iterable[str], skipped: dict[str, int]) -> Iterable[Trace]:
    for name in files:
        path = Path(name)
        if not path.is_file():
            raise TrainingError(
                "there is no such file", source=path, remedy="make it with `agentracer collect`"
            )
        for number, row in enumerate(tracertraj.read_rows(path)):
            keptback.refuse(row, path, f"row {number}")
            if any(str(row.get(key)) not in kept for key, kept in settings.where.items()):
                _count(skipped, "not in data.where")
                continue
            if settings.max_steps and len(row.get("history") or ()) > settings.max_steps:
                _count(skipped, "more than data.max_steps")
                continue
            try:
                yield _checked(row, path, f"row {number}")
            except AgentracerError as error:
                if not settings.skip_bad_rows:
                    raise
                problem = error.problem if isinstance(error, TrainingError) else "unreadable"
                _count(skipped, problem)


def _count(skipped: dict[str, int], reason: str) -> None:
    skipped[reason] = skipped.get(reason, 0) + 1


def _checked(row: Mapping[str, Any], path: Path, place: str) -> Trace:
    """A row as a trace whose label can be answered."""

    def wrong(problem: str, at: str = "") -> TrainingError:
        return TrainingError(problem, source=path, place=f"{place}{at}", remedy=_REMEDY)

    for name in ("question_ID", "history", "mistake_agent", "mistake_step"):
        if row.get(name) is None:
            raise wrong("the field is missing", f".{name}")
    trace = tracertraj.trace_of(row, source=path, place=place)
    if not trace.labels:
        raise wrong("the trace has no label")
    label, steps = trace.labels[0], trace.steps
    if label.step >= len(steps):
        raise wrong(f"the label is step {label.step} of a trace of {len(steps)}", ".mistake_step")
    speaker = steps[label.step].agent
    if label.agent != speaker:
        raise wrong(
            f"the label blames {label.agent!r} for step {label.step}, which {speaker!r} took",
            ".mistake_agent",
        )
    return trace


def tasks(trace: Trace) -> tuple[str, ...]:
    """The tasks that a trace is about: one, or those that it was put together from."""
    name = str(trace.metadata.get("question_ID") or trace.task)
    domain, slash, rest = name.rpartition("/")
    return tuple(f"{domain}{slash}{part}" for part in rest.split("+"))


def _split(
    traces: Sequence[Trace], share: float, skipped: dict[str, int]
) -> tuple[list[Trace], list[Trace]]:
    """Keep a share of the tasks back. It depends on the tasks alone, not on a seed."""
    names = sorted({task for trace in traces for task in tasks(trace)}, key=_rank)
    held = frozenset(names[: round(share * len(names))])
    train, test = [], []
    for trace in traces:
        about = frozenset(tasks(trace))
        if about <= held:
            test.append(trace)
        elif about & held:
            _count(skipped, "about a task of train and a task of test")
        else:
            train.append(trace)
    return train, test


def _rank(task: str) -> bytes:
    return hashlib.blake2b(f"held out {task}".encode(), digest_size=16).digest()


# -- prompts


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
    options = Options(seed=key, answer_tokens=settings.answer_tokens)
    backend = LanguageModelBackend(reader, options)
    return [one for trace in traces for one in _of_trace(trace, backend, settings)]


def _of_trace(trace: Trace, backend: LanguageModelBackend, settings: Data) -> Iterable[Example]:
    truth = trace.ground_truth if settings.ground_truth else None
    try:
        questions = backend.questions(trace.observed, ground_truth=truth)
    except BackendError as error:
        raise TrainingError(
            f"no prompt: {str(error).partition(chr(10))[0]}",
            place=f"trace {trace.id}",
            remedy="raise data.context, or lower data.answer_tokens",
        ) from error
    label = trace.labels[0]
    idle = 0
    for number, question in enumerate(questions):
        inside = label.step in question.steps
        if not inside:
            # Of the windows without the label one is enough to learn to name nobody.
            idle += 1
            if idle > 1:
                continue
        place = "" if len(questions) == 1 else f"/{number}"
        step = label.step if inside else None
        yield Example(f"{trace.id}{place}", trace, question, step, label.agent if inside else None)


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
    blame_next: bool = False,
    verbatim: bool = False,
) -> str:
    """Reasoning and answer to learn from, in at most `room` tokens.

    Where all of it does not fit, what is said of the first steps is left out.

    Args:
        example: what is asked.
        tokenizer: of the model.
        room: tokens that it may take.
        blame_next: let the answer name the step after the decisive one, if there is one.
        verbatim: repeat whole steps; see `reasoning.solution`.

    Raises:
        TrainingError: even what is said of the decisive step does not fit.
    """
    trace, view, steps = example.trace, example.question.view, example.question.steps
    after = example.step + 1 if example.step is not None else None
    blame = after if blame_next and after in steps else None
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
    end = example.step if example.step is not None else max(example.question.steps)
    first = min(example.question.steps)
    halves, at = [], first
    while at < end:
        at = (at + end + 1) // 2
        halves.append(at)
    return halves
