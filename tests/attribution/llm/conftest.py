"""The tiny model, made once a session, and one judge of each kind around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentracer.attribution.judge import LanguageModelBackend
from agentracer.attribution.language_models.base import (
    ChatMessage,
    OutputGrammar,
    Request,
    Sampling,
)

from .servers import Scripted, Server, fails, says, serving

KINDS = ("transformers", "transformers-batch", "vllm", "openai", "openai-vllm")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A trained tiny Qwen3 and its tokenizer; `AGENTRACER_TINY_MODEL` names one to use again."""
    for module in ("torch", "transformers", "xgrammar"):
        pytest.importorskip(module, reason="needs the extra [transformers]")
    import torch

    from . import tiny

    torch.set_num_threads(1)  # more are slower on a machine that others use too
    kept = os.environ.get("AGENTRACER_TINY_MODEL")
    path = Path(kept) if kept else tmp_path_factory.mktemp("tiny-model")
    if not (path / "config.json").is_file():
        path.mkdir(parents=True, exist_ok=True)
        told = tiny.train(path)
        print(f"tiny model: {told}")
    return path


@pytest.fixture(scope="session")
def judges(tiny_model) -> Iterator[dict[str, LanguageModelBackend]]:
    """Judges made so far, by kind: an engine is too slow to be started twice."""
    with ExitStack() as stack:
        made: dict[str, LanguageModelBackend] = _Judges(tiny_model, stack)
        yield made


class _Judges(dict):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        self._path, self._stack = path, stack

    def __missing__(self, kind: str) -> LanguageModelBackend:
        made = _judge(kind, self._path, self._stack).with_options(answer_tokens=200)
        self[kind] = made
        return made


def small_vllm() -> None:
    """Settings under which vLLM's engine fits a small machine, and the process of a test."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _judge(kind: str, path: Path, stack: ExitStack) -> LanguageModelBackend:
    from agentracer.attribution import judge

    if kind == "transformers":
        return judge.transformers(f"{path}?dtype=float32&device=cpu")
    if kind == "transformers-batch":
        return judge.transformers(f"{path}?dtype=float32&device=cpu&batch=8")
    if kind.endswith("vllm"):
        if find_spec("vllm") is None:
            pytest.skip("needs the extra [vllm]; `make test-vllm` has it")
        small_vllm()
    if kind == "vllm":
        return judge.vllm(f"{path}?dtype=float32&eager=1")
    if find_spec("openai") is None:
        pytest.skip("needs the extra [openai]")
    if kind == "openai":
        server = stack.enter_context(served_by_transformers(path))
    else:
        server = stack.enter_context(served_by_vllm(path))
    spec = server.spec(format="tagged", tokenizer=path, context=4_096)
    made = judge.openai(spec.removeprefix("openai:"))
    made.model.timeout = 120
    return made


@pytest.fixture(params=KINDS)
def judge(request, judges) -> LanguageModelBackend:
    """A judge of each kind around the tiny model."""
    return judges[request.param]


@contextmanager
def served_by_transformers(path: Path) -> Iterator[Server]:
    """The tiny model behind an OpenAI-compatible endpoint, without any constraint of its own."""
    from agentracer.attribution.language_models.transformers_local import TransformersModel

    model = TransformersModel(f"{path}?dtype=float32&device=cpu")

    def script(body: dict) -> Scripted:
        prompt = tuple(ChatMessage(one["role"], one["content"]) for one in body["messages"])
        sampling = Sampling(
            temperature=body["temperature"], seed=body["seed"], max_tokens=body["max_tokens"]
        )
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        reply = model.generate([Request(prompt, OutputGrammar(json_schema=schema), sampling)])[0]
        if not isinstance(reply, list):
            return fails(400, f"maximum context length is {model.context_length}: {reply}")
        return says(
            reply[0].text, tokens=(reply[0].usage.input_tokens, reply[0].usage.output_tokens)
        )

    with serving(script) as server:
        yield server


@contextmanager
def served_by_vllm(path: Path) -> Iterator[Server]:
    """The tiny model behind vLLM's own server."""
    port = 8_700 + os.getpid() % 1_000
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(path)),
        *("--served-model-name", "m", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--enable-prompt-tokens-details"),
        *("--max-model-len", "4096"),
    ]
    log = path / "vllm-server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}/v1", [], [])
    try:
        _wait_for(server.url, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 280
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"vLLM's server ended: {log.read_text()[-2_000:]}")
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=2) as answer:
                assert json.load(answer)["data"]
                return
        except OSError:
            time.sleep(1)
    pytest.fail("vLLM's server did not start")
