"""Labelled traces out of files of TracerTraj: read, checked, and split by task.

Rows are checked before anything is trained: a label outside of its trace, an agent that did not act
at the labelled step, a missing field, a run of Who&When. Train and test share no task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError, TrainingError
from agentracer.formats import tracertraj
from agentracer.trace import Trace
from training import holdout
from training.config import Data

__all__ = ["Loaded", "load", "tasks"]

_REMEDY = "correct or remove the row, or set data.skip_bad_rows to leave such rows out"


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
            holdout.refuse_whowhen(row, path, f"row {number}")
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
