"""SFT and GRPO through their own front, with a model of a few thousand weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra [train]; `make test-train` has it")
pytest.importorskip("trl", reason="needs the extra [train]; `make test-train` has it")
pytest.importorskip("datasets", reason="needs the extra [train]; `make test-train` has it")

from safetensors.torch import load_file  # noqa: E402
from training.config import load  # noqa: E402
from training.logs import DecayingClip  # noqa: E402

from agentracer.attribution import Tracer  # noqa: E402
from agentracer.errors import TrainingError  # noqa: E402
from agentracer.formats import tracertraj  # noqa: E402
from training import corpus, data, evaluate, export, grpo, logs, sft, stages, tiny, tokens  # noqa: E402

from .rows import row, write  # noqa: E402

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tokenizer and random weights; nothing here depends on what the model has learnt."""
    folder = tmp_path_factory.mktemp("base")
    torch.set_num_threads(1)
    texts = [json.dumps(row(n)) for n in range(20)]
    return tiny.make(folder, texts, hidden=32, layers=1, heads=2, context=1_024)


@pytest.fixture
def written(base, tmp_path):
    """A config file for that model."""
    return configured(base, tmp_path)


def configured(base, folder, **changes):
    train = write(folder / "train.jsonl", [row(n) for n in range(12)])
    whole = {
        "name": "test",
        "output": str(folder / "out"),
        "threads": 1,
        "model": {"path": str(base)},
        "data": {
            "train": [train],
            "held_out": 0.2,
            "context": 1_024,
            "answer_tokens": 256,
            "augment": {"copies": 1},
        },
        "sft": {"steps": 2, "batch": 4, "micro_batch": 2, "learning_rate": 1e-3},
        "grpo": {
            "steps": 4,
            "batch": 2,
            "group": 2,
            "micro_batch": 4,
            "learning_rate": 1e-3,
            "save_every": 1,
            "start": "model",
        },
        "evaluation": {"traces": 2, "batch": 2},
    }
    for name, value in changes.items():
        section, _, field = name.partition("__")
        whole[section] = {**whole[section], field: value} if field else value
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(whole))
    return file


def test_a_batch_without_a_mask_gives_each_text_the_loss_that_it_has_alone(base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base).eval()
    collate = sft._unmasked(AutoTokenizer.from_pretrained(base))
    rows = [{"input_ids": list(range(5, 5 + n)), "labels": list(range(5, 5 + n))} for n in (9, 4)]
    batch = collate(rows)
    assert batch["attention_mask"].all()
    assert batch["labels"].tolist()[1] == [5, 6, 7, 8] + [-100] * 5
    with torch.no_grad():
        together = model(**batch).loss * (8 + 3)
        alone = sum(model(**collate([one])).loss * (len(one["labels"]) - 1) for one in rows)
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)


def learnt(base, folder, **changes):
    """The prompts of a config, and what of each sequence is learnt, as text."""
    config = load(configured(base, folder, **changes))
    tokenizer = tokens.load_tokenizer(config)
    prompts = data.examples(corpus.load(config.data).train, tokenizer, config.data)
    rows = sft._rows(prompts, tokenizer, config)
    kept = [[token for token in one["labels"] if token != -100] for one in rows]
    return prompts, [tokenizer.decode(one) for one in kept]


def test_of_a_sequence_the_solution_is_learnt_and_the_prompt_where_asked(base, tmp_path):
    assert all(one.startswith("<think>") for one in learnt(base, tmp_path)[1])
    for one in learnt(base, tmp_path, sft__prompt_loss=1.0)[1]:
        assert "You find the decisive error" in one
        assert "<think>\n" in one


def test_where_asked_only_what_is_said_of_the_decisive_step_is_learnt(base, tmp_path):
    prompts, texts = learnt(base, tmp_path, sft__decisive_only=1.0)
    for example, text in zip(prompts, texts, strict=True):
        label = example.judge_prompt.view.labels[example.step]
        assert text.lstrip().startswith(f"[{label}]")
        assert f"With [{label}] corrected" in text
        assert f"|{label}</answer>" in text


