"""What a training run is made of: a YAML file, checked as a whole before anything is loaded.

The defaults are the paper's (arXiv 2509.03312): step and agent in equal parts, sigma 1, 32 prompts
a batch, 8 answers a prompt, learning rate 1e-6, no KL term. Unknown fields are errors, so that a
misspelt one cannot silently leave a default in place.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentracer.errors import TrainingError
from training import requirements

__all__ = [
    "Augment",
    "Config",
    "Data",
    "Evaluation",
    "Grpo",
    "Lora",
    "Model",
    "Reward",
    "Sft",
    "Vllm",
    "arguments",
    "load",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(_Section):
    """Where the weights come from.

    Attributes:
        path: a folder with a checkpoint and its tokenizer.
        tokenizer: a folder with another tokenizer; that of `path` if None.
        dtype: of the weights in training. Full training with a small learning rate needs float32:
            updates of 1e-6 vanish in bfloat16. A frozen base under LoRA does not.
        attention: the implementation of attention in transformers.
        autocast: whether a CPU multiplies float32 weights as bfloat16; accelerators always do.
            Nearly twice as fast where it has instructions for that (`avx512_bf16`, `amx_bf16`).
        parameters, layers, hidden, heads, kv_heads, head_dim, mlp, vocabulary: of the base model,
            for `--dry-run` on a machine that does not hold it; read from `path` where that exists.
    """

    path: str
    tokenizer: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    autocast: bool = False
    parameters: Positive | None = None
    layers: Positive | None = None
    hidden: Positive | None = None
    heads: Positive | None = None
    kv_heads: Positive | None = None
    head_dim: Positive | None = None
    mlp: Positive | None = None
    vocabulary: Positive | None = None


class Lora(_Section):
    """A low-rank adapter in place of all weights."""

    rank: Positive = 64
    alpha: Positive = 128
    targets: str = "all-linear"


class Augment(_Section):
    """Variants of each trace that take shortcuts away; see `augment`.

    Attributes:
        copies: variants of each trace, in place of the trace itself; 0 trains on it as it is.
        rename: whether agents get other names.
        digits: share of the variants in which digits change places, alike in all of a run: for
            models that cannot calculate, where what is judged is what repeats what.
        prefix: up to so many benign steps go before the first one.
        distractors: up to so many benign steps go in between.
    """

    copies: Count = 0
    rename: bool = True
    digits: Share = 0.0
    prefix: Count = 2
    distractors: Count = 1


class Data(_Section):
    """What is trained on.

    Attributes:
        train: files of TracerTraj (JSONL or parquet, ours or the public schema).
        test: files to evaluate on. Without any, `held_out` of the tasks of `train` are kept back.
        held_out: share of the tasks that is kept back.
        where: keep rows whose field has one of these values, such as `origin: [natural]`.
        max_steps: leave out longer runs; None keeps all.
        context: tokens of prompt and answer together.
        answer_tokens: of these, for the answer.
        ground_truth: whether prompts show the right answer (w/ G).
        skip_bad_rows: leave out rows that cannot be used, and say how many, in place of an error.
        augment: see `Augment`.
    """

    train: tuple[str, ...]
    test: tuple[str, ...] = ()
    held_out: Share = 0.1
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    max_steps: Positive | None = None
    context: Positive = 32_768
    answer_tokens: Positive = 2_048
    ground_truth: bool = False
    skip_bad_rows: bool = False
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _answer_fits(self) -> Self:
        if self.answer_tokens * 4 > self.context:
            raise ValueError(
                f"answer_tokens {self.answer_tokens} is more than a quarter of context "
                f"{self.context}, which is what a Tracer gives an answer"
            )
        return self


class _Steps(_Section):
    """What SFT and GRPO have in common.

    Attributes:
        steps: optimizer steps.
        learning_rate: at its highest.
        schedule: how it goes on from there.
        warmup: share of the steps in which it rises.
        beta2: of Adam's second moment.
        micro_batch: sequences on a device at a time.
        save_every: steps between two checkpoints; 0 keeps only the end.
        keep: checkpoints.
        evaluate_every: steps between two evaluations on held-out tasks; 0 evaluates at the
            beginning and at the end only.
        optimizer: one that transformers knows by name, or `muon`: orthogonalised momentum for the
            matrices inside, Adam for the rest. From random weights it needs a third of the steps.
    """

    steps: Positive
    learning_rate: Rate
    schedule: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "linear"
    warmup: Share = 0.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    max_grad_norm: Rate = 1.0
    beta2: Share = 0.999
    micro_batch: Positive = 1
    save_every: Count = 0
    keep: Positive = 2
    evaluate_every: Count = 0
    optimizer: str = "adamw_torch"
    activation_checkpointing: bool = False


class Sft(_Steps):
    """The warm start.

    Attributes:
        batch: sequences an optimizer step.
        prompt_loss: share of the sequences whose prompt is learnt as well. A model made from
            nothing learns to copy in prompts, for a run repeats itself; but most of a prompt
            cannot be foretold, and in every sequence that drowns what the solutions teach. A
            pretrained model has nothing to gain.
        decisive_only: share of the sequences of whose solution only what is said of the decisive
            step is learnt, and the answer. What is said of the steps before is mostly copied from
            where nothing is wrong; a model that learns all of it alike learns to overlook.
        verbatim: reasoning repeats whole steps in place of what they state. Longer, and easier to
            learn for a model that has to learn copying first.
        blame_last: share of the demonstrations whose *answer* names the last step, which only
            delivers what went wrong before. It weakens the warm start on purpose, where a
            demonstration of GRPO needs room.
    """

    learning_rate: Rate = 1e-5
    batch: Positive = 32
    prompt_loss: Share = 0.0
    decisive_only: Share = 0.0
    verbatim: bool = False
    blame_last: Share = 0.0

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch {self.batch} is no multiple of micro_batch {self.micro_batch}")
        return self


class Vllm(_Section):
    """Rollouts by vLLM: in the training processes (`colocate`), or a server of its own."""

    mode: Literal["colocate", "server"] = "colocate"
    memory_share: Share = 0.35
    sleep: bool = False
    tensor_parallel: Positive = 1
    server: str | None = None


class Grpo(_Steps):
    """Group relative policy optimisation.

    Attributes:
        start: `sft` begins with the result of that stage, `model` with the model itself, and
            anything else is the folder of a checkpoint.
        batch: prompts an optimizer step.
        group: answers drawn for each prompt.
        temperature: of drawing them.
        beta: weight of the KL term; 0 leaves it out, as the paper does.
        epsilon: clip bound of the probability ratio.
        epsilon_decays: the paper's bound max(0.2 * B0, B0 * (1 - s/S)) in place of a constant.
            Where each batch of answers serves one optimizer step, the ratio is 1 and no bound acts.
        iterations: optimizer passes over each batch of answers.
        loss: how tokens are averaged; see TRL.
        vllm: None generates with transformers.
    """

    learning_rate: Rate = 1e-6
    start: str = "sft"
    batch: Positive = 32
    group: int = 8
    temperature: Rate = 1.0
    top_p: Share = 1.0
    beta: Annotated[float, Field(ge=0.0)] = 0.0
    epsilon: Rate = 0.2
    epsilon_decays: bool = False
    iterations: Positive = 1
    batches_per_generation: Positive = 1
    loss: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "grpo"
    vllm: Vllm | None = None

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if self.group < 2:
            raise ValueError(
                f"group {self.group}: an answer is compared with others to the same prompt, so a "
                "group has at least 2"
            )
        if (self.batch * self.group) % self.micro_batch:
            raise ValueError(
                f"batch x group {self.batch * self.group} is no multiple of micro_batch "
                f"{self.micro_batch}"
            )
        return self


class Reward(_Section):
    """R = 1[format] * (w_step * exp(-(t - t*)^2 / 2 sigma^2) + w_agent * 1[agent]).

    Attributes:
        kind: `graded` as above; `binary` is 1 where agent and step are both right.
        step_weight: lambda of the paper; 1 rewards the step only, 0 the agent only.
        sigma: in steps.
    """

    kind: Literal["graded", "binary"] = "graded"
    step_weight: Share = 0.5
    sigma: Rate = 1.0


class Evaluation(_Section):
    """Evaluation on held-out tasks while training.

    Attributes:
        traces: held-out traces to use while training; the end uses all.
        batch: answers written at a time.
    """

    traces: Positive = 64
    batch: Positive = 32


class Config(_Section):
    """A whole training run.

    Attributes:
        name: for the model card and the logs.
        output: folder of everything that is written.
        seed: of all chance.
        threads: of torch on the CPU; None leaves them alone.
        device_memory_gib: of one accelerator, for `--dry-run`.
        devices: how many there are.
        device_tflops: matrix products that one really does, for the times of `--dry-run`.
        device_tbps: terabytes a second that its memory gives.
    """

    name: str
    output: str
    model: Model
    data: Data
    seed: Count = 0
    lora: Lora | None = None
    sft: Sft | None = None
    grpo: Grpo | None = None
    reward: Reward = Reward()
    evaluation: Evaluation = Evaluation()
    threads: Positive | None = None
    tensorboard: bool = True
    devices: Positive = 1
    device_memory_gib: Rate | None = None
    device_tflops: Rate | None = None
    device_tbps: Rate | None = None

    @property
    def folder(self) -> Path:
        """`output` as a path."""
        return Path(self.output)


def load(path: Path | str, changes: Sequence[str] = ()) -> Config:
    """Read a config file.

    Args:
        path: the YAML file.
        changes: `grpo.steps=40` and the like, which take the place of what the file says.

    Raises:
        TrainingError: it cannot be read, or a field is missing, unknown or out of range.
    """
    path = Path(path)
    requirements.require("yaml")
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "name one of training/configs/*.yaml, or a file of yours"
        raise TrainingError(f"cannot be read: {error}", source=path, remedy=remedy) from error
    except yaml.YAMLError as error:
        raise TrainingError(f"not readable as YAML: {error}", source=path) from error
    if not isinstance(data, dict):
        raise TrainingError("expected fields with values", source=path)
    for change in changes:
        _change(data, change)
    return parse(data, path)


def parse(data: Mapping[str, Any], source: Path | None = None) -> Config:
    """Check a config that is data already.

    Raises:
        TrainingError: as `load`.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or None
        more = len(error.errors()) - 1
        problem = first["msg"] + (f" (and {more} more)" if more else "")
        raise TrainingError(
            problem, source=source, place=place, remedy="see training/config.py for every field"
        ) from None


def _change(data: dict[str, Any], change: str) -> None:
    name, equals, value = change.partition("=")
    if not equals:
        raise TrainingError(f"{change!r} is no field=value", place="--set")
    *sections, last = name.split(".")
    for section in sections:
        if data.get(section) is None:
            data[section] = {}
        data = data[section]
        if not isinstance(data, dict):
            raise TrainingError(f"{section!r} of {name!r} is no section", place="--set")
    import yaml

    data[last] = yaml.safe_load(value)


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every stage has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="a file like training/configs/*")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change the config"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print memory and time estimates, and train nothing"
    )
    return parser
