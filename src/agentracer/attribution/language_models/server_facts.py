"""Ask a model server for its context length, and how it counts tokens.

| server | context length | token counts |
|---|---|---|
| vLLM | `max_model_len` in `/v1/models` | `/tokenize` with `prompt` |
| SGLang | `max_model_len` in `/v1/models`, else `/get_server_info` | `/tokenize` with `prompt` |
| llama.cpp | `/props`: the context of one slot | `/tokenize` with `content` |
| Ollama | `/api/ps` for a model that is loaded, else `num_ctx` of `/api/show` | none |

What a model was trained with (`n_ctx_train` of llama.cpp, `model_info` of Ollama) is not what the
server was started with, so it is not taken for the context length.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

__all__ = ["ServerFacts", "ServerKind", "ask_server", "count_in_answer", "tokenize_request"]

ServerKind = Literal["vllm", "sglang", "llama.cpp", "ollama", "unknown"]
Ask = Callable[[str, Mapping[str, Any] | None], Awaitable[Any]]
"""Sends a GET to a path of the server's root, or a POST if there is a body; raises if refused."""

_OWNERS: Mapping[str, ServerKind] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "library": "ollama",
}
_TOKENIZE: Mapping[ServerKind, str] = {
    "vllm": "prompt",
    "sglang": "prompt",
    "llama.cpp": "content",
}
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server states about itself.

    Attributes:
        kind: which server it is, as far as that can be seen.
        context: tokens of prompt and output together; None if it does not say.
    """

    kind: ServerKind = "unknown"
    context: int | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether the server counts the tokens of a text."""
        return self.kind in _TOKENIZE


async def ask_server(ask: Ask, model: str, listed: Mapping[str, Any]) -> ServerFacts:
    """Find out which server it is, and its context length.

    Args:
        ask: sends a request to the server.
        model: the name of the model there.
        listed: its entry in `/v1/models`; empty if it is not listed.
    """
    stated = _positive(listed.get("max_model_len"))
    kind = _OWNERS.get(str(listed.get("owned_by")), "unknown")
    if stated is not None:
        return ServerFacts(kind, stated)
    finders: Mapping[ServerKind, Callable[[Ask], Awaitable[ServerFacts | None]]] = {
        "llama.cpp": _llama_cpp,
        "ollama": partial(_ollama, model=model),
        "sglang": _sglang,
    }
    for name, find in finders.items():
        if kind in ("unknown", name):
            try:
                facts = await find(ask)
            except Exception:  # noqa: BLE001, S112 - another server, which refuses the path
                continue
            if facts is not None:
                return facts
    return ServerFacts(kind)


async def _llama_cpp(ask: Ask) -> ServerFacts | None:
    properties = await ask("/props", None)
    settings = properties.get("default_generation_settings")
    return ServerFacts("llama.cpp", _positive(settings.get("n_ctx"))) if settings else None


async def _ollama(ask: Ask, *, model: str) -> ServerFacts | None:
    shown = await ask("/api/show", {"model": model})
    if "model_info" not in shown and "details" not in shown:
        return None
    for running in (await ask("/api/ps", None)).get("models") or []:
        context = _positive(running.get("context_length"))
        if context is not None and model in (running.get("name"), running.get("model")):
            return ServerFacts("ollama", context)
    chosen = _NUM_CTX.search(str(shown.get("parameters") or ""))
    return ServerFacts("ollama", int(chosen[1]) if chosen else None)


async def _sglang(ask: Ask) -> ServerFacts | None:
    info = await ask("/get_server_info", None)
    if "context_length" not in info and "max_total_num_tokens" not in info:
        return None
    lengths = map(_positive, (info.get("context_length"), info.get("max_total_num_tokens")))
    return ServerFacts("sglang", min((n for n in lengths if n is not None), default=None))


def tokenize_request(facts: ServerFacts, model: str, text: str) -> dict[str, Any]:
    """Return the body of a `/tokenize` request, without special tokens."""
    return {
        "model": model,
        _TOKENIZE[facts.kind]: text,
        "add_special_tokens": False,
        "add_special": False,
    }


def count_in_answer(answer: Mapping[str, Any]) -> int:
    """Return the number of tokens in what `/tokenize` answered."""
    count = answer.get("count")
    return int(count) if count is not None else len(answer["tokens"])


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
