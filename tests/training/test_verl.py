"""What verl is handed: the same prompts, the same reward. Its trainer is not run here."""

import json

import pytest
from training.config import Config, Reward
from training.verl.prepare import rows
from training.verl.reward import compute_score

from agentracer.formats import tracertraj
from training import data, rewards

from .rows import Words, row


@pytest.fixture
def config():
    return Config.model_validate(
        {
            "name": "verl",
            "output": "out",
            "model": {"path": "base"},
            "data": {"train": ["-"], "context": 4_000, "answer_tokens": 500},
            "reward": {"sigma": 2.0},
        }
    )


@pytest.fixture
def prompts(config):
    traces = [tracertraj.trace_of(row(n)) for n in range(3)]
    return data.examples(traces, Words(), config.data)


def test_rows_have_the_layout_of_verl_and_the_prompt_of_a_tracer(config, prompts):
    for made, prompt in zip(rows(prompts, config, "train"), prompts, strict=True):
        assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} == made.keys()
        assert [turn["content"] for turn in made["prompt"]] == [t.content for t in prompt.prompt]
        assert json.loads(made["reward_model"]["ground_truth"])["step"] == 2


def test_the_reward_is_the_one_of_trl(config, prompts):
    made = rows(prompts, config, "train")[0]
    key = rewards.answer_key(prompts[0].judge_prompt, prompts[0].step, prompts[0].agent)
    labels = prompts[0].judge_prompt.view.labels
    for step, agent in ((2, "Solver"), (1, "Solver"), (0, "Planner"), (3, "Solver")):
        text = f"<think>so</think><answer>{agent}|{labels[step]}</answer>"
        found = compute_score("x", text, made["reward_model"]["ground_truth"], made["extra_info"])
        assert found["score"] == rewards.score(text, key, Reward(sigma=2.0)).total
    assert compute_score("x", "nonsense", made["reward_model"]["ground_truth"])["score"] == 0.0


def test_the_layout_survives_parquet(config, prompts, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    from training.verl.prepare import _write

    made = rows(prompts, config, "test")
    _write(tmp_path / "test.parquet", made)
    assert parquet.read_table(tmp_path / "test.parquet").to_pylist() == made
