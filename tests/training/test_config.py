"""A config is checked as a whole before anything is loaded; every one that ships is whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from training.config import load

from agentracer.errors import TrainingError
from training import estimate

CONFIGS = Path(__file__).parents[2] / "training/configs"
OURS = sorted(path for path in CONFIGS.glob("*.yaml") if not path.name.startswith("fsdp"))

WHOLE = """\
name: a
output: out
model: {path: base}
data: {train: [train.jsonl]}
grpo: {steps: 10}
"""


def config(tmp_path, text=WHOLE, *changes):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load(file, changes)


def test_the_defaults_are_those_of_the_paper(tmp_path):
    found = config(tmp_path)
    assert (found.grpo.batch, found.grpo.group, found.grpo.learning_rate) == (32, 8, 1e-6)
    assert found.grpo.beta == 0.0
    assert (found.reward.kind, found.reward.step_weight, found.reward.sigma) == ("graded", 0.5, 1.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("grpo.group=1", "group 1: an answer is compared with others"),
        ("grpo.steps=0", "grpo.steps"),
        ("grpo.learningrate=1", "grpo.learningrate"),
        ("reward.step_weight=1.5", "reward.step_weight"),
        ("reward.kind=fine", "reward.kind"),
        ("data.train=null", "data.train"),
        ("data.answer_tokens=20000", "more than a quarter of context"),
        ("grpo.micro_batch=7", "no multiple of micro_batch"),
        ("model.dtype=int8", "model.dtype"),
        ("name=null", "name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, problem):
    with pytest.raises(TrainingError) as caught:
        config(tmp_path, WHOLE, change)
    assert problem in str(caught.value)
    assert "config.yaml" in str(caught.value)


def test_a_file_that_is_no_config_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    for text in ("- a\n- b\n", "a: [", ""):
        with pytest.raises(TrainingError):
            config(tmp_path, text)
    with pytest.raises(TrainingError, match="no field=value"):
        config(tmp_path, WHOLE, "seed")


def test_fields_can_be_changed_on_the_command_line(tmp_path):
    found = config(tmp_path, WHOLE, "seed=3", "reward.sigma=2.5", "sft.steps=4")
    assert (found.seed, found.reward.sigma, found.sft.steps) == (3, 2.5, 4)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_every_config_that_ships_is_whole(path):
    found = load(path)
    assert found.grpo is not None
    assert found.sft is not None


def test_the_ablations_differ_from_the_tiny_config_in_the_reward_alone():
    whole = load(CONFIGS / "tiny-cpu.yaml")
    for name in ("step-only", "agent-only", "binary"):
        other = load(CONFIGS / f"tiny-cpu-{name}.yaml")
        assert other.reward != whole.reward
        assert other.model_copy(update={"reward": whole.reward, "name": whole.name}) == whole


def test_the_full_recipe_is_that_of_the_paper():
    found = load(CONFIGS / "qwen3-8b-full-8gpu.yaml")
    assert (found.grpo.batch, found.grpo.group, found.grpo.learning_rate) == (32, 8, 1e-6)
    assert found.grpo.epsilon_decays
    assert found.grpo.batches_per_generation > 1  # else no bound ever acts
    assert found.model.dtype == "float32"  # steps of 1e-6 vanish in bfloat16
    assert found.lora is None


# -- the dry run


def test_the_dry_run_shows_its_arithmetic():
    found = load(CONFIGS / "qwen3-8b-lora-1xH200.yaml")
    model = estimate.shape(found)
    assert model.kv_bytes == 144 * 1024  # 2 x 36 layers x 8 heads x 128 x 2 bytes
    assert model.adapter(64) == pytest.approx(175e6, rel=0.01)
    need = estimate.memory(found, model)
    assert need.weights == 8_190_735_360 * 2
    assert need.states == model.adapter(64) * 16
    assert need.rollout == pytest.approx(0.35 * 139 * 2**30)
    text = estimate.report(found)
    for said in ("144.0 KiB a token", "174,587,904", "passes of 2 x 7.57e9", "in all of 139"):
        assert said in text


def test_the_dry_run_says_what_does_not_fit():
    found = load(CONFIGS / "qwen3-8b-full-8gpu.yaml", ["devices=1"])
    assert "DOES NOT FIT" in estimate.report(found)
    assert "DOES NOT FIT" not in estimate.report(load(CONFIGS / "qwen3-8b-full-8gpu.yaml"))


def test_a_model_of_unknown_size_is_an_error():
    found = load(CONFIGS / "tiny-cpu.yaml", ["model.path=/nowhere"])
    with pytest.raises(TrainingError, match="how large the model is"):
        estimate.report(found)


@pytest.mark.parametrize("stage", ["sft", "grpo"])
@pytest.mark.parametrize("missing", [("yaml",), ("torch", "transformers", "trl", "datasets")])
def test_without_the_extra_a_stage_ends_in_an_error_that_names_the_pip_line(stage, missing):
    options = ["--config", "training/configs/tiny-cpu.yaml"]
    if "yaml" in missing:
        options.append("--dry-run")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        f"from training import {stage}; sys.exit({stage}.main({options!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=CONFIGS.parents[1],
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: training a tracer")
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr
