"""A model of about 50 million weights from nothing, on one GPU in about 20 minutes.

    python -m training.gpu.small --config training/configs/small-1gpu.yaml --out FILE.json [--smoke]

Makes tokenizer and random weights, trains SFT and then GRPO, and measures: tokens a second and
utilisation against the matrix products that this device really does, held-out accuracy by length of
the run and by domain, with the trivial rules beside. The data is made beforehand with `agentracer
collect`: at least 20,000 labelled traces.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError
from agentracer.lab.bench.metrics import Prediction
from agentracer.trace import Trace
from training import config as configs
from training import corpus, data, evaluate, stages, tiny, tokens
from training.config import Config
from training.gpu.ceiling import matrix_products, synchronised
from training.plots import read

__all__ = ["main"]

LENGTHS = ((1, 8), (9, 14), (15, 25), (26, 10_000))
SMOKE = (
    *("sft.steps=2", "sft.batch=4", "sft.micro_batch=4", "sft.save_every=0"),
    *("grpo.steps=1", "grpo.batch=2", "grpo.group=2", "grpo.micro_batch=4", "grpo.save_every=0"),
    *("evaluation.traces=4", "data.answer_tokens=512", "threads=1"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phrases", type=int, default=6_000, help="phrases that become tokens")
    parser.add_argument("--smoke", action="store_true", help="a few steps of a tiny model")
    asked = parser.parse_args(argv)
    try:
        changes = [*(SMOKE if asked.smoke else ()), *asked.set]
        found = measure(configs.load(asked.config, changes), asked.phrases, smoke=asked.smoke)
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("machine", "sft", "grpo")}, indent=2))
    return 0


def measure(config: Config, phrases: int, *, smoke: bool) -> dict[str, Any]:
    """Train and measure."""
    import torch

    from training import grpo, sft

    stages.seed_everything(config)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    ceiling = matrix_products(dtype, **({"size": 512, "rounds": 2} if smoke else {}))
    _model(config, phrases, smoke=smoke)
    weights = stages.base_model(config.model.path, config).num_parameters()
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.machine(),
        "ceiling, TFLOP/s": round(ceiling, 3),
        "parameters": weights,
        "smoke": smoke,
    }
    held_out = corpus.load(config.data).test
    tokenizer = tokens.load_tokenizer(config)
    prompts = [
        one
        for one in data.examples(held_out[: 8 if smoke else None], tokenizer, config.data)
        if "/" not in one.id
    ]
    for name, train in (("sft", sft.train), ("grpo", grpo.train)):
        began = synchronised()
        folder = train(config)
        seconds = synchronised() - began
        seen = read(config.folder, name, "num_tokens")[1][-1]
        model = stages.base_model(folder, config).to("cuda" if torch.cuda.is_available() else "cpu")
        size, batch = config.data.answer_tokens, config.evaluation.batch
        texts = evaluate.generated(model, tokenizer, prompts, tokens=size, batch=batch)
        said = evaluate.predictions(prompts, texts)
        found[name] = {
            "seconds": round(seconds, 1),
            "tokens": seen,
            "tokens a second": round(seen / seconds),
            # Six operations a weight and token for a training step; of GRPO the writing is extra.
            "utilisation": round(6 * weights * seen / seconds / 1e12 / ceiling, 4),
            **parts([one.trace for one in prompts], said),
        }
    found["rules"] = evaluate.rules([one.trace for one in prompts])
    return found


def _model(config: Config, phrases: int, *, smoke: bool) -> None:
    traces = corpus.load(config.data).train
    roomy = config.data.model_copy(update={"context": 200_000, "answer_tokens": 50_000})
    plain = tiny.tokenizer(())
    texts = [
        text
        for one in data.prepare(traces[:2_000], plain, roomy, seed=0, enough=2_000)
        for text in (*(turn.content for turn in one.prompt), data.demonstration(one, plain, 50_000))
    ]
    said = config.model
    shape = (
        {"hidden": 32, "layers": 1, "heads": 2}
        if smoke
        else {"hidden": said.hidden or 512, "layers": said.layers or 12, "heads": said.heads or 8}
    )
    tiny.make(
        Path(said.path),
        texts,
        phrases=phrases,
        seed=config.seed,
        context=config.data.context,
        **shape,
    )


def parts(traces: Sequence[Trace], said: Sequence[Prediction]) -> dict[str, Any]:
    """Accuracy in all, by length of the run, and by domain."""

    def of(keep: Callable[[Trace], bool]) -> dict[str, Any] | None:
        mine = [one for trace, one in zip(traces, said, strict=True) if keep(trace)]
        return evaluate.summary(mine) if mine else None

    domains = sorted({str(trace.metadata.get("domain")) for trace in traces})
    return {
        "all": of(lambda _: True),
        "by length": {
            f"{low} to {high}": of(lambda t, a=low, b=high: a <= len(t.steps) <= b)  # type: ignore[misc]
            for low, high in LENGTHS
        },
        "by domain": {
            name: of(lambda t, d=name: str(t.metadata.get("domain")) == d)  # type: ignore[misc]
            for name in domains
        },
    }


if __name__ == "__main__":
    sys.exit(main())
