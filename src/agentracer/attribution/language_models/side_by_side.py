"""Many outputs of one model side by side: padded prompts, a token for each in every pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.attribution.language_models.base import Completion
from agentracer.attribution.language_models.writing import Writing
from agentracer.usage import Usage

__all__ = ["CHUNK", "Job", "side_by_side"]

CHUNK = 1_024  # tokens of a prefill at a time: bounds the memory of activations and logits


@dataclass(slots=True)
class Job:
    """One output: its prompt, what is written after it, and how much of the prompt was known."""

    ids: list[int]
    writing: Writing
    cached: int = 0

    def completion(self) -> Completion:
        """What came of it."""
        return Completion(
            text=self.writing.text,
            usage=Usage(
                model_calls=1,
                input_tokens=len(self.ids),
                cached_tokens=self.cached,
                output_tokens=len(self.writing.written),
            ),
        )


def side_by_side(model: Any, jobs: Sequence[Job], size: int) -> None:
    """Write outputs, `size` at a time.

    Args:
        model: a causal language model of transformers, with a cache of keys and values.
        jobs: still unwritten; those of like length share a batch, so that little is padded.
        size: the most in one batch.
    """
    ordered = sorted(jobs, key=lambda job: len(job.ids))
    for start in range(0, len(ordered), size):
        _together(model, ordered[start : start + size])


def _together(model: Any, jobs: Sequence[Job]) -> None:
    import torch

    device = model.device
    width = max(len(job.ids) for job in jobs)
    ids = torch.zeros((len(jobs), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, job in enumerate(jobs):
        ids[row, width - len(job.ids) :] = torch.tensor(job.ids)
        mask[row, width - len(job.ids) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    cache: Any = None
    for start in range(0, width, CHUNK):
        end = min(start + CHUNK, width)
        logits, cache = _forward(
            model, ids[:, start:end], mask[:, :end], places[:, start:end], cache
        )
    places = places[:, -1:]
    writing = [job.writing for job in jobs]
    while True:
        tokens = [one.next(logits[row : row + 1]) for row, one in enumerate(writing)]
        going = [
            row
            for row, (one, token) in enumerate(zip(writing, tokens, strict=True))
            if token is not None and not one.complete
        ]
        if not going:
            return
        if len(going) < len(writing):
            # What is complete takes no more part.
            rows = torch.tensor(going, device=device)
            cache.batch_select_indices(rows)
            mask, places = mask[rows], places[rows]
            writing = [writing[row] for row in going]
        ids = torch.tensor([[tokens[row]] for row in going], device=device)
        mask = torch.cat([mask, mask.new_ones((len(going), 1))], dim=-1)
        places = places + 1
        logits, cache = _forward(model, ids, mask, places, cache)


def _forward(model: Any, ids: Any, mask: Any, places: Any, cache: Any) -> tuple[Any, Any]:
    """Logits after the last token of each row, and the cache."""
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=places,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1].float(), out.past_key_values
