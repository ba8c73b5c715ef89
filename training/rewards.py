"""The multi-granular reward: R = 1[format] * (lambda * step + (1 - lambda) * agent).

Attribution parses answers with the same code (`agentracer.attribution.answers`), so that the reward
agrees with the verdict. A format gate is stricter: one `<think>` block, then one `<answer>` with an
agent and a label, nothing else. It prevents rewards for several answers, for an answer inside the
reasoning, and for text around them.

Where agent and step contradict each other, a verdict takes the agent of the step. The agent part of
the reward is then 0, even if the named agent is the right one. Otherwise it would pay to name the
likely agent and the likely step independently of each other.

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
    """The names in a prompt and the label, to score answers to it. See `to_json` for data sets.

    Attributes:
        step_of: steps by label.
        agent_of: agents by the name that they have in the prompt.
        speakers: the agent of each step of the trace.
        steps: indices that an answer may name.
        step: the decisive step; None where the right answer is `none`.
        agent: the agent of that step.
    """

    step_of: Mapping[str, int]
    agent_of: Mapping[str, str]
    speakers: Sequence[str]
    steps: Sequence[int]
    step: int | None
    agent: str | None

    def agent_at(self, step: int) -> str:
        """Return the agent of a step."""
        return self.speakers[step]

    def to_json(self) -> dict[str, Any]:
        """Return JSON data: pairs, because a column of a data set cannot hold open mappings."""
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
        """Read the result of `to_json`.

        Raises:
            TrainingError: a field is missing, or the label is not among the steps.
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
                f"this is not an answer key: {type(error).__name__}: {error}",
                place="ground_truth",
                remedy="make the data with `python -m training.verl.prepare` of this version",
            ) from error
        return key.checked()

    def checked(self) -> AnswerKey:
        """Return itself, if an answer can name its label.

        Raises:
            TrainingError: no answer can, so that all answers would have the same reward.
        """
        if self.step is not None and self.step not in self.steps:
            raise TrainingError(
                f"the label {self.step} is not among the steps that an answer may name"
            )
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
    said: Answer | Unreadable = answers.parse_blame(
        "tagged", completion, key, key.steps, abstain=key.step is None
    )
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