def test_both_stages_run_and_a_tracer_loads_what_comes_out(base, tmp_path):
    config = load(configured(base, tmp_path, grpo__start="sft"))
    sft.train(config, quiet=True)
    folder = grpo.train(config, quiet=True)
    trace = corpus.load(config.data).test[0]
    verdict = Tracer(f"transformers:{folder}?device=cpu").attribute(trace)
    assert verdict.abstained or verdict.agent in trace.observed.agent_names
    lines = [
        json.loads(line) for line in (config.folder / "metrics.jsonl").read_text().splitlines()
    ]
    for stage in ("sft", "grpo"):
        said = [line for line in lines if line["stage"] == stage]
        assert any("held_out/step" in line and "held_out/rule/step" in line for line in said)
        assert any("loss" in line for line in said)
    assert any("format" in line and "reward" in line for line in lines)
    assert list(config.folder.glob("grpo/**/events.out.tfevents*"))


def test_held_out_answers_are_those_that_a_tracer_gets(base, tmp_path):
    config = load(configured(base, tmp_path))
    sft.train(config, quiet=True)
    traces = corpus.load(config.data).test
    tokenizer = tokens.load_tokenizer(config)
    prompts = data.examples(traces, tokenizer, config.data)
    model = stages.base_model(config.folder / "sft", config)
    texts = evaluate.generated(model, tokenizer, prompts, tokens=256, batch=2)
    batched = evaluate.predictions(prompts, texts)
    through = evaluate.by_tracer(config.folder / "sft", traces)
    for ours, theirs in zip(batched, through, strict=True):
        # A model that has learnt nothing breaks the form, which a Tracer does not let it do.
        assert ours.abstained or (ours.agent, ours.step) == (theirs.agent, theirs.step)


# A model that has learnt nothing never gets past the format gate, and would learn nothing from it.
DRIVER = """
import sys
from training import grpo, rewards
rewards.grpo_reward = lambda keys, settings: (
    lambda completions, **_: [float(len(text) % 7) for text in completions]
)
sys.exit(grpo.main(["--config", sys.argv[1]]))
"""


def run(file):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(file)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_run_that_was_killed_goes_on_exactly(base, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        configured(base, folder)
    assert run(whole / "config.yaml").wait(600) == 0
    process = run(cut / "config.yaml")
    marked = cut / "out/grpo/checkpoint-2/complete.json"
    until = time.monotonic() + 600
    while not marked.is_file() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "out/grpo/agentracer.json").exists(), "it had ended before it was killed"
    # Killed while it wrote the next checkpoint: what is there of that is not gone on from.
    half = cut / "out/grpo/checkpoint-9"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert run(cut / "config.yaml").wait(600) == 0
    assert not half.exists()
    one, other = (load_file(at / "out/grpo/model.safetensors") for at in (whole, cut))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    start = load_file(base / "model.safetensors")
    assert any(not torch.equal(one[name], start[name]) for name in start if name in one)


def test_muon_takes_the_matrices_inside_and_adam_the_rest(base, tmp_path):
    changes = {"sft__optimizer": "muon", "sft__learning_rate": 0.01}
    config = load(configured(base, tmp_path, **changes))
    model = stages.base_model(base, config)
    optimizer, _ = stages.optimizers(model, config.sft)
    names = {id(weight): name for name, weight in model.named_parameters()}
    inside, rest = (
        {names[id(weight)] for weight in group["params"]} for group in optimizer.param_groups
    )
    assert inside | rest == set(names.values())
    assert all("_proj" in name for name in inside)
    assert not any("_proj" in name for name in rest)
    sft.train(config, quiet=True)
    after, before = (load_file(at / "model.safetensors") for at in (config.folder / "sft", base))
    assert all(not torch.equal(after[name], before[name]) for name in inside)


