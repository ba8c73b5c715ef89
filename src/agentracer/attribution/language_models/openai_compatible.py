"""A model behind an OpenAI-compatible server: `openai:MODEL@URL`.

vLLM, SGLang, llama.cpp, Ollama and hosted services implement this protocol with differences. A
server that does not support a parameter (structured outputs, a seed) refuses it by name; the
parameter is then left out of all later requests, and the verdict says so. Each try has one
deadline for the whole response. What still fails after the retries is an error of that prompt.

API keys come from the environment, and are never written into specs, logs or messages.
`OPENAI_API_KEY` is sent to the host of `OPENAI_BASE_URL` or to api.openai.com, and
`AGENTRACER_API_KEY` to whatever URL the spec names.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from agentracer.attribution.language_models import specs
from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    OutputGrammar,
    Reply,
    Request,
)
from agentracer.attribution.language_models.grammar import choices_regex
from agentracer.attribution.language_models.server_facts import (
    ServerFacts,
    ask_server,
    count_in_answer,
    tokenize_request,
)
from agentracer.errors import BackendError, UnknownModel
from agentracer.usage import Usage

__all__ = ["OpenAICompatible"]

_SETTINGS = ("context", "format", "tokenizer")
_OFFICIAL = "https://api.openai.com/v1"
_BYTES_PER_TOKEN = 3  # fewer than any tokenizer in use needs for text; code comes near
_LEAST_BYTES_PER_TOKEN_READ = 16  # above that a server has not read all of the prompt
_COUNTS_KEPT = 1_024  # token counts of texts
_LONGEST_WAIT = 30.0  # seconds between two tries, and for what a server says about itself
_RETRIED = frozenset({408, 409, 425, 429})
_OPTIONAL = ("response_format", "structured_outputs", "seed", "temperature", "max_tokens")
_TOO_LONG = re.compile(
    r"context.{0,40}(?:length|window|size)|too (?:long|many tokens)", re.IGNORECASE
)
_LIMIT = re.compile(r"(?:maximum|max|limit|n_ctx)\D{0,60}?(\d{3,8})", re.IGNORECASE)

T = TypeVar("T")


class OpenAICompatible:
    """A chat model behind a URL.

    Args:
        argument: `MODEL@URL`, then perhaps `?context=32768&format=json&tokenizer=PATH`.
        timeout: seconds that one try may take, from the first byte out to the last byte in.
        retries: further tries after the first.
        concurrency: requests under way at a time.

    Raises:
        UnknownModel: the spec cannot be read.
        MissingExtra: the extra [openai] is not installed.
    """

    remote = True

    def __init__(
        self, argument: str, *, timeout: float = 300.0, retries: int = 3, concurrency: int = 8
    ) -> None:
        specs.require_extra("openai", "openai")
        place, settings = specs.split_argument("openai", argument, _SETTINGS)
        self.model, self.url = _model_and_url(place)
        self.name = f"openai:{self.model}@{self.url}"
        style = specs.answer_format("openai", settings.get("format"))
        self.answer_format = cast("Literal['tagged', 'json']", style)
        self.timeout, self.retries, self.concurrency = timeout, retries, concurrency
        self._context = specs.positive_int("openai", settings, "context")
        self._tokenizer = _tokenizer(settings.get("tokenizer"))
        self._key = _key(self.url)
        self._dropped: set[str] = set()
        self._counts: dict[str, int] = {}
        self._facts: ServerFacts | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._client: Any = None
        self._gate: asyncio.Semaphore | None = None

    @property
    def context_length(self) -> int | None:
        """The context length of the spec or the server; None if neither states one."""
        return self._context or self._server_facts().context

    @property
    def special_tokens(self) -> frozenset[str]:
        """Unknown for a server; `rendering` replaces what looks like a special token."""
        return frozenset()

    @property
    def batch_size(self) -> int:
        """The number of concurrent requests."""
        return self.concurrency

    @property
    def versions(self) -> dict[str, str]:
        """The name of the model, refused parameters, and how tokens are counted."""
        server = self._server_facts()
        counted = (
            "tokenizer" if self._tokenizer else "server" if server.counts_tokens else "estimate"
        )
        facts = {"model": self.model, "token_count": counted}
        if self._dropped:
            facts["server_without"] = ",".join(sorted(self._dropped))
        return facts

    def count_tokens(self, text: str) -> int:
        """Count with the given tokenizer or that of the server; else estimate, never too few."""
        if self._tokenizer is not None:
            return len(self._tokenizer.encode(text, add_special_tokens=False).ids)
        estimate = -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)
        if not self._server_facts().counts_tokens:
            return estimate
        if text not in self._counts:
            if len(self._counts) >= _COUNTS_KEPT:
                self._counts.clear()
            try:
                self._counts[text] = self._run(self._server_count(text))
            except Exception:  # noqa: BLE001 - the estimate is good enough where this fails
                self._counts[text] = estimate
        return self._counts[text]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Send all requests, up to `concurrency` at a time."""
        self._server_facts()
        return self._run(self._all(requests))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a loop of our own, because the caller may be inside another one."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                name = "agentracer-openai"
                threading.Thread(target=self._loop.run_forever, name=name, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _all(self, requests: Sequence[Request]) -> list[Reply]:
        return list(await asyncio.gather(*map(self._reply, requests)))

    async def _reply(self, request: Request) -> Reply:
        sampling = request.sampling
        seeds = range(sampling.seed, sampling.seed + sampling.n)
        results = await asyncio.gather(
            *(self._completion(request, seed) for seed in seeds), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BackendError):
                return result
            if isinstance(result, BaseException):
                raise result
        return cast("list[Completion]", results)

    async def _completion(self, request: Request, seed: int) -> Completion:
        body = self._body(request, seed)
        for _ in range(len(_OPTIONAL) + 1):
            used = {key: value for key, value in body.items() if key not in self._dropped}
            try:
                data = await self._tried(used)
            except _Refused as refused:
                self._dropped.add(refused.parameter)
                if refused.parameter == "max_tokens":
                    body["max_completion_tokens"] = request.sampling.max_tokens
                continue
            return self._read(data, request)
        raise self._error("refuses every request")  # pragma: no cover - each refusal drops one

    def _body(self, request: Request, seed: int) -> dict[str, Any]:
        messages = [{"role": turn.role, "content": turn.content} for turn in request.prompt]
        body = {
            "model": self.model,
            "messages": messages,
            "temperature": request.sampling.temperature,
            "seed": seed,
            "max_tokens": request.sampling.max_tokens,
        }
        if request.grammar.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": request.grammar.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.grammar.choices and self._known_vllm():
            body["structured_outputs"] = {"regex": _regex(request.grammar)}
        return body

    async def _tried(self, body: Mapping[str, Any]) -> Any:
        """Return the parsed response of the server, after retries if needed."""
        tries = self.retries + 1
        for attempt in range(1, tries + 1):
            try:
                return await self._once(body)
            except _TryAgain as failed:
                if attempt == tries:
                    times = f"{tries} tries" if tries > 1 else "1 try"
                    raise self._error(f"{failed} (after {times})") from failed.__cause__
                await asyncio.sleep(min(failed.wait or 0.25 * 2**attempt, _LONGEST_WAIT))
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(self, body: Mapping[str, Any]) -> Any:
        import openai

        if self._gate is None:
            self._gate = asyncio.Semaphore(self.concurrency)
        try:
            async with self._gate, asyncio.timeout(self.timeout):
                chat = self._api().chat.completions.with_raw_response
                extra = {k: v for k, v in body.items() if k not in {"model", "messages"}}
                answer = await chat.create(
                    model=body["model"], messages=body["messages"], extra_body=extra
                )
                raw = answer.http_response
        except openai.APIStatusError as error:
            raise self._classified(error, body) from error
        except (TimeoutError, openai.APITimeoutError) as error:
            raise _TryAgain(f"did not answer within {self.timeout:g} s") from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _TryAgain(f"cannot be reached: {type(cause).__name__}: {cause}") from error
        except Exception as error:
            # A truncated body raises an exception of whichever HTTP library openai uses.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore"}:
                raise
            raise _TryAgain(f"broke off: {type(error).__name__}: {error}") from error
        try:
            return _checked(json.loads(raw.content))
        except ValueError as error:
            kind = raw.headers.get("content-type", "no content type")
            start = raw.content[:60].decode(errors="replace")
            raise _TryAgain(f"sent no chat completion ({kind}): {start!r}") from error

    def _classified(self, error: Any, body: Mapping[str, Any]) -> Exception:
        """Map an error status to: drop a parameter, try again, shorten the prompt, or give up."""
        status, message = error.status_code, self._clean(str(error.message))
        if status in {400, 404, 413, 422, 501}:
            if _TOO_LONG.search(message):
                limit = _LIMIT.search(message)
                text = str(self._error(f"finds the prompt too long: {message[:300]}"))
                return ContextExceeded(text, limit=int(limit[1]) if limit else None)
            for name in _OPTIONAL:
                if name in body and name in message:
                    return _Refused(name)
        if status >= 500 or status in _RETRIED:
            wait = error.response.headers.get("retry-after", "")
            seconds = float(wait) if re.fullmatch(r"\d{1,6}(\.\d+)?", wait) else None
            # A server without constrained output may answer a constraint with status 500.
            return _TryAgain(f"answered {status}: {message[:300]}", wait=seconds)
        return self._error(f"answered {status}: {message[:300]}")

    def _read(self, data: Any, request: Request) -> Completion:
        message, usage = data["choices"][0]["message"], data.get("usage") or {}
        text = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thought, str) and thought:
            text = f"<think>{thought}</think>{text}"
        read = _number(usage.get("prompt_tokens"))
        size = sum(len(turn.content.encode(errors="replace")) for turn in request.prompt)
        if 0 < read < size / _LEAST_BYTES_PER_TOKEN_READ:
            # Ollama cuts a long prompt silently; the token count shows it.
            raise ContextExceeded(
                str(self._error(f"read only {read} tokens of a prompt of {size} bytes")), limit=read
            )
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            text=text,
            usage=Usage(
                model_calls=1,
                input_tokens=read,
                cached_tokens=_number(details.get("cached_tokens")),
                output_tokens=_number(usage.get("completion_tokens")),
            ),
        )

    def _api(self) -> Any:
        import openai

        if self._client is None:
            # Our own retries: those of the library have no deadline for a whole try.
            self._client = openai.AsyncOpenAI(
                base_url=self.url, api_key=self._key, max_retries=0, timeout=self.timeout
            )
        return self._client

    def _server_facts(self) -> ServerFacts:
        """Return what the server states about itself; asked once."""
        if self._facts is None:
            try:
                self._facts = self._run(self._fetch_facts())
            except Exception:  # noqa: BLE001 - a server need not answer before it is asked to judge
                self._facts = ServerFacts()
        return self._facts

    async def _fetch_facts(self) -> ServerFacts:
        async with asyncio.timeout(min(self.timeout, _LONGEST_WAIT)):
            return await ask_server(self._ask, self.model, await self._listed())

    async def _listed(self) -> Mapping[str, Any]:
        """The entry of the model in `/v1/models`; empty where the server lists none."""
        import openai

        try:
            listed = await self._api().models.list()
        except openai.APIStatusError:
            return {}
        entries = [entry.model_dump() for entry in listed.data]
        # llama.cpp serves its model under whatever name it is asked for.
        matching = [e for e in entries if e["id"] == self.model or e.get("owned_by") == "llamacpp"]
        return matching[0] if matching else {}

    async def _ask(self, path: str, body: Mapping[str, Any] | None) -> Any:
        """Send a request to a path beside `/v1`."""
        url = f"{self.url.removesuffix('/v1')}{path}"
        if body is None:
            return await self._api().get(url, cast_to=object)
        return await self._api().post(url, body=body, cast_to=object)

    def _known_vllm(self) -> bool:
        """Whether the server is vLLM, without waiting: for use inside the event loop."""
        return self._facts is not None and self._facts.kind == "vllm"

    async def _server_count(self, text: str) -> int:
        facts = self._server_facts()
        return count_in_answer(
            await self._ask("/tokenize", tokenize_request(facts, self.model, text))
        )

    def _error(self, what: str) -> BackendError:
        return BackendError(
            f"the server at {self.url} {self._clean(what)}\n"
            "  remedy: check that it runs and serves the model; raise timeout= or retries= of "
            "Tracer if it is slow"
        )

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if len(self._key) > 4 else text


