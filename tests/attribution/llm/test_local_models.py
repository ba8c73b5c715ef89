"""Specs of models in this process: what they need, what they refuse, adapters."""

import json
import subprocess
import sys

import pytest

from agentracer.attribution import Tracer, known_models
from agentracer.attribution.language_models import specs, vllm_local
from agentracer.errors import MissingExtra, UnknownModel

LOCAL = ("transformers", "vllm", "embedded+transformers", "embedded+vllm")


@pytest.fixture
def no_libraries(monkeypatch):
    monkeypatch.setattr(specs, "find_spec", lambda name: None)


@pytest.fixture
def all_libraries(monkeypatch):
    monkeypatch.setattr(specs, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("spec", "extra"),
    [
        ("transformers:/model", "transformers"),
        ("vllm:/model", "vllm"),
        ("openai:m@http://localhost/v1", "openai"),
        ("embedded+openai:m@http://localhost/v1", "openai"),
    ],
)
def test_a_missing_extra_is_an_error_with_the_pip_line(no_libraries, spec, extra):
    with pytest.raises(MissingExtra, match="pip install") as caught:
        Tracer(spec)
    assert f"[{extra}]" in str(caught.value)


def test_the_schemes_are_known():
    assert set(LOCAL) | {"openai", "embedded+openai", "embedded"} <= set(known_models())


@pytest.mark.parametrize("scheme", ["transformers", "vllm"])
@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("", "names no model"),
        ("/no/such/folder", "no folder"),
        ("/tmp?colour=red", "unknown settings"),
        ("/tmp?lora=/no/such/adapter", "/no/such/adapter/adapter_config.json"),
        ("/tmp?format=xml", "not an answer format"),
        ("/tmp?context=-1", "context='-1' is not a positive integer"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(all_libraries, scheme, argument, problem):
    with pytest.raises(UnknownModel, match=problem):
        Tracer(f"{scheme}:{argument}")


def test_a_checkpoint_may_say_how_it_was_trained_to_answer(all_libraries, tmp_path):
    spec = f"transformers:{tmp_path}"
    assert Tracer(spec).backend.model.answer_format == "json"
    (tmp_path / "agentracer.json").write_text('{"answer_format": "tagged"}')
    assert Tracer(spec).backend.model.answer_format == "tagged"
    assert Tracer(f"{spec}?format=json").backend.model.answer_format == "json"


def test_rerank_is_the_method_of_the_plus_specs(all_libraries, tmp_path):
    assert Tracer(f"embedded+transformers:{tmp_path}").backend.method == "rerank"


def test_making_a_tracer_loads_no_model_library(tmp_path):
    home = "agentracer.attribution.language_models"
    modules = [
        f"{home}.{name}" for name in ("transformers_local", "vllm_local", "openai_compatible")
    ]
    code = (
        f"import sys, agentracer.attribution.judge, {', '.join(modules)};"
        "names = 'torch transformers vllm openai xgrammar'.split();"
        "print([m for m in names if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("config", "room"),
    [({"r": 8}, 8), ({"r": 9}, 16), ({"r": 4, "rank_pattern": {"q_proj": 100}}, 128)],
)
def test_vllm_makes_room_for_the_rank_of_the_adapter(tmp_path, config, room):
    (tmp_path / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": "base"})
    )
    assert vllm_local._rank(str(tmp_path)) == room


def test_an_adapter_that_is_too_large_for_vllm_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 1024, "base_model_name_or_path": "base"}')
    with pytest.raises(UnknownModel, match="merge it into its base"):
        vllm_local._rank(str(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_an_adapter_is_loaded_with_its_base(tiny_model, tmp_path):
    """A fresh adapter changes nothing, one with weights does; either names its base itself."""
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    from . import tiny

    traces = [tiny.failure(seed) for seed in range(6)]

    def said(spec):
        tracer = Tracer(spec)
        tracer.backend = tracer.backend.with_options(answer_tokens=120)
        return [tracer.attribute(trace).reason for trace in traces]

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    torch.manual_seed(0)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "fresh")
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapted.save_pretrained(tmp_path / "trained")
    (tmp_path / "trained" / "agentracer.json").write_text(json.dumps({"answer_format": "tagged"}))

    base = said(f"transformers:{tiny_model}?dtype=float32&device=cpu")
    fresh = f"transformers:{tmp_path}/fresh?dtype=float32&device=cpu&format=tagged"
    assert said(fresh) == base
    trained = f"transformers:{tiny_model}?lora={tmp_path}/trained&dtype=float32&device=cpu"
    assert said(trained) != base
