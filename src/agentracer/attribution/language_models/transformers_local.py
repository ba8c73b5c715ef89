"""A model in this process through transformers: `transformers:PATH`, on CPU or GPU.

Without a batch size, one output is generated at a time, and the keys and values of the prompt
before are reused for the common beginning (the steps of one run, the samples of one question).
With `?batch=16`, up to 16 outputs are generated in one batch: more memory, fewer passes. For high
throughput use `vllm:`.
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
    SpanScore,
    TextSpan,
)
from agentracer.attribution.language_models.batched_generation import (
    CHUNK,
    GenerationJob,
    generate_batched,
)
from agentracer.attribution.language_models.decoder import Decoder
from agentracer.attribution.language_models.grammar import GrammarCompiler
from agentracer.errors import UnknownModel
from agentracer.usage import Usage

__all__ = ["TransformersModel"]

_SETTINGS = ("lora", "format", "device", "dtype", "context", "batch")
_QUERY_TOKENS = 24  # last tokens of a prompt, whose attention is read
_QUARTER = 4  # the surprise of a span is the mean over its least likely quarter of tokens


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
        specs.require_extra("transformers", "torch", "transformers", "xgrammar")
        place, settings = specs.split_argument("transformers", argument, _SETTINGS)
        self.checkpoint = chat.find_checkpoint("transformers", place, settings)
        if self.checkpoint.adapter:
            specs.require_extra("transformers", "peft")
        self.name = f"transformers:{place}"
        self.answer_format = self.checkpoint.answer_format
        self._settings = settings
        self._context = specs.positive_int("transformers", settings, "context")
        self.batch_size = specs.positive_int("transformers", settings, "batch") or 1
        self._lock = threading.RLock()
        self._loaded: tuple[Any, Any, GrammarCompiler] | None = None
        self._past: tuple[list[int], Any] = ([], None)

    def _parts(self) -> tuple[Any, Any, GrammarCompiler]:
        """Return model, tokenizer and grammar compiler; loads them at the first call."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> tuple[Any, Any, GrammarCompiler]:
        import torch
        from transformers import AutoModelForCausalLM

        tokenizer = chat.load_tokenizer("transformers", self.checkpoint)
        device = self._settings.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = self._settings.get("dtype", "auto")
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                self.checkpoint.base, dtype=dtype, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise UnknownModel(
                f"{self.name} cannot be loaded: {error}\n"
                "  remedy: nothing is downloaded; name a folder that holds the model"
            ) from error
        if self.checkpoint.adapter:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, self.checkpoint.adapter).merge_and_unload()
        model = model.to(device).eval()
        stop = _stops(model, tokenizer)
        return model, tokenizer, GrammarCompiler(tokenizer, _rows(model), stop)

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
        """Return one reply for each request, generated one by one or in batches."""
        import torch

        with self._lock, torch.inference_mode():
            jobs = [self._jobs(request) for request in requests]
            fitting = [job for group in jobs if isinstance(group, list) for job in group]
            if self.batch_size > 1:
                generate_batched(self._parts()[0], fitting, self.batch_size)
            else:
                for job in fitting:
                    self._write(job)
        return [
            [job.completion() for job in group] if isinstance(group, list) else group
            for group in jobs
        ]

    def _jobs(self, request: Request) -> list[GenerationJob] | ContextExceeded:
        """Make the generation jobs of a request, or the error of a prompt that is too long."""
        model, tokenizer, compiler = self._parts()
        grammar, sampling = request.grammar, request.sampling
        # The chat template switches reasoning on; a JSON answer has a field for it instead.
        encoded = chat.encode(
            tokenizer,
            request.prompt,
            grammar.prefix,
            thinking=grammar.json_schema is None and bool(grammar.reasoning_end),
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
            GenerationJob(
                encoded.ids,
                Decoder(
                    grammar, sampling, number, tokenizer=tokenizer, compiler=compiler, stop=stop
                ),
            )
            for number in range(sampling.n)
        ]

    def _write(self, job: GenerationJob) -> None:
        """Generate one output, reusing the cache of the prompt before."""
        logits = self._prefill(job)
        while (token := job.decoder.next_token(logits)) is not None and not job.decoder.complete:
            logits = self._forward([token])

    def _prefill(self, job: GenerationJob) -> Any:
        """Return the logits after the prompt; its beginning may come from the cache."""
        ids = job.ids
        cached_ids, cache = self._past
        shared = 0
        # The last token is always computed: its logits are needed.
        for a, b in zip(cached_ids, ids[:-1], strict=False):
            if a != b:
                break
            shared += 1
        if cache is not None and shared:
            if shared < len(cached_ids):
                cache.crop(shared - len(cached_ids))
            self._past = (cached_ids[:shared], cache)
        else:
            shared, self._past = 0, ([], None)
        job.cached = shared
        logits = None
        for start in range(shared, len(ids), CHUNK):
            logits = self._forward(ids[start : start + CHUNK])
        return logits

    def _forward(self, ids: list[int], **outputs: Any) -> Any:
        """Read more tokens. Returns the logits after the last one, or everything with `outputs`."""
        import torch

        model = self._parts()[0]
        cached_ids, cache = self._past
        keep = 0 if outputs else 1
        out = model(
            input_ids=torch.tensor([ids], device=model.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
            **outputs,
        )
        self._past = (cached_ids + ids, out.past_key_values)
        return out if outputs else out.logits[:, -1].float()

    def score(
        self, prompt: Prompt, spans: Sequence[TextSpan]
    ) -> tuple[list[SpanScore], Completion]:
        """Return the surprise of every span, and the attention of the end of the prompt to it."""
        import torch

        with self._lock, torch.inference_mode():
            encoded = chat.encode(self._parts()[1], prompt)
            # What the template adds after the question is the same in every prompt.
            end = max(i for i, at in enumerate(encoded.offsets) if at is not None) + 1
            ids = encoded.ids[:end]
            surprises = self._surprises(ids[:-_QUERY_TOKENS])
            attention = self._attention(ids[-_QUERY_TOKENS:])
            self._past = ([], None)
        scores = [_span_score(encoded.tokens_of(span), surprises, attention) for span in spans]
        return scores, Completion(text="", usage=Usage(model_calls=1, input_tokens=len(ids)))

    def _surprises(self, ids: list[int]) -> list[float]:
        import torch

        self._past = ([], None)
        surprises = [0.0]  # the first token has no likelihood
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            out = self._forward(chunk, output_attentions=False)
            after = ids[start + 1 : start + 1 + len(chunk)]
            logs = torch.log_softmax(out.logits[0, : len(after)].float(), dim=-1)
            at = torch.tensor(after, device=logs.device)
            surprises += (-logs.gather(1, at[:, None])[:, 0]).tolist()
        return surprises

    def _attention(self, ids: list[int]) -> list[float] | None:
        """Return the attention of the last tokens to each token, over the upper half of layers."""
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
        result: list[float] = weights.tolist()
        return result


def _span_score(
    tokens: list[int], surprises: Sequence[float], attention: Sequence[float] | None
) -> SpanScore:
    ordered = sorted((surprises[i] for i in tokens if i < len(surprises)), reverse=True)
    top = ordered[: max(len(ordered) // _QUARTER, 1)]
    weight = None
    if attention is not None and tokens:
        weight = sum(attention[i] for i in tokens if i < len(attention)) / len(tokens)
    return SpanScore(sum(top) / len(top) if top else 0.0, weight, len(tokens))


def _stops(model: Any, tokenizer: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return sorted({token for token in (*listed, tokenizer.eos_token_id) if token is not None})


def _rows(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])
