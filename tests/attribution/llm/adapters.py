"""A LoRA adapter written by hand, and its weights merged: what backends must agree on."""

from __future__ import annotations

import json
from pathlib import Path

RANK, ALPHA = 4, 8
TARGETS = ("q_proj", "v_proj")


def made(base: Path, folder: Path, *, size: float = 0.12) -> tuple[Path, Path]:
    """Folders of an adapter for `base`, and of `base` with that adapter merged into it."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    draw, weights = torch.Generator().manual_seed(0), {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in TARGETS:
            down = size * torch.randn(RANK, module.in_features, generator=draw)
            up = size * torch.randn(module.out_features, RANK, generator=draw)
            module.weight.data += ALPHA / RANK * up @ down
            weights[f"base_model.model.{name}.lora_A.weight"] = down
            weights[f"base_model.model.{name}.lora_B.weight"] = up
    adapter, merged = folder / "adapter", folder / "merged"
    adapter.mkdir()
    save_file(weights, adapter / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": list(TARGETS),
        "bias": "none",
    }
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    model.save_pretrained(merged)
    AutoTokenizer.from_pretrained(base).save_pretrained(merged)
    for place in (adapter, merged):
        (place / "agentracer.json").write_text(json.dumps({"answer_format": "tagged"}))
    return adapter, merged
