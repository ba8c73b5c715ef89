"""Generate many outputs of one model in a batch: padded prompts, one token each per pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.attribution.language_models.base import Completion
from agentracer.attribution.language_models.decoder import Decoder
from agentracer.usage import Usage

__all__ = ["CHUNK", "GenerationJob", "generate_batched"]

CHUNK = 1_024  # tokens of a prefill at a time: bounds the memory of activations and logits


@dataclass(slots=True)
class GenerationJob:
    """One output: the ids of its prompt, its decoder, and how many prompt tokens were cached."""

    ids: list[int]
    decoder: Decoder
    cached: int = 0

    def completion(self) -> Completion:
        """Return the finished output with its token counts."""
        return Completion(
            text=self.decoder.text,
            usage=Usage(
                model_calls=1,
                input_tokens=len(self.ids),
                cached_tokens=self.cached,
                output_tokens=len(self.decoder.tokens),
            ),
        )


def generate_batched(model: Any, jobs: Sequence[GenerationJob], size: int) -> None:
    """Generate the outputs of jobs, up to `size` in one batch.

    Args:
        model: a causal language model of transformers, with a cache of keys and values.
        jobs: the outputs to generate; prompts of similar length share a batch.
        size: the largest batch.
    """
    ordered = sorted(jobs, key=lambda job: len(job.ids))
    for start in range(0, len(ordered), size):
        _generate_batch(model, ordered[start : start + size])


def _generate_batch(model: Any, jobs: Sequence[GenerationJob]) -> None:
    import torch

    device = model.device
    width = max(len(job.ids) for job in jobs)
    ids = torch.zeros((len(jobs), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, job in enumerate(jobs):
        ids[row, width - len(job.ids) :] = torch.tensor(job.ids)
        mask[row, width - len(job.ids) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache: Any = None
    for start in range(0, width, CHUNK):
        end = min(start + CHUNK, width)
        logits, cache = _forward(
            model, ids[:, start:end], mask[:, :end], positions[:, start:end], cache
        )
    positions = positions[:, -1:]
    decoders = [job.decoder for job in jobs]
    while True:
        tokens = [one.next_token(logits[row : row + 1]) for row, one in enumerate(decoders)]
        active = [
            row
            for row, (one, token) in enumerate(zip(decoders, tokens, strict=True))
            if token is not None and not one.complete
        ]
        if not active:
            return
        if len(active) < len(decoders):
            # Finished outputs leave the batch.
            rows = torch.tensor(active, device=device)
            cache.batch_select_indices(rows)
            mask, positions = mask[rows], positions[rows]
            decoders = [decoders[row] for row in active]
        ids = torch.tensor([[tokens[row]] for row in active], device=device)
        mask = torch.cat([mask, mask.new_ones((len(active), 1))], dim=-1)
        positions = positions + 1
        logits, cache = _forward(model, ids, mask, positions, cache)


def _forward(model: Any, ids: Any, mask: Any, positions: Any, cache: Any) -> tuple[Any, Any]:
    """Logits after the last token of each row, and the cache."""
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1].float(), out.past_key_values