def losing(base, folder, text):
    """The tokenizer of the base, with a token that is lost in decoding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": [text]})
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data__context": 2_048}, "the model has 1024 positions"),
        ({"data__context": 160, "data__answer_tokens": 40}, "no prompt: a budget of 120 tokens"),
        ({"data__answer_tokens": 20}, "does not fit 19 tokens"),
        ({"model__path": "nowhere"}, "no tokenizer in 'nowhere'"),
        ({"data__train": ["none.jsonl"]}, "no such file"),
        ({"grpo__group": 1}, "group 1"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(base, tmp_path, capsys, changes, problem):
    file = configured(base, tmp_path, **changes)
    stage = sft if "answer_tokens" in str(changes) and len(changes) == 1 else grpo
    assert stage.main(["--config", str(file)]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert "remedy" in told or "group" in told
    assert not (tmp_path / "out/metrics.jsonl").exists()


def test_a_tokenizer_that_loses_the_form_of_an_answer_is_refused(base, tmp_path):
    place = losing(base, tmp_path / "tokenizer", "<think>")
    config = load(configured(base, tmp_path, model__tokenizer=place))
    with pytest.raises(TrainingError, match="loses '<think>' in decoding"):
        grpo.train(config, quiet=True)


def test_a_tokenizer_without_an_end_is_refused(base):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokens.check_tokenizer(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    with pytest.raises(TrainingError, match="the same"):
        tokens.check_tokenizer(tokenizer)
    tokenizer.pad_token = None
    with pytest.raises(TrainingError, match="no pad_token"):
        tokens.check_tokenizer(tokenizer)


def test_there_is_no_grpo_without_its_warm_start(base, tmp_path):
    config = load(configured(base, tmp_path, grpo__start="sft"))
    with pytest.raises(TrainingError, match="no warm start"):
        grpo.train(config, quiet=True)


def test_the_clip_bound_decays_to_a_fifth():
    clip = DecayingClip(0.2)
    assert [round(clip.bound(step, 100), 3) for step in (0, 50, 79, 90, 100)] == [
        *(0.2, 0.1, 0.042, 0.04, 0.04)
    ]


def test_the_decaying_bound_reaches_the_trainer_and_acts_off_policy(base, tmp_path):
    config = load(
        configured(
            base,
            tmp_path,
            grpo__epsilon_decays=True,
            grpo__epsilon=0.001,
            grpo__batches_per_generation=2,
            grpo__iterations=2,
            grpo__save_every=0,
        )
    )
    seen = []
    before = DecayingClip.on_step_begin

    def watch(self, args, state, control, **more):
        before(self, args, state, control, **more)
        seen.append(self.trainer.epsilon_low)

    DecayingClip.on_step_begin = watch
    try:
        grpo.train(config, quiet=True)
    finally:
        DecayingClip.on_step_begin = before
    assert seen == pytest.approx([0.001, 0.00075, 0.0005, 0.00025])


def test_an_adapter_is_exported_and_loaded_as_one_and_merged(base, tmp_path):
    config = load(configured(base, tmp_path, lora={"rank": 4, "alpha": 8}, grpo__save_every=0))
    folder = grpo.train(config, quiet=True)
    assert (folder / "adapter_config.json").is_file()
    trace = corpus.load(config.data).test[0]
    results = tmp_path / "results.json"
    said = evaluate.by_tracer(folder, [trace], settings="?device=cpu")
    results.write_text(
        json.dumps(
            {"held-out": {"tracer": evaluate.summary(said), "rules": evaluate.rules([trace])}}
        )
    )
    for merge in (False, True):
        out = export.export(folder, results, config, tmp_path / f"tracer-{merge}", merge=merge)
        assert (out / "adapter_config.json").is_file() != merge
        assert "LoRA adapter" in (out / "README.md").read_text() or merge
        again = evaluate.by_tracer(out, [trace], settings="?device=cpu")
        assert [(one.agent, one.step) for one in again] == [(one.agent, one.step) for one in said]


def test_progress_and_metrics_survive_a_log_without_numbers(tmp_path):
    lines = logs.JsonLines(tmp_path / "metrics.jsonl", "grpo")
    lines.write(3, {"reward": 0.5, "words": "none"})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["reward"] == 0.5


def test_the_tiny_tokenizer_gives_back_any_text(base):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    for text in ("Größe: 3 € [bc]\n| <think>", "\x00\t日本", json.dumps(row())):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
    trace = tracertraj.trace_of(row())
    assert len(
        data.examples([trace], tokenizer, load(ROOT / "training/configs/tiny-cpu.yaml").data)
    )
