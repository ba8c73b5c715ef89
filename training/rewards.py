"""The multi-granular reward: R = 1[format] * (lambda * step + (1 - lambda) * agent).

An answer is read by the code that reads it in use (`agentracer.attribution.answers`), so that what
is rewarded is what a verdict would say. Around it stands a format gate, stricter than use is: one
`<think>` block, then one `<answer>` of one agent and one label, nothing else. It closes the ways to
be paid for something other than the answer: several answers, an answer inside the thinking, text
around the form.

Where agent and step contradict each other, a verdict goes by the step. The agent part is then worth
nothing, even if the named agent is the right one: otherwise naming the likely agent and the likely
step, each for itself, would pay better than knowing.

Nothing here needs torch; TRL and verl call the same functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.judge import JudgePrompt
from agentracer.errors import TrainingError
from training.config import Reward

__all__ = [
    "AnswerKey",
    "Parts",
    "agent_reward",
    "answer_key",
    "check",
    "format_gate",
    "grpo_reward",
    "reward",
    "score",
    "step_reward",
]

_FORM = re.compile(
    r"\s*<think>(?:(?!</?think>|</?answer>).)*</think>\s*"
    r"<answer>(?:(?!</?think>|</?answer>)[^|])*\|(?:(?!</?think>|</?answer>)[^|])*</answer>\s*",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What is needed to score an answer: the names in the prompt, and the label.

    It is plain data, so that it can travel in a data set; see `to_json`.

    Attributes:
        step_of: steps by label.
        agent_of: agents by the name that they have in the prompt.
        speakers: whose each step of the trace is.
        steps: those that an answer may name.
        step: the decisive one; None where nobody is to blame.
        agent: who took it.
    """

    step_of: Mapping[str, int]
    agent_of: Mapping[str, str]
    speakers: Sequence[str]
    steps: Sequence[int]
    step: int | None
    agent: str | None

    def agent_at(self, step: int) -> str:
        """Whose step it is."""
        return self.speakers[step]

    def to_json(self) -> dict[str, Any]:
        """As JSON data. Pairs, for a column of a data set has no open mappings."""
        return {
            "labels": [[label, step] for label, step in self.step_of.items()],
            "agents": [[alias, agent] for alias, agent in self.agent_of.items()],
            "speakers": list(self.speakers),
            "steps": list(self.steps),
            "step": self.step,
            "agent": self.agent,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AnswerKey:
        """From `to_json`.

        Raises:
            TrainingError: a field is missing, or the label is none of the steps in question.
        """
        try:
            key = cls(
                {str(label): int(step) for label, step in data["labels"]},
                {str(alias): str(agent) for alias, agent in data["agents"]},
                [str(name) for name in data["speakers"]],
                [int(step) for step in data["steps"]],
                None if data["step"] is None else int(data["step"]),
                None if data["agent"] is None else str(data["agent"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"no key to an answer: {type(error).__name__}: {error}",
                place="ground_truth",
                remedy="make the data with `python -m training.export_verl` of this version",
            ) from error
        return key.checked()

    def checked(self) -> AnswerKey:
        """Itself, if its label can be answered.

        Raises:
            TrainingError: it cannot, so that every answer would be worth the same.
        """
        if self.step is not None and self.step not in self.steps:
            raise TrainingError(f"the label {self.step} is none of the steps in question")
        if self.step is not None and self.agent_at(self.step) != self.agent:
            raise TrainingError(f"step {self.step} is not {self.agent!r}'s")
        return self


@dataclass(frozen=True, slots=True)
class Parts:
    """A reward with what it is made of.

    Attributes:
        total: what the optimizer sees.
        formed: whether the format gate let it pass.
        step: the step part, 0 to 1.
        agent: the agent part, 0 or 1.
        step_right: whether exactly the decisive step is blamed.
    """

    total: float
    formed: bool
    step: float = 0.0
    agent: float = 0.0
    step_right: bool = False


def format_gate(completion: str) -> bool:
    """Whether a completion is `<think>…</think><answer>…</answer>` and nothing else."""
    return _FORM.fullmatch(completion) is not None


def step_reward(said: int | None, true: int | None, *, sigma: float = 1.0) -> float:
    """exp(-(said - true)^2 / (2 sigma^2)): 1, 0.607, 0.135 at distances of 0, 1, 2 for sigma 1.

    Where one of them names nobody it is 1 if both do, and 0 otherwise: there is no distance.
    """
    if said is None or true is None:
        return float(said is None and true is None)
    return math.exp(-((said - true) ** 2) / (2 * sigma**2))


def agent_reward(said: str | None, true: str | None) -> float:
    """1 if the right agent, or rightly nobody, is blamed."""
    return float(said == true)


def score(completion: str, key: AnswerKey, settings: Reward) -> Parts:
    """Score one completion."""
    if not format_gate(completion):
        return Parts(0.0, formed=False)
    said: Answer | Unreadable = answers.parse_blame("tagged", completion, key, key.steps)
    if isinstance(said, Unreadable):
        return Parts(0.0, formed=False)
    step = step_reward(said.step, key.step, sigma=settings.sigma)
    agent = 0.0 if said.contradicts else agent_reward(said.agent, key.agent)
    right = said.step == key.step
    if settings.kind == "binary":
        total = float(right and agent == 1.0)
    else:
        total = settings.step_weight * step + (1 - settings.step_weight) * agent
    return Parts(total, formed=True, step=step, agent=agent, step_right=right)


def reward(completion: str, key: AnswerKey, settings: Reward) -> float:
    """The total of `score`."""
    return score(completion, key, settings).total


def grpo_reward(keys: Mapping[str, AnswerKey], settings: Reward) -> Callable[..., list[float]]:
    """The reward as TRL calls it: one function, because TRL *adds* several, and a gate multiplies.

    Args:
        keys: by the column `example` of the data set.
        settings: of the reward.
    """

    def agentracer_reward(
        completions: Sequence[str],
        example: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        scored = [
            score(text, keys[name], settings)
            for text, name in zip(completions, example, strict=True)
        ]
        if log_metric is not None and scored:
            n = len(scored)
            log_metric("format", sum(one.formed for one in scored) / n)
            log_metric("step_reward", sum(one.step for one in scored) / n)
            log_metric("agent_accuracy", sum(one.agent for one in scored) / n)
            log_metric("step_accuracy", sum(one.step_right for one in scored) / n)
        return [one.total for one in scored]

    return agentracer_reward


def check(keys: Mapping[str, AnswerKey], settings: Reward) -> None:
    """Find out before training whether the reward can tell a right answer from another one.

    Raises:
        TrainingError: a right answer does not get the full reward, or nobody could get less.
    """
    for name, key in keys.items():
        right = score(_written(key, key.step), key, settings)
        if not math.isclose(right.total, 1.0):
            raise TrainingError(
                f"the right answer would be worth {right.total:.3f} in place of 1",
                place=f"trace {name}",
                remedy="an agent or a label of this trace cannot be written as an answer",
            )
        others = [step for step in key.steps if step != key.step]
        if all(score(_written(key, step), key, settings).total == 1.0 for step in others):
            raise TrainingError(
                "every answer would be worth the same",
                place=f"trace {name}",
                remedy="leave out traces with a single step or, where the reward is for the agent "
                "alone, with a single agent",
            )


def _written(key: AnswerKey, step: int | None) -> str:
    """The shortest completion that names a step."""
    if step is None:
        return "<think></think><answer>none|none</answer>"
    label = next(name for name, index in key.step_of.items() if index == step)
    alias = next(name for name, agent in key.agent_of.items() if agent == key.agent_at(step))
    return f"<think></think><answer>{alias}|{label}</answer>"


def answer_key(prompt: JudgePrompt, step: int | None, agent: str | None) -> AnswerKey:
    """Make the key to a prompt of `LanguageModelBackend.first_prompts`."""
    view = prompt.view
    return AnswerKey(
        dict(view.step_of),
        dict(view.agent_of),
        [step.agent for step in view.run.steps],
        list(prompt.steps),
        step,
        agent,
    ).checked()
