"""Callbacks of the trainers: metrics as JSON lines, progress bar, evaluation, clip bound.

Every number is written to `metrics.jsonl` in the output folder and to tensorboard; the progress bar
shows a few of them.
"""

# ruff: noqa: ARG002 - the trainer hands over more than each callback needs

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import ProgressCallback, TrainerCallback

__all__ = ["DecayingClip", "EvaluateHeldOut", "JsonLines", "ShortProgress", "short_progress"]

_SHOWN = {
    "loss": "loss",
    "reward": "reward",
    "step_accuracy": "step",
    "agent_accuracy": "agent",
    "held_out/step": "held-out step",
    "held_out/agent": "held-out agent",
}


class DecayingClip(TrainerCallback):  # type: ignore[misc]
    """The clip bound of AgenTracer: max(0.2 * B0, B0 * (1 - s / S)) at step s of S.

    It has an effect where answers are used for more than one optimizer step. With one step for
    each batch of answers the ratio of probabilities is 1, and the bound is never reached.
    """

    def __init__(self, first: float) -> None:
        self.first = first
        self.trainer: Any = None

    def bound(self, step: int, steps: int) -> float:
        """Return the bound at a step."""
        return max(0.2 * self.first, self.first * (1 - step / steps))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the bound of the trainer."""
        bound = self.bound(state.global_step, state.max_steps)
        self.trainer.epsilon_low = self.trainer.epsilon_high = bound


class JsonLines(TrainerCallback):  # type: ignore[misc] # transformers is untyped here
    """Appends every log of the trainer to a file, with the stage and the time.

    Args:
        path: of the file; it is continued where a run is resumed.
        stage: `sft` or `grpo`.
    """

    def __init__(self, path: Path, stage: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.stage = path, stage
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write a line."""
        self.write(state.global_step, logs or {})

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append values that were measured at a step."""
        plain = {key: value for key, value in values.items() if isinstance(value, (int, float))}
        seconds = round(time.perf_counter() - self._began, 3)
        line = {"stage": self.stage, "step": step, "seconds": seconds, **plain}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class ShortProgress(ProgressCallback):  # type: ignore[misc]
    """The progress bar with time left, and the few numbers that one watches beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, str] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show them in place of printing every number."""
        for key, short in _SHOWN.items():
            value = (logs or {}).get(key)
            if isinstance(value, (int, float)):
                self._last[short] = f"{value:.3f}"
        if state.is_world_process_zero and self.training_bar is not None:
            self.training_bar.set_postfix(self._last)


class EvaluateHeldOut(TrainerCallback):  # type: ignore[misc]
    """Evaluates on held-out tasks every so many steps.

    Args:
        measure: the accuracies of a model.
        every: optimizer steps; 0 never does, but at the beginning and the end.
        lines: where the numbers go.
    """

    def __init__(
        self, measure: Callable[[Any], Mapping[str, float]], every: int, lines: JsonLines
    ) -> None:
        self._measure, self._every, self._lines = measure, every, lines
        self.trainer: Any = None
        self._done: int | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure what training starts from."""
        if state.global_step == 0:
            self._evaluate(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure in between."""
        if self._every and state.global_step % self._every == 0:
            self._evaluate(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure what came of it."""
        self._evaluate(state.global_step)

    def _evaluate(self, step: int) -> None:
        if self._done == step or self.trainer is None:
            return
        self._done = step
        found = {f"held_out/{key}": value for key, value in self._measure(self.trainer).items()}
        # Not through `trainer.log`: GRPO's would add the averages of half a step to it.
        self._lines.write(step, found)
        writer = next(
            (
                one.tb_writer
                for one in self.trainer.callback_handler.callbacks
                if getattr(one, "tb_writer", None) is not None
            ),
            None,
        )
        if writer is not None:
            for key, value in found.items():
                writer.add_scalar(key, value, step)


def short_progress(trainer: Any) -> None:
    """Put `ShortProgress` in the place of the trainer's own progress bar."""
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(ShortProgress)