class _TryAgain(Exception):
    def __init__(self, what: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(what)


class _Refused(Exception):
    def __init__(self, parameter: str) -> None:
        self.parameter = parameter
        super().__init__(parameter)


def _model_and_url(place: str) -> tuple[str, str]:
    model, at, url = place.rpartition("@http")
    url = f"http{url}" if at else os.environ.get("OPENAI_BASE_URL", "")
    model = model if at else place
    example = "openai:MODEL@http://localhost:8000/v1"
    if not url:
        # There is no default address: nothing is sent unless the user names a server.
        raise UnknownModel(f"openai: {place!r} names no server\n  remedy: write {example}")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise UnknownModel(
            "openai: the URL holds a user name or password, which would appear in every verdict\n"
            "  remedy: set AGENTRACER_API_KEY instead"
        )
    if not model or not parts.hostname:
        raise UnknownModel(f"openai: {place!r} is not MODEL@URL\n  remedy: write {example}")
    return model, url.rstrip("/")


def _key(url: str) -> str:
    own = os.environ.get("AGENTRACER_API_KEY")
    if own:
        return own
    official = os.environ.get("OPENAI_BASE_URL", _OFFICIAL)
    same = urlsplit(url).netloc == urlsplit(official).netloc
    return (os.environ.get("OPENAI_API_KEY") if same else None) or "none"


def _tokenizer(path: str | None) -> Any:
    if path is None:
        return None
    specs.require_extra("transformers", "tokenizers")
    from tokenizers import Tokenizer

    file = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path  # noqa: PTH112, PTH118
    try:
        return Tokenizer.from_file(file)
    except Exception as error:
        raise UnknownModel(
            f"openai: tokenizer={path}: {error}\n  remedy: name a tokenizer.json or its folder"
        ) from error


def _checked(data: Any) -> Any:
    """Return a chat completion after checking its structure.

    Raises:
        ValueError: it is not a chat completion.
    """
    choices = data.get("choices") if isinstance(data, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise ValueError("no choices with a message")
    if not isinstance(first["message"].get("content"), str | None):
        raise ValueError("the content is not text")
    return data


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _regex(grammar: OutputGrammar) -> str:
    reasoning = (
        f"{choices_regex([[grammar.prefix]])}[^<]*{choices_regex([[grammar.reasoning_end]])}"
        if grammar.reasoning_end
        else ""
    )
    return f"{reasoning}{choices_regex(grammar.choices)}"
