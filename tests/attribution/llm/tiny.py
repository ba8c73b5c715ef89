"""A tiny Qwen3 that the tests make: tokenizer, synthetic failures, and a minute of training.

The failures are chains of sums modulo five by three agents; exactly one sum is wrong and later ones
go on from it. The model is trained through the very prompt and answer form of the product, with
the labels that the product draws. It shows that the plumbing carries a signal, and nothing else.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentracer.attribution import answers, prompts
from agentracer.attribution.language_models import chat
from agentracer.attribution.language_models.base import ChatMessage, Prompt
from agentracer.attribution.rendering import TraceView
from agentracer.trace import Label, Observed, Outcome, Step, Trace

AGENTS = ("Planner", "Solver", "Checker")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 4_096
BASE = 5


def failure(seed: int) -> Trace:
    """A run of 3 or 4 sums; one of them is wrong."""
    rng = random.Random(seed)
    count = rng.randint(3, 4)
    wrong, value, steps = rng.randrange(count), rng.randrange(BASE), []
    for index in range(count):
        add = rng.randrange(BASE)
        result = (value + add) % BASE
        if index == wrong:
            result = (result + rng.randrange(1, BASE)) % BASE
        steps.append(Step(index=index, agent=rng.choice(AGENTS), content=f"{value}+{add}={result}"))
        value = result
    run = Observed(
        task="Add up.", steps=tuple(steps), outcome=Outcome(success=False, answer=str(value))
    )
    return Trace(
        id=f"sum-{seed}", observed=run, labels=(Label(agent=steps[wrong].agent, step=wrong),)
    )


def question(view: TraceView) -> Prompt:
    """The prompt of the all-at-once method, as `methods` builds it."""
    told, _ = answers.instruction("tagged", abstain=False)
    body = view.prompt("trace", steps=view.steps())
    user = "\n".join((body, prompts.fill("ask_all_at_once"), told))
    return (ChatMessage("system", prompts.source("system")), ChatMessage("user", user))


def solution(trace: Trace, view: TraceView) -> str:
    """What the model is taught to write: each sum again with its right result, up to the wrong one.

    Repeating the line of the trace is what makes it learnable in a minute: copying is learnt first,
    and then the sum and the comparison need nothing but the tokens just written.
    """
    label, gutter, checks = trace.labels[0], "| " if view.defended else "", []
    for step in trace.steps[: label.step + 1]:
        a, b = map(int, step.content.partition("=")[0].split("+"))
        checks.append(f"{view.labels[step.index]}]\n{gutter}{step.content} {(a + b) % BASE}")
    named = f"{label.agent}|{view.labels[label.step]}"
    thought = "\n[".join(checks)
    return f"<think>{thought}</think><answer>{named}</answer>"


def tokenizer(texts: tuple[str, ...] = (), *, entries: int = 8_192):
    """Bytes, `entries` pieces of `texts`, the lines of our prompts, and the frame of a trace."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=max(entries, 256 + len(special)) if texts else 256 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    plain = [
        *(line for line in prompts.lines() if "$" not in line and line),
        *("<think>", "</think>", "<answer>", "</answer>", "none", *AGENTS),
        *("system\n", "user\n", "assistant\n", "\n| ", "\n## ", "]\n| ", "\n[", ": "),
        *("Add up.", "The run failed.", "Its answer:"),
    ]
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def network(tok, *, width: int = 128, layers: int = 3, heads: int = 4, context: int = CONTEXT):
    """A randomly initialised Qwen3 of a few hundred thousand weights."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=-(-len(tok) // 64) * 64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=width // heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.05,
        rope_theta=10_000.0,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def untrained(path: Path, texts: tuple[str, ...], *, context: int, entries: int = 8_192) -> None:
    """A model that knows nothing, with a tokenizer of `texts`: for prompts of real length."""
    tok = tokenizer(texts, entries=entries)
    network(tok, context=context).eval().save_pretrained(path)
    tok.save_pretrained(path)
    (path / "agentracer.json").write_text(json.dumps({"answer_format": "tagged"}))


def example(tok, seed: int) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of its solution."""
    trace = failure(seed)
    view = TraceView(trace.observed, key=str(seed), forbidden=chat.special_tokens(tok))
    encoded = chat.encode(tok, question(view))
    target = tok(solution(trace, view) + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return encoded.ids, target


def _optimizers(model, rate: float) -> tuple[Any, Any]:
    """Muon for the matrices inside, Adam for the rest: copying comes in a third of the steps."""
    import torch

    inside = {
        name: weight
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and "embed" not in name
    }
    rest = [weight for name, weight in model.named_parameters() if name not in inside]
    return (
        # Scaled so that an update is as large as Adam's would be: one rate serves both.
        torch.optim.Muon(
            list(inside.values()), lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.01, betas=(0.9, 0.98)),
    )


def train(
    path: Path,
    made: Callable[[Any, int], tuple[list[int], list[int]]] = example,
    *,
    steps: int = 400,
    batch: int = 32,
    rate: float = 2e-3,
    seconds: float = 1_500,
) -> dict[str, float]:
    """Train on examples `made` by seed, and save; stops when the loss is low.

    How much is learnt must not depend on the speed of the machine: `seconds` only ends what hangs.
    """
    import torch

    torch.set_num_threads(1)
    tok = tokenizer()
    model = network(tok).train()
    optimizers = _optimizers(model, rate)
    started, seed, low, step = time.perf_counter(), 1_000_000, 0, 0
    loss = torch.tensor(9.0)
    for step in range(1, steps + 1):
        warm = min(step / 40, 1.0) * min(1.0, 2.2 * (1.02 - step / steps))
        for group in (group for one in optimizers for group in one.param_groups):
            group["lr"] = rate * warm
        pairs = [made(tok, seed + i) for i in range(batch)]
        seed += batch
        width = max(len(a) + len(b) for a, b in pairs)
        ids = torch.full((batch, width), tok.pad_token_id)
        labels = torch.full((batch, width), -100)
        for row, (prompt, target) in enumerate(pairs):
            ids[row, : len(prompt) + len(target)] = torch.tensor(prompt + target)
            labels[row, len(prompt) : len(prompt) + len(target)] = torch.tensor(target)
        loss = model(input_ids=ids, attention_mask=ids != tok.pad_token_id, labels=labels).loss
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in optimizers:
            one.step()
        low = low + 1 if loss.item() < 0.01 else 0
        if step % 50 == 0:
            print(step, f"loss {loss.item():.4f}", f"{time.perf_counter() - started:.0f} s", width)
        if low >= 10:
            break
        if time.perf_counter() - started > seconds:
            raise TimeoutError(f"{step} of {steps} steps of training took {seconds:.0f} s")
    model.eval().save_pretrained(path)
    tok.save_pretrained(path)
    (path / "agentracer.json").write_text(json.dumps({"answer_format": "tagged"}))
    return {"steps": step, "seconds": time.perf_counter() - started, "loss": loss.item()}
