"""A model in this process through vLLM's offline engine: `vllm:PATH`. The one for throughput.

Prompts go in as ids of our own making (see `chat`), in one batch, with prefix caching on: prompts
that begin alike are computed once. Reasoning is free and what follows it is constrained, in two
passes; the second one finds the first one's prompt in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.attribution.language_models import chat, specs
from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    Form,
    Prompt,
    Reply,
    Request,
    Span,
    SpanScore,
)
from agentracer.attribution.language_models.grammar import slots_regex
from agentracer.errors import BackendError, UnknownModel
from agentracer.usage import Usage

__all__ = ["VllmModel"]

_SETTINGS = ("lora", "format", "dtype", "context", "memory", "eager")
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # of LoRA, that vLLM can make room for (0.31)
_UNEXPECTED = 4


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
    batch = 64

    def __init__(self, argument: str) -> None:
        specs.need("vllm", "vllm")
        place, settings = specs.place_and_settings("vllm", argument, _SETTINGS)
        self.found = chat.checkpoint("vllm", place, settings)
        self.name = f"vllm:{place}"
        self.answer_format = self.found.answer_format
        self._settings = settings
        self._context = specs.whole_number("vllm", settings, "context")
        self._lock = threading.RLock()
        self._made: tuple[Any, Any] | None = None

    def _parts(self) -> tuple[Any, Any]:
        """Engine and tokenizer; loaded when first needed."""
        with self._lock:
            if self._made is None:
                tokenizer = chat.load_tokenizer("vllm", self.found)
                self._made = (self._engine(), tokenizer)
            return self._made

    def _engine(self) -> Any:
        from vllm import LLM

        options: dict[str, Any] = {
            "enable_prefix_caching": True,
            "seed": 0,
            # Free white space lets a model fill its budget with blanks; the setting of a single
            # request is not heeded (vLLM 0.31).
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
        if self.found.adapter:
            options |= {"enable_lora": True, "max_lora_rank": _rank(self.found.adapter)}
        try:
            return LLM(self.found.base, disable_log_stats=True, **options)
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
        """All requests in one batch: first the reasoning of all, then the answers of all."""
        with self._lock:
            jobs = [job for i, request in enumerate(requests) for job in self._jobs(i, request)]
            fitting = [job for job in jobs if job.room > 0]
            self._reason([job for job in fitting if job.form.until])
            self._answer(fitting)
        replies: list[Reply] = [[] for _ in requests]
        for job in jobs:
            reply = replies[job.request]
            if job.room <= 0:
                replies[job.request] = ContextExceeded(
                    f"a prompt of {len(job.ids)} tokens does not fit {self.name}",
                    limit=self.context_length,
                )
            elif isinstance(reply, list):
                reply.append(job.completion())
        return replies

    def _jobs(self, number: int, request: Request) -> list[_Job]:
        form, sampling = request.form, request.sampling
        thinking = form.schema is None and bool(form.until)
        encoded = chat.encode(self._parts()[1], request.prompt, form.lead, thinking=thinking)
        limit = self.context_length or 0
        room = min(sampling.max_tokens, limit - len(encoded.ids))
        return [
            _Job(number, encoded.ids, form, room, sampling.temperature, sampling.seed + i)
            for i in range(sampling.n)
        ]

    def _reason(self, jobs: Sequence[_Job]) -> None:
        tokenizer = self._parts()[1]
        wanted = []
        for job in jobs:
            slots = job.form.slots
            longest = sum(max(len(self._encoded(text)) for text in slot) for slot in slots)
            room = max(job.room - longest - 4, 1)
            wanted.append(
                job.sampling(room, stop=[job.form.until], include_stop_str_in_output=True)
            )
        for job, out in zip(jobs, self._run(jobs, wanted), strict=True):
            job.take(out)
            text = tokenizer.decode(job.written)
            if job.form.until not in text:
                # The reasoning had no end: it is given one, so that an answer can follow.
                job.written += self._encoded(job.form.until)

    def _answer(self, jobs: Sequence[_Job]) -> None:
        from vllm.sampling_params import StructuredOutputsParams

        wanted = []
        for job in jobs:
            form = job.form
            constraint = None
            if form.schema is not None:
                constraint = StructuredOutputsParams(json=dict(form.schema))
            elif form.slots:
                constraint = StructuredOutputsParams(regex=slots_regex(form.slots))
            room = max(job.room - len(job.written), 1)
            wanted.append(job.sampling(room, structured_outputs=constraint))
        for job, out in zip(jobs, self._run(jobs, wanted), strict=True):
            job.take(out)
            # A stop token that the engine hands over is no text.
            job.text = job.form.lead + self._decoded(job.written)

    def _decoded(self, ids: list[int]) -> str:
        tokenizer = self._parts()[1]
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        while ids and ids[-1] in ends:
            ids = ids[:-1]
        return str(tokenizer.decode(ids))

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._parts()[1](text, add_special_tokens=False)["input_ids"]
        return ids

    def _run(self, jobs: Sequence[_Job], wanted: list[Any]) -> list[Any]:
        if not jobs:
            return []
        engine = self._parts()[0]
        prompts = [{"prompt_token_ids": [*job.ids, *job.written]} for job in jobs]
        return list(engine.generate(prompts, wanted, use_tqdm=False, lora_request=self._adapter()))

    def _adapter(self) -> Any:
        if not self.found.adapter:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("judge", 1, self.found.adapter)

    def score(self, prompt: Prompt, spans: Sequence[Span]) -> tuple[list[SpanScore], Completion]:
        """Surprise of every span; the engine does not show attention."""
        from vllm import SamplingParams

        with self._lock:
            encoded = chat.encode(self._parts()[1], prompt)
            limit = self.context_length or 0
            if len(encoded.ids) >= limit:
                raise ContextExceeded(
                    f"a prompt of {len(encoded.ids)} tokens does not fit {self.name}", limit=limit
                )
            asked = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
            out = self._parts()[0].generate(
                [{"prompt_token_ids": encoded.ids}],
                [asked],
                use_tqdm=False,
                lora_request=self._adapter(),
            )[0]
        if out.prompt_logprobs is None:
            raise BackendError(f"{self.name} gave no log probabilities")
        surprises = [_surprise(one) for one in out.prompt_logprobs]
        scores = [_span_score(encoded.tokens_of(span), surprises) for span in spans]
        return scores, Completion(
            text="", usage=Usage(model_calls=1, input_tokens=len(encoded.ids))
        )


class _Job:
    """One sample on its way."""

    def __init__(
        self, request: int, ids: list[int], form: Form, room: int, temperature: float, seed: int
    ) -> None:
        self.request, self.ids, self.form, self.room = request, ids, form, room
        self.temperature, self.seed = temperature, seed
        self.written: list[int] = []
        self.text = ""
        self.cached: int | None = None

    def sampling(self, room: int, **wanted: Any) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=room,
            temperature=self.temperature,
            seed=self.seed,
            skip_special_tokens=False,
            **wanted,
        )

    def take(self, out: Any) -> None:
        """Add what the engine wrote; what it found in its cache counts for the first pass."""
        if self.cached is None:
            self.cached = out.num_cached_tokens or 0
        self.written += list(out.outputs[0].token_ids)

    def completion(self) -> Completion:
        return Completion(
            text=self.text,
            usage=Usage(
                model_calls=1,
                input_tokens=len(self.ids),
                cached_tokens=min(self.cached or 0, len(self.ids)),
                output_tokens=len(self.written),
            ),
        )


def _rank(adapter: str) -> int:
    """The least room for a LoRA that holds this adapter; more would cost memory for nothing."""
    config = chat.adapter_config("vllm", adapter)
    rank = max([config.get("r", 1), *config.get("rank_pattern", {}).values()])
    room = next((one for one in _RANKS if one >= rank), None)
    if room is None:
        raise UnknownModel(
            f"vllm: {adapter} has rank {rank}, vLLM takes {_RANKS[-1]} at most\n"
            "  remedy: merge it into its base (merge_and_unload of peft), and name that"
        )
    return room


def _surprise(one: Mapping[int, Any] | None) -> float:
    return -next(iter(one.values())).logprob if one else 0.0


def _span_score(tokens: Sequence[int], surprises: Sequence[float]) -> SpanScore:
    known = sorted((surprises[i] for i in tokens if i < len(surprises)), reverse=True)
    top = known[: max(len(known) // _UNEXPECTED, 1)]
    return SpanScore(sum(top) / len(top) if top else 0.0, None, len(tokens))
