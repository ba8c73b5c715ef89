"""Turn a GGUF file into a transformers checkpoint that training starts from, and compare the two.

    python -m training.base MODEL.gguf --out build/base/qwen2.5-coder-0.5b
    python -m training.base MODEL.gguf --out DIR --compare http://127.0.0.1:8115

Weights are dequantised, so the checkpoint computes what the quantised model computes, not what the
model was before it was quantised. Tokenizer and chat template come out of the same file.

With `--compare`, a llama.cpp server that has loaded the same file continues 20 prompts greedily,
and three things are counted: prompts that both format alike, prompts that both split into the same
tokens, and positions at which the checkpoint's most likely next token is the one that the server
wrote. The positions are those of the server's own text, so that a difference does not carry over to
the next position.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError, TrainingError
from agentracer.lab.natural.tasks import load_tasks
from agentracer.statistics import wilson
from training.requirements import require

__all__ = ["Agreement", "compare", "convert", "main", "prompts"]

PROMPTS = 20
TOKENS = 32  # that the server writes after each prompt
LEAST_AGREEMENT = 0.95
_SYSTEM = "You are a helpful assistant."


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a checkpoint and a llama.cpp server agree.

    Attributes:
        prompts: how many were compared.
        same_format: prompts that both chat templates format alike.
        same_tokens: prompts that both tokenizers split alike.
        positions: tokens that the server wrote.
        same_next: positions at which the checkpoint's most likely token is the server's.
    """

    prompts: int
    same_format: int
    same_tokens: int
    positions: int
    same_next: int

    @property
    def holds(self) -> bool:
        """Whether formats and tokens are the same, and at least 95 % of the next tokens."""
        return (
            self.same_format == self.same_tokens == self.prompts
            and self.same_next >= LEAST_AGREEMENT * self.positions
        )

    def __str__(self) -> str:
        low, high = wilson(self.same_next, self.positions)
        return (
            f"format: {self.same_format} of {self.prompts} prompts alike; tokens: "
            f"{self.same_tokens} of {self.prompts}; next token: {self.same_next} of "
            f"{self.positions} positions [{low:.1%}, {high:.1%}]"
        )


def convert(source: Path, out: Path) -> None:
    """Write a transformers checkpoint with tokenizer and chat template.

    Args:
        source: a GGUF file of an architecture that transformers reads.
        out: a new folder.

    Raises:
        TrainingError: the file is missing or cannot be read, or `out` exists; nothing is written.
        MissingExtra: transformers or gguf is not installed.
    """
    require("torch", "transformers", "gguf")
    if not source.is_file():
        raise TrainingError("no such file", source=source, remedy="name a GGUF file")
    if out.exists():
        raise TrainingError("exists already", source=out, remedy="name a new folder")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = AutoModelForCausalLM.from_pretrained(**place, **_dense(), dtype=torch.bfloat16)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"transformers cannot read it: {error}", source=source, remedy="name another GGUF file"
        ) from error
    if not tokenizer.chat_template:
        raise TrainingError(
            "has no chat template", source=source, remedy="name the GGUF file of a chat model"
        )
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.replace(out)


def _dense() -> dict[str, Any]:
    """Options to unpack the weights; versions of transformers without `GgufConfig` always do."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    return {} if config is None else {"quantization_config": config(dequantize=True)}


def prompts(count: int = PROMPTS) -> list[str]:
    """Return tasks of the natural teams, evenly spread over their kinds."""
    texts = [task.text for task in load_tasks().values()]
    return [texts[i * len(texts) // count] for i in range(count)]


def compare(checkpoint: Path, server: str, texts: Sequence[str]) -> Agreement:
    """Count how far a checkpoint agrees with a llama.cpp server that has loaded the same file.

    Args:
        checkpoint: a folder that `convert` wrote.
        server: the root of the server, without `/v1`.
        texts: what a user asks.

    Raises:
        TrainingError: the server does not answer as llama.cpp does.
        MissingExtra: transformers is not installed.
    """
    require("torch", "transformers")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(checkpoint))
    model = AutoModelForCausalLM.from_pretrained(str(checkpoint), dtype=torch.float32).eval()
    same_format = same_tokens = positions = same_next = 0
    for text in texts:
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        ours = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        theirs = _post(server, "/apply-template", {"messages": messages})["prompt"]
        same_format += ours == theirs
        question = tokenizer(theirs, add_special_tokens=False)["input_ids"]
        body = {"content": theirs, "add_special": False, "parse_special": True}
        same_tokens += question == _post(server, "/tokenize", body)["tokens"]
        options = {
            "n_predict": TOKENS,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
        }
        answer = _post(server, "/completion", {"prompt": question, **options})["tokens"]
        with torch.no_grad():
            logits = model(torch.tensor([question + answer])).logits[0]
        best = logits[len(question) - 1 : len(question) - 1 + len(answer)].argmax(-1).tolist()
        positions += len(answer)
        same_next += sum(a == b for a, b in zip(best, answer, strict=True))
    return Agreement(len(texts), same_format, same_tokens, positions, same_next)


def _post(server: str, path: str, body: dict[str, Any]) -> Any:
    url = server.rstrip("/").removesuffix("/v1") + path
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.load(response)
    except (OSError, ValueError, urllib.error.HTTPError) as error:
        raise TrainingError(
            f"the server does not answer as llama.cpp does: {error}",
            source=Path(url),
            remedy="start llama-server with the same GGUF file",
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Convert, and compare if a server is named; 1 if the two disagree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint; kept if it exists")
    parser.add_argument("--compare", metavar="URL", help="a llama.cpp server with the same file")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    options = parser.parse_args(argv)
    try:
        if options.compare is None or not options.out.exists():
            convert(options.source, options.out)
            print(f"checkpoint: {options.out}")
        if options.compare is None:
            return 0
        agreement = compare(options.out, options.compare, prompts(options.prompts))
    except AgentracerError as error:
        print(error, file=sys.stderr)
        return 2
    print(agreement)
    (options.out / "agreement.json").write_text(json.dumps(asdict(agreement)) + "\n")
    return 0 if agreement.holds else 1


if __name__ == "__main__":
    sys.exit(main())
