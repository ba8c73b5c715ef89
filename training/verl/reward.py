"""The reward as verl calls it: `compute_score(data_source, solution_str, ground_truth, …)`.

The same functions as under TRL. What they need of a prompt travels in the column `ground_truth`,
which `python -m training.verl.prepare` writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from training.config import Reward
from training.rewards import AnswerKey, score

__all__ = ["compute_score"]


def compute_score(
    data_source: str,  # noqa: ARG001 - verl hands it over
    solution_str: str,
    ground_truth: str | Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Score one answer.

    Args:
        data_source: not used.
        solution_str: the answer, without the prompt.
        ground_truth: an `AnswerKey` as JSON.
        extra_info: `reward`, the section of a config as JSON, where it is not the paper's.

    Returns:
        `score`, which verl optimises, and the parts that it is made of.
    """
    key = json.loads(ground_truth) if isinstance(ground_truth, str) else ground_truth
    said = (extra_info or {}).get("reward")
    settings = Reward.model_validate(json.loads(said) if isinstance(said, str) else said or {})
    found = score(solution_str, AnswerKey.from_json(key), settings)
    return {
        "score": found.total,
        "format": float(found.formed),
        "step": found.step,
        "agent": found.agent,
        "step_accuracy": float(found.step_right),
    }
