"""How fast a language model attributes: prefill and decode, traces a minute, peak memory.

    python benchmarks/llm.py                  random weights: Qwen3-8B on a GPU, tiny without one
    python benchmarks/llm.py --model PATH     a checkpoint of yours
    python benchmarks/llm.py --logs DIR       Who&When logs, otherwise synthetic ones

Random weights answer nonsense, at the speed of trained ones: every answer is forced into its form,
and reasoning runs to its limit (`--answer`), which is the worst case.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentracer.attribution import Tracer
from agentracer.attribution.judge import LanguageModelBackend
from agentracer.attribution.language_models.base import (
    ChatMessage,
    OutputGrammar,
    Request,
    Sampling,
)
from agentracer.attribution.language_models.transformers_local import TransformersModel
from agentracer.formats import whowhen
from agentracer.trace import Observed, Outcome, Step, Trace

QWEN3_8B = {
    "hidden_size": 4_096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
    "tie_word_embeddings": False,
}
TINY = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 8_192,
    "tie_word_embeddings": True,
}


def main() -> None:
    asked = _arguments()
    import torch

    gpu = torch.cuda.is_available()
    if not gpu:
        torch.set_num_threads(asked.threads)
    traces = _traces(asked.logs, asked.runs)
    with tempfile.TemporaryDirectory() as folder:
        path = asked.model or _random_model(Path(folder), traces, large=gpu and not asked.tiny)
        dtype = "bfloat16" if gpu else "float32"
        model = TransformersModel(f"{path}?dtype={dtype}&format=tagged&context={asked.context}")
        told = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": _machine(gpu),
            "model": asked.model or ("Qwen3-8B, random" if gpu and not asked.tiny else "tiny"),
            **model.versions,
            **_speed(model, asked.prompt, asked.decode),
            **_attribution(model, traces, asked.answer),
            "peak_memory_gib": round(_peak_memory(gpu) / 2**30, 2),
        }
    print(json.dumps(told, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--model", help="a checkpoint; random weights by default")
    parser.add_argument("--logs", help="a folder of Who&When logs")
    parser.add_argument("--runs", type=int, default=8, help="how many of them")
    parser.add_argument("--prompt", type=int, default=2_048, help="tokens of the speed test")
    parser.add_argument("--decode", type=int, default=128, help="tokens of the speed test")
    parser.add_argument("--answer", type=int, default=256, help="tokens of reasoning a run")
    parser.add_argument("--context", type=int, default=32_768)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="the tiny model on a GPU, too")
    return parser.parse_args()


def _random_model(path: Path, traces: list[Trace], *, large: bool) -> Path:
    """Random weights of the real shape, and a byte-pair tokenizer made from the logs."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    shape: dict[str, Any] = QWEN3_8B if large else TINY
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8_000,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([step.content for t in traces for step in t.steps], trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|im_end|>")
    config = Qwen3Config(
        **shape, max_position_embeddings=40_960, eos_token_id=tokenizer.eos_token_id
    )
    torch.manual_seed(0)
    dtype = torch.bfloat16 if large else torch.float32
    with torch.device("cuda" if large else "cpu"):
        torch.set_default_dtype(dtype)
        network = Qwen3ForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    network.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _traces(logs: str | None, runs: int) -> list[Trace]:
    if logs:
        found = whowhen.load_directory(logs)
        return [found[i * len(found) // runs] for i in range(min(runs, len(found)))]
    agents = ("Planner", "Solver", "Checker")
    text = "The figure of step {i} follows from the one before, as the table of {i} rows shows. "
    return [
        Trace(
            id=f"synthetic-{n}",
            observed=Observed(
                task="Find the figure.",
                steps=tuple(
                    Step(index=i, agent=agents[i % 3], content=text.format(i=i) * 8)
                    for i in range(10 + n)
                ),
                outcome=Outcome(success=False),
            ),
        )
        for n in range(runs)
    ]


def _speed(model: TransformersModel, prompt: int, decode: int) -> dict[str, float]:
    """Tokens a second of one prompt: reading it, and writing after it."""
    letters = "abcdefghijklmnopqrstuvwxyz "
    text = "".join(letters[i * i % 27] for i in range(prompt * 8))
    while (count := model.count_tokens(text)) > prompt:
        text = text[: len(text) * prompt // count]
    timings = []
    for wanted in (1, decode):
        # Another first letter each time: nothing may come from the prefix cache.
        request = Request(
            (ChatMessage("user", f"{wanted} {text}"),), OutputGrammar(), Sampling(max_tokens=wanted)
        )
        model.generate([request])
        request = Request(
            (ChatMessage("user", f"x{wanted} {text}"),), OutputGrammar(), request.sampling
        )
        started = time.perf_counter()
        reply = model.generate([request])[0]
        assert isinstance(reply, list), reply
        timings.append((time.perf_counter() - started, reply[0].usage))
    (short, first), (long, second) = timings
    written = max(second.output_tokens - first.output_tokens, 1)
    return {
        "prefill_tokens_per_s": round(first.prefilled_tokens / short, 1),
        "decode_tokens_per_s": round(written / max(long - short, 1e-9), 1),
    }


def _attribution(model: TransformersModel, traces: list[Trace], answer: int) -> dict[str, Any]:
    told: dict[str, Any] = {"runs": len(traces)}
    for method in ("all-at-once", "prefill"):
        backend = LanguageModelBackend(model).with_options(method=method, answer_tokens=answer)
        started = time.perf_counter()
        errors = sum(one.error is not None for one in Tracer(backend).attribute_many(traces))
        seconds = time.perf_counter() - started
        usage = backend.usage
        name = method.replace("-", "_")
        told[f"{name}_traces_per_min"] = round(60 * len(traces) / seconds, 2)
        told[f"{name}_input_tokens"] = usage.input_tokens
        told[f"{name}_output_tokens"] = usage.output_tokens
        told[f"{name}_errors"] = errors
    return told


def _machine(gpu: bool) -> str:
    import torch

    if gpu:
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"


def _peak_memory(gpu: bool) -> int:
    import torch

    if gpu:
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


if __name__ == "__main__":
    main()
