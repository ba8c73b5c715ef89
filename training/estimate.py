"""What a run will need, before it begins: memory and time from the config, with the arithmetic.

    python -m training.grpo --config FILE --dry-run

Nothing is loaded and no accelerator is touched. The figures are arithmetic, not measurements; the
constants behind them are named below, so that they can be argued with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentracer.errors import TrainingError
from training.config import Config, Grpo

__all__ = ["Memory", "Shape", "memory", "report", "seconds", "shape"]

GIB = 2**30
UTILISATION = 0.4  # of the matrix products that a device does at its best
WORKING_WIDTHS = 10  # activations of one layer beside its MLP, in widths of the hidden state
DECODE_BATCH = 64  # answers that a rollout engine writes at a time
RESERVED = 0.08  # of a device's memory, for its context and for what the allocator cannot use
REASONING = 0.5  # of the answer's room that an answer fills on average


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder as far as costs go.

    Attributes:
        parameters: all of them.
        layers, hidden, heads, kv_heads, head_dim, mlp, vocabulary: as its configuration names them.
    """

    parameters: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocabulary: int

    @property
    def kv_bytes(self) -> int:
        """Of keys and values for a token, in two-byte numbers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 2

    @property
    def computing(self) -> int:
        """Parameters that a token is multiplied with: all but the embedding that is looked up."""
        return self.parameters - self.vocabulary * self.hidden

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA adapter on every linear layer but the head."""
        width, inner = self.hidden, self.heads * self.head_dim
        kv = self.kv_heads * self.head_dim
        pairs = ((width, inner), (width, kv), (width, kv), (inner, width))
        mlp = ((width, self.mlp), (width, self.mlp), (self.mlp, width))
        return self.layers * rank * sum(a + b for a, b in (*pairs, *mlp))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device, by what they are for."""

    weights: float
    states: float
    activations: float
    logits: float
    rollout: float

    @property
    def total(self) -> float:
        """All of it at once."""
        return self.weights + self.states + self.activations + self.logits + self.rollout


def shape(config: Config) -> Shape:
    """The shape of a config's model: from its folder, or as the config says.

    Raises:
        TrainingError: neither says it.
    """
    file = Path(config.model.path) / "config.json"
    said = config.model
    if file.is_file():
        data = json.loads(file.read_text(encoding="utf-8"))
        layers, hidden = data["num_hidden_layers"], data["hidden_size"]
        heads, mlp = data["num_attention_heads"], data["intermediate_size"]
        kv = data.get("num_key_value_heads") or heads
        width = data.get("head_dim") or hidden // heads
        vocabulary = data["vocab_size"]
        tied = 1 if data.get("tie_word_embeddings") else 2
        per_layer = 2 * hidden * heads * width + 2 * hidden * kv * width + 3 * hidden * mlp
        total = tied * vocabulary * hidden + layers * per_layer
        return Shape(total, layers, hidden, heads, kv, width, mlp, vocabulary)
    fields = (
        *(said.parameters, said.layers, said.hidden, said.heads, said.kv_heads, said.head_dim),
        *(said.mlp, said.vocabulary),
    )
    known = [field for field in fields if field is not None]
    if len(known) < len(fields):
        raise TrainingError(
            f"there is no {file}, and the config does not say how large the model is",
            place="model",
            remedy="give model.path a folder with a checkpoint, or set model.parameters, layers, "
            "hidden, heads, kv_heads, head_dim, mlp and vocabulary",
        )
    return Shape(*known)


def memory(config: Config, model: Shape) -> Memory:
    """Bytes on one device while weights are updated; states are sharded over devices."""
    tokens = config.data.context
    stage = config.grpo or config.sft
    micro = stage.micro_batch if stage else 1
    size = 2 if config.model.dtype == "bfloat16" else 4
    if config.lora is not None:
        weights = float(model.parameters * size)
        states = model.adapter(config.lora.rank) * 16.0
    else:
        # Weight, gradient and two moments; the weight is counted as such.
        weights = model.parameters * 4 / config.devices
        states = model.parameters * (4 + (2 if "8bit" in _optimizer(config) else 8))
        states /= config.devices
    kept = 1 if stage and stage.activation_checkpointing else _layer_widths(model)
    layers = model.layers * tokens * model.hidden * 2 * kept * micro
    working = tokens * (WORKING_WIDTHS * model.hidden + 3 * model.mlp) * 2 * micro
    logits = config.data.answer_tokens * model.vocabulary * 4 * 2 * micro
    rollout = 0.0
    if config.grpo is not None and config.grpo.vllm is not None:
        shared = config.grpo.vllm
        if shared.mode == "colocate" and not shared.sleep:
            rollout = shared.memory_share * (config.device_memory_gib or 0.0) * GIB
    elif config.grpo is not None:
        # transformers generates with the keys and values of every answer of a micro batch
        rollout = micro * tokens * model.kv_bytes
    return Memory(weights, states, layers + working, logits, rollout)


def _optimizer(config: Config) -> str:
    stage = config.grpo or config.sft
    return stage.optimizer if stage else ""


def _layer_widths(model: Shape) -> float:
    """Activations kept of a layer without checkpointing, in widths of the hidden state."""
    return WORKING_WIDTHS + 3 * model.mlp / model.hidden


def seconds(config: Config, model: Shape, settings: Grpo) -> tuple[float, float, float]:
    """Seconds of one optimizer step of GRPO: writing answers, updating weights; and its tokens.

    Raises:
        TrainingError: the config does not say how fast a device is.
    """
    if config.device_tflops is None or config.device_tbps is None:
        raise TrainingError(
            "no time without knowing the device",
            place="device_tflops",
            remedy="set device_tflops (measured matrix products) and device_tbps (memory)",
        )
    answer = config.data.answer_tokens * REASONING
    prompt = config.data.context - config.data.answer_tokens
    sequences = settings.batch * settings.group
    length = prompt + answer
    once = 2.0 * model.computing * length + 2.0 * model.layers * model.hidden * length**2
    passes = 4 if config.lora is not None else 5  # old log-probability; forward again; backward
    speed = config.device_tflops * 1e12 * UTILISATION * config.devices
    update = sequences * passes * settings.iterations * once / speed
    # Decoding reads all weights and the keys and values of each answer for every token.
    read = model.parameters * 2 + DECODE_BATCH * prompt * model.kv_bytes
    rounds = sequences / DECODE_BATCH * answer / config.devices
    prefill = settings.batch * (2.0 * model.computing * prompt) / speed
    writing = prefill + rounds * read / (config.device_tbps * 1e12)
    return writing, update, sequences * length


def report(config: Config) -> str:
    """Memory and time as text, with the arithmetic."""
    return "\n".join(_lines(config))


def _lines(config: Config) -> Iterator[str]:
    model = shape(config)
    need = memory(config, model)
    stage = config.grpo or config.sft
    yield f"{config.name}: {model.parameters:,} parameters, {config.devices} device(s)"
    yield (
        f"  {model.layers} layers x {model.hidden}, {model.heads} heads ({model.kv_heads} for keys "
        f"and values) x {model.head_dim}, MLP {model.mlp}, vocabulary {model.vocabulary:,}"
    )
    if config.lora is not None:
        adapter = model.adapter(config.lora.rank)
        yield f"  LoRA of rank {config.lora.rank}: {adapter:,} parameters are trained"
    yield "memory on one device, GiB (arithmetic, not measured):"
    told = "base" if config.lora else "weights, 4 bytes, sharded"
    yield f"  {need.weights / GIB:8.2f}  {told}"
    yield f"  {need.states / GIB:8.2f}  gradients and moments" + (
        " of the adapter" if config.lora else ", sharded"
    )
    checkpointed = bool(stage and stage.activation_checkpointing)
    yield (
        f"  {need.activations / GIB:8.2f}  activations of {config.data.context:,} tokens x "
        f"{stage.micro_batch if stage else 1}: layers x tokens x hidden x 2 bytes"
        + ("" if checkpointed else f" x {_layer_widths(model):.0f} (no checkpointing)")
        + ", and one layer at work"
    )
    yield f"  {need.logits / GIB:8.2f}  logits of the answer, twice, 4 bytes"
    yield (
        f"  {need.rollout / GIB:8.2f}  rollout; keys and values take "
        f"{model.kv_bytes / 1024:.1f} KiB a token"
    )
    yield f"  {need.total / GIB:8.2f}  in all" + (
        f" of {config.device_memory_gib:g}, of which {RESERVED:.0%} cannot be used"
        if config.device_memory_gib
        else ""
    )
    limit = (config.device_memory_gib or float("inf")) * GIB * (1 - RESERVED)
    if need.total > limit:
        yield "  DOES NOT FIT: shorten data.context, use lora, more devices, or an 8-bit optimizer"
    if config.grpo is None:
        return
    if config.device_tflops is None or config.device_tbps is None:
        yield "time: not estimated (device_tflops and device_tbps are not set)"
        return
    writing, update, tokens = seconds(config, model, config.grpo)
    steps = config.grpo.steps
    yield (
        f"time of one step of GRPO: {config.grpo.batch} prompts x {config.grpo.group} answers, "
        f"{tokens:,.0f} tokens, {UTILISATION:.0%} of {config.device_tflops:g} TFLOP/s a device:"
    )
    yield (
        f"  {writing:8.1f} s  writing: weights, keys and values are read at "
        f"{config.device_tbps:g} TB/s"
    )
    yield (
        f"  {update:8.1f} s  updating: {4 if config.lora else 5} passes of 2 x "
        f"{model.computing / 1e9:.2f}e9 x tokens + 2 x layers x hidden x tokens^2"
    )
    yield f"  {(writing + update) * steps / 3600:8.1f} h  for {steps} steps"
