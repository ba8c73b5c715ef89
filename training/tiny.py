"""A tiny Qwen3 made from nothing: tokenizer and random weights, for runs without a GPU.

The tokenizer knows bytes, and as whole tokens what a trace of the testbed is made of again and
again: lines of the prompts, phrases, agents' names. A prompt of thousands of bytes becomes some
hundred tokens, which is what a small model on a CPU can afford. The labels of steps stay two
letters: four hundred pairs as tokens of their own were too rare for it to learn to copy them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agentracer.attribution import prompts
from training.augment import NAMES
from training.reasoning import AGREES, DIFFERS

__all__ = ["make", "network", "tokenizer"]

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_FRAME = (
    *("<think>", "</think>", "<answer>", "</answer>", "none", "system\n", "user\n", "assistant\n"),
    *("\n| ", "\n| \n| ", "\n## ", "## ", "]\n| ", "\n[", ": ", " => ", " = ", " + ", " - "),
    *(AGREES, DIFFERS),
    *("\nWith [", "] corrected, the run succeeds.", "corrected, the run still fails"),
    *("\nTASK\n| ", "\nOUTCOME\n", "\nAGENTS\n", "\nSTEPS\n", "\nEND OF THE RUN\n"),
)
_BREAKS = re.compile(r"\d|\n(?:\| |## |\[)?|\] ?|\b[A-Z]\b|\b[bcdfghjklmnpqrstvwxz]{2}\b| ?=> ?")
_FEWEST = 8  # times that a phrase is in the text
_SHORTEST = 3  # characters


def tokenizer(texts: Iterable[str], *, phrases: int = 320) -> Any:
    """Bytes, and the most frequent phrases of some text.

    Args:
        texts: prompts and solutions like those to come.
        phrases: how many phrases become a token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator((), trainer)
    lines = [line for line in prompts.lines() if line and "$" not in line]
    plain = dict.fromkeys((*lines, *_FRAME, *NAMES, *_phrases(texts, phrases)))
    # Tokens in brackets would count as structure, and be taken out of traces.
    kept = [text for text in plain if text[:1] not in "[{|" or text in _FRAME]
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in kept])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _phrases(texts: Iterable[str], count: int) -> list[str]:
    """What comes again between digits, letters, labels, names and line breaks."""
    names = re.compile("|".join(rf"\b{name}\b" for name in NAMES))
    seen: Counter[str] = Counter()
    for text in texts:
        for piece in _BREAKS.split(text):
            seen.update(names.split(piece))
    saved = {
        phrase: times * (len(phrase) - 1)
        for phrase, times in seen.items()
        if times >= _FEWEST and len(phrase) >= _SHORTEST and phrase[:1] not in "<[{|"
    }
    return sorted(saved, key=lambda phrase: (-saved[phrase], phrase))[:count]


def network(
    tok: Any,
    *,
    seed: int = 0,
    hidden: int = 128,
    layers: int = 3,
    heads: int = 4,
    context: int = 1_024,
) -> Any:
    """A randomly initialised Qwen3 for a tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=-(-len(tok) // 64) * 64,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(heads // 2, 1),
        # Qwen3 normalises queries and keys: heads this wide can still tell one token of hundreds.
        head_dim=64,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        # With the usual 0.02 a network this narrow hardly learns to copy.
        initializer_range=0.05,
        rope_theta=1_000_000.0,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def make(
    folder: Path, texts: Sequence[str], *, seed: int = 0, phrases: int = 320, **shape: int
) -> Path:
    """Write a new tokenizer and random weights to a folder."""
    tok = tokenizer(texts, phrases=phrases)
    network(tok, seed=seed, **shape).save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder
