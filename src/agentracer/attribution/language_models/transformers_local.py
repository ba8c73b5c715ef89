"""A model in this process through transformers: `transformers:PATH`, on CPU or GPU.

One prompt at a time, with the keys and values of the prompt before kept: prompts that begin alike
(the steps of one run, the samples of one question) are computed once. With `?batch=16`, up to 16
outputs are written side by side instead (see `side_by_side`): more memory, fewer passes. For real
throughput there is `vllm:`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentracer.attribution.language_models import chat, specs
from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    Prompt,
    Reply,
    Request,
    Span,
    SpanScore,
)
from agentracer.attribution.language_models.grammar import Grammars
from agentracer.attribution.language_models.side_by_side import CHUNK, Job, side_by_side
from agentracer.attribution.language_models.writing import Writing
from agentracer.errors import UnknownModel
from agentracer.usage import Usage

__all__ = ["TransformersModel"]

_SETTINGS = ("lora", "format", "device", "dtype", "context", "batch")
_LOOKING = 24  # last tokens of a prompt whose attention is read
_UNEXPECTED = 4  # the surprise of a span is that of its least expected quarter


class TransformersModel:
    """A causal language model of the transformers library.

    Args:
        argument: `PATH`, then perhaps
            `?lora=PATH&format=tagged&device=cuda&dtype=bfloat16&context=8192&batch=16`.

    Raises:
        UnknownModel: there is no such model on disk.
        MissingExtra: the extra [transformers] is not installed.
    """

    remote = False

    def __init__(self, argument: str) -> None:
        specs.need("transformers", "torch", "transformers", "xgrammar")
        place, settings = specs.place_and_settings("transformers", argument, _SETTINGS)
        self.found = chat.checkpoint("transformers", place, settings)
        if self.found.adapter:
            specs.need("transformers", "peft")
        self.name = f"transformers:{place}"
        self.answer_format = self.found.answer_format
        self._settings = settings
        self._context = specs.whole_number("transformers", settings, "context")
        self.batch = specs.whole_number("transformers", settings, "batch") or 1
        self._lock = threading.RLock()
        self._made: tuple[Any, Any, Grammars] | None = None
        self._past: tuple[list[int], Any] = ([], None)

    def _parts(self) -> tuple[Any, Any, Grammars]:
        """Model, tokenizer and grammars; loaded when first needed."""
        with self._lock:
            if self._made is None:
                self._made = self._load()
            return self._made

    def _load(self) -> tuple[Any, Any, Grammars]:
        import torch
        from transformers import AutoModelForCausalLM

        tokenizer = chat.load_tokenizer("transformers", self.found)
        device = self._settings.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = self._settings.get("dtype", "auto")
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                self.found.base, dtype=dtype, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise UnknownModel(
                f"{self.name} cannot be loaded: {error}\n"
                "  remedy: nothing is downloaded; name a folder that holds the model"
            ) from error
        if self.found.adapter:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, self.found.adapter).merge_and_unload()
        model = model.to(device).eval()
        stop = _stops(model, tokenizer)
        return model, tokenizer, Grammars(tokenizer, _rows(model), stop)

    @property
    def context_length(self) -> int | None:
        """As the model's configuration or the spec says."""
        limit = self._context or getattr(self._parts()[0].config, "max_position_embeddings", None)
        return limit if isinstance(limit, int) else None

    @property
    def special_tokens(self) -> frozenset[str]:
        """Those of the tokenizer."""
        return chat.special_tokens(self._parts()[1])

    @property
    def versions(self) -> dict[str, str]:
        """Libraries, number format and device: a verdict may differ between them."""
        import torch
        import transformers

        model = self._parts()[0]
        return {
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": model.device.type,
        }

    def count_tokens(self, text: str) -> int:
        """By the model's tokenizer."""
        tokenizer = self._parts()[1]
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return len(ids)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request: its samples one after the other, or many outputs side by side."""
        import torch

        with self._lock, torch.inference_mode():
            jobs = [self._jobs(request) for request in requests]
            every = [job for found in jobs if isinstance(found, list) for job in found]
            if self.batch > 1:
                side_by_side(self._parts()[0], every, self.batch)
            else:
                for job in every:
                    self._write(job)
        return [
            [job.completion() for job in found] if isinstance(found, list) else found
            for found in jobs
        ]

    def _jobs(self, request: Request) -> list[Job] | ContextExceeded:
        """The outputs of a request, still to be written."""
        model, tokenizer, grammars = self._parts()
        form, sampling = request.form, request.sampling
        # Models that can think do so by their template; JSON has its reasoning inside.
        encoded = chat.encode(
            tokenizer, request.prompt, form.lead, thinking=form.schema is None and bool(form.until)
        )
        limit = self.context_length
        if limit is not None and len(encoded.ids) >= limit:
            return ContextExceeded(
                f"a prompt of {len(encoded.ids)} tokens does not fit {self.name}", limit=limit
            )
        if limit is not None:
            room = min(sampling.max_tokens, limit - len(encoded.ids))
            sampling = replace(sampling, max_tokens=room)
        stop = frozenset(_stops(model, tokenizer))
        return [
            Job(
                encoded.ids,
                Writing(form, sampling, number, tokenizer=tokenizer, grammars=grammars, stop=stop),
            )
            for number in range(sampling.n)
        ]

    def _write(self, job: Job) -> None:
        """One output, with what is kept of the prompt before."""
        logits = self._prefill(job)
        while (token := job.writing.next(logits)) is not None and not job.writing.complete:
            logits = self._forward([token])

    def _prefill(self, job: Job) -> Any:
        """Logits after its prompt, computing only what does not begin like the one before."""
        ids = job.ids
        known, cache = self._past
        shared = 0
        # The last token is always computed: its logits are what is wanted.
        for a, b in zip(known, ids[:-1], strict=False):
            if a != b:
                break
            shared += 1
        if cache is not None and shared:
            if shared < len(known):
                cache.crop(shared - len(known))
            self._past = (known[:shared], cache)
        else:
            shared, self._past = 0, ([], None)
        job.cached = shared
        logits = None
        for start in range(shared, len(ids), CHUNK):
            logits = self._forward(ids[start : start + CHUNK])
        return logits

    def _forward(self, ids: list[int], **wanted: Any) -> Any:
        """Read some more tokens; the logits after the last one (or all that is `wanted`)."""
        import torch

        model = self._parts()[0]
        known, cache = self._past
        keep = 0 if wanted else 1
        out = model(
            input_ids=torch.tensor([ids], device=model.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
            **wanted,
        )
        self._past = (known + ids, out.past_key_values)
        return out if wanted else out.logits[:, -1].float()

    def score(self, prompt: Prompt, spans: Sequence[Span]) -> tuple[list[SpanScore], Completion]:
        """Surprise of every span, and the attention that the end of the prompt pays to it."""
        import torch

        with self._lock, torch.inference_mode():
            encoded = chat.encode(self._parts()[1], prompt)
            # What the template adds after the question is the same in every prompt.
            end = max(i for i, at in enumerate(encoded.offsets) if at is not None) + 1
            ids = encoded.ids[:end]
            surprises = self._surprises(ids[:-_LOOKING])
            attention = self._attention(ids[-_LOOKING:])
            self._past = ([], None)
        scores = [_span_score(encoded.tokens_of(span), surprises, attention) for span in spans]
        return scores, Completion(text="", usage=Usage(model_calls=1, input_tokens=len(ids)))

    def _surprises(self, ids: list[int]) -> list[float]:
        import torch

        self._past = ([], None)
        found = [0.0]  # nothing comes before the first token
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            out = self._forward(chunk, output_attentions=False)
            after = ids[start + 1 : start + 1 + len(chunk)]
            logs = torch.log_softmax(out.logits[0, : len(after)].float(), dim=-1)
            at = torch.tensor(after, device=logs.device)
            found += (-logs.gather(1, at[:, None])[:, 0]).tolist()
        return found

    def _attention(self, ids: list[int]) -> list[float] | None:
        """Weight of every token for the last ones, over heads and the upper half of layers."""
        model = self._parts()[0]
        before = model.config._attn_implementation
        try:
            model.set_attn_implementation("eager")
            out = self._forward(ids, output_attentions=True)
        finally:
            model.set_attn_implementation(before)
        if not out.attentions:
            return None
        upper = out.attentions[len(out.attentions) // 2 :]
        weights = sum(layer[0].float().mean(dim=(0, 1)) for layer in upper) / len(upper)
        found: list[float] = weights.tolist()
        return found


def _span_score(
    tokens: list[int], surprises: Sequence[float], attention: Sequence[float] | None
) -> SpanScore:
    known = sorted((surprises[i] for i in tokens if i < len(surprises)), reverse=True)
    top = known[: max(len(known) // _UNEXPECTED, 1)]
    paid = None
    if attention is not None and tokens:
        paid = sum(attention[i] for i in tokens if i < len(attention)) / len(tokens)
    return SpanScore(sum(top) / len(top) if top else 0.0, paid, len(tokens))


def _stops(model: Any, tokenizer: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return sorted({one for one in (*listed, tokenizer.eos_token_id) if one is not None})


def _rows(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])
