"""A model in this process through vLLM's offline engine: `vllm:PATH`, for high throughput.

Prompts are passed as token ids (see `chat`), in one batch, with prefix caching: a common beginning
is computed once. The reasoning is generated without constraints in a first pass, the answer with
its grammar in a second one, which finds the prompt of the first in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.attribution.language_models import chat, specs
from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    OutputGrammar,
    Prompt,
    Reply,
    Request,
    SpanScore,
    TextSpan,
)
from agentracer.attribution.language_models.grammar import choices_regex
from agentracer.errors import BackendError, UnknownModel
from agentracer.usage import Usage

__all__ = ["VllmModel"]

_SETTINGS = ("lora", "format", "dtype", "context", "memory", "eager")
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values of max_lora_rank in vLLM 0.31
_QUARTER = 4  # the surprise of a span is the mean over its least likely quarter of tokens


class VllmModel:
    """A causal language model of the vLLM engine.

    Args:
        argument: `PATH`, then perhaps
            `?lora=PATH&format=tagged&dtype=bfloat16&context=32768&memory=0.9&eager=1`.

    Raises:
        UnknownModel: there is no such model on disk.
        MissingExtra: the extra [vllm] is not installed.
    """

    remote = False
    batch_size = 64

    def __init__(self, argument: str) -> None:
        specs.require_extra("vllm", "vllm")
        place, settings = specs.split_argument("vllm", argument, _SETTINGS)
        self.checkpoint = chat.find_checkpoint("vllm", place, settings)
        self.name = f"vllm:{place}"
        self.answer_format = self.checkpoint.answer_format
        self._settings = settings
        self._context = specs.positive_int("vllm", settings, "context")
        self._lock = threading.RLock()
        self._loaded: tuple[Any, Any] | None = None

    def _parts(self) -> tuple[Any, Any]:
        """Return engine and tokenizer; loads them at the first call."""
        with self._lock:
            if self._loaded is None:
                tokenizer = chat.load_tokenizer("vllm", self.checkpoint)
                self._loaded = (self._engine(), tokenizer)
            return self._loaded

    def _engine(self) -> Any:
        from vllm import LLM

        options: dict[str, Any] = {
            "enable_prefix_caching": True,
            "seed": 0,
            # With free white space a model can fill its budget with blanks. vLLM 0.31 ignores the
            # setting of a single request.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        }
        if self._context:
            options["max_model_len"] = self._context
        if "dtype" in self._settings:
            options["dtype"] = self._settings["dtype"]
        if "memory" in self._settings:
            options["gpu_memory_utilization"] = float(self._settings["memory"])
        if self._settings.get("eager") == "1":
            options["enforce_eager"] = True
        if self.checkpoint.adapter:
            options |= {"enable_lora": True, "max_lora_rank": _rank(self.checkpoint.adapter)}
        try:
            return LLM(self.checkpoint.base, disable_log_stats=True, **options)
        except (OSError, ValueError) as error:
            raise UnknownModel(
                f"{self.name} cannot be loaded: {error}\n  remedy: name a folder with a model"
            ) from error

    @property
    def context_length(self) -> int | None:
        """As the engine was set up."""
        return int(self._parts()[0].llm_engine.model_config.max_model_len)

    @property
    def special_tokens(self) -> frozenset[str]:
        """Those of the tokenizer."""
        return chat.special_tokens(self._parts()[1])

    @property
    def versions(self) -> dict[str, str]:
        """Library and number format: a verdict may differ between them."""
        import vllm

        config = self._parts()[0].llm_engine.model_config
        return {"vllm": vllm.__version__, "dtype": str(config.dtype).removeprefix("torch.")}

    def count_tokens(self, text: str) -> int:
        """By the model's tokenizer."""
        tokenizer = self._parts()[1]
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return len(ids)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Generate in one batch: first the reasoning of all requests, then the answers of all."""
        with self._lock:
            samples = [
                sample for i, request in enumerate(requests) for sample in self._samples(i, request)
            ]
            fitting = [sample for sample in samples if sample.room > 0]
            self._reason([sample for sample in fitting if sample.grammar.reasoning_end])
            self._answer(fitting)
        replies: list[Reply] = [[] for _ in requests]
        for sample in samples:
            reply = replies[sample.request]
            if sample.room <= 0:
                replies[sample.request] = ContextExceeded(
                    f"a prompt of {len(sample.ids)} tokens does not fit {self.name}",
                    limit=self.context_length,
                )
            elif isinstance(reply, list):
                reply.append(sample.completion())
        return replies

    def _samples(self, number: int, request: Request) -> list[_Sample]:
        grammar, sampling = request.grammar, request.sampling
        thinking = grammar.json_schema is None and bool(grammar.reasoning_end)
        encoded = chat.encode(self._parts()[1], request.prompt, grammar.prefix, thinking=thinking)
        limit = self.context_length or 0
        room = min(sampling.max_tokens, limit - len(encoded.ids))
        return [
            _Sample(number, encoded.ids, grammar, room, sampling.temperature, sampling.seed + i)
            for i in range(sampling.n)
        ]

    def _reason(self, samples: Sequence[_Sample]) -> None:
        tokenizer = self._parts()[1]
        params = []
        for sample in samples:
            slots = sample.grammar.choices
            longest = sum(max(len(self._encoded(text)) for text in slot) for slot in slots)
            room = max(sample.room - longest - 4, 1)
            params.append(
                sample.sampling(
                    room, stop=[sample.grammar.reasoning_end], include_stop_str_in_output=True
                )
            )
        for sample, out in zip(samples, self._run(samples, params), strict=True):
            sample.take(out)
            text = tokenizer.decode(sample.tokens)
            if sample.grammar.reasoning_end not in text:
                # The reasoning did not end: close it, so that an answer can follow.
                sample.tokens += self._encoded(sample.grammar.reasoning_end)

    def _answer(self, samples: Sequence[_Sample]) -> None:
        from vllm.sampling_params import StructuredOutputsParams

        params = []
        for sample in samples:
            grammar = sample.grammar
            constraint = None
            if grammar.json_schema is not None:
                constraint = StructuredOutputsParams(json=dict(grammar.json_schema))
            elif grammar.choices:
                constraint = StructuredOutputsParams(regex=choices_regex(grammar.choices))
            room = max(sample.room - len(sample.tokens), 1)
            params.append(sample.sampling(room, structured_outputs=constraint))
        for sample, out in zip(samples, self._run(samples, params), strict=True):
            sample.take(out)
            # The engine returns the stop token; it is not part of the text.
            sample.text = sample.grammar.prefix + self._decoded(sample.tokens)

    def _decoded(self, ids: list[int]) -> str:
        tokenizer = self._parts()[1]
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        while ids and ids[-1] in ends:
            ids = ids[:-1]
        return str(tokenizer.decode(ids))

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._parts()[1](text, add_special_tokens=False)["input_ids"]
        return ids

    def _run(self, samples: Sequence[_Sample], params: list[Any]) -> list[Any]:
        if not samples:
            return []
        engine = self._parts()[0]
        prompts = [{"prompt_token_ids": [*sample.ids, *sample.tokens]} for sample in samples]
        return list(engine.generate(prompts, params, use_tqdm=False, lora_request=self._adapter()))

    def _adapter(self) -> Any:
        if not self.checkpoint.adapter:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("judge", 1, self.checkpoint.adapter)

    def score(
        self, prompt: Prompt, spans: Sequence[TextSpan]
    ) -> tuple[list[SpanScore], Completion]:
        """Return the surprise of every span; the engine gives no attention weights."""
        from vllm import SamplingParams

        with self._lock:
            encoded = chat.encode(self._parts()[1], prompt)
            limit = self.context_length or 0
            if len(encoded.ids) >= limit:
                raise ContextExceeded(
                    f"a prompt of {len(encoded.ids)} tokens does not fit {self.name}", limit=limit
                )
            params = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
            out = self._parts()[0].generate(
                [{"prompt_token_ids": encoded.ids}],
                [params],
                use_tqdm=False,
                lora_request=self._adapter(),
            )[0]
        if out.prompt_logprobs is None:
            raise BackendError(f"{self.name} returned no log probabilities")
        surprises = [_surprise(logprobs) for logprobs in out.prompt_logprobs]
        scores = [_span_score(encoded.tokens_of(span), surprises) for span in spans]
        return scores, Completion(
            text="", usage=Usage(model_calls=1, input_tokens=len(encoded.ids))
        )


class _Sample:
    """One sample while it is generated."""

    def __init__(
        self,
        request: int,
        ids: list[int],
        grammar: OutputGrammar,
        room: int,
        temperature: float,
        seed: int,
    ) -> None:
        self.request, self.ids, self.grammar, self.room = request, ids, grammar, room
        self.temperature, self.seed = temperature, seed
        self.tokens: list[int] = []
        self.text = ""
        self.cached: int | None = None

    def sampling(self, room: int, **params: Any) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=room,
            temperature=self.temperature,
            seed=self.seed,
            skip_special_tokens=False,
            **params,
        )

    def take(self, out: Any) -> None:
        """Add the tokens of one pass. Cached tokens are those of the first pass."""
        if self.cached is None:
            self.cached = out.num_cached_tokens or 0
        self.tokens += list(out.outputs[0].token_ids)

    def completion(self) -> Completion:
        return Completion(
            text=self.text,
            usage=Usage(
                model_calls=1,
                input_tokens=len(self.ids),
                cached_tokens=min(self.cached or 0, len(self.ids)),
                output_tokens=len(self.tokens),
            ),
        )


def _rank(adapter: str) -> int:
    """Return the smallest `max_lora_rank` for this adapter; a larger one costs memory."""
    config = chat.adapter_config("vllm", adapter)
    rank = max([config.get("r", 1), *config.get("rank_pattern", {}).values()])
    limit = next((allowed for allowed in _RANKS if allowed >= rank), None)
    if limit is None:
        raise UnknownModel(
            f"vllm: {adapter} has rank {rank}, vLLM takes {_RANKS[-1]} at most\n"
            "  remedy: merge it into its base (merge_and_unload of peft), and name that"
        )
    return limit


def _surprise(logprobs: Mapping[int, Any] | None) -> float:
    return -next(iter(logprobs.values())).logprob if logprobs else 0.0


def _span_score(tokens: Sequence[int], surprises: Sequence[float]) -> SpanScore:
    ordered = sorted((surprises[i] for i in tokens if i < len(surprises)), reverse=True)
    top = ordered[: max(len(ordered) // _QUARTER, 1)]
    return SpanScore(sum(top) / len(top) if top else 0.0, None, len(tokens))
