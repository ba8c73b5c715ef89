"""How good a tracer is on held-out tasks, with the trivial rules beside it.

    python -m training.evaluate --model DIR --config FILE            the held-out tasks of a config
    python -m training.evaluate --model DIR --whowhen FOLDER         Who&When, zero-shot

`--batch 64` writes so many answers side by side; `--answer-tokens 96` keeps each of them short.

Both go through `Tracer("transformers:DIR")`, as it is used. While a model trains it writes its
answers in batches instead; they are read by the same code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer
from agentracer.attribution.language_models import chat
from agentracer.errors import AgentracerError
from agentracer.lab.bench.metrics import Prediction, score
from agentracer.lab.bench.rules import baselines
from agentracer.statistics import Rate
from agentracer.trace import Trace
from training import corpus, data
from training.config import Config, load
from training.data import Example

__all__ = [
    "by_tracer",
    "generated",
    "main",
    "predictions",
    "rules",
    "summary",
    "while_training",
    "whowhen",
]


def generated(
    model: Any, tokenizer: Any, prompts: Sequence[Example], *, tokens: int, batch: int
) -> list[str]:
    """What a model answers, likeliest token by token.

    Args:
        model: in the number format and on the device that it has.
        tokenizer: its own.
        prompts: to answer.
        tokens: that an answer may have.
        batch: answers written at a time.
    """
    import torch

    ids = [chat.encode(tokenizer, one.prompt).ids for one in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    texts = [""] * len(ids)
    was_training = model.training
    model.eval()
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        width = max(len(ids[i]) for i in rows)
        padded = torch.full((len(rows), width), tokenizer.pad_token_id)
        for row, i in enumerate(rows):
            padded[row, width - len(ids[i]) :] = torch.tensor(ids[i])
        padded = padded.to(model.device)
        with torch.inference_mode():
            written = model.generate(
                input_ids=padded,
                attention_mask=(padded != tokenizer.pad_token_id).long(),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        decoded = tokenizer.batch_decode(written[:, width:], skip_special_tokens=True)
        for i, text in zip(rows, decoded, strict=True):
            texts[i] = text
    model.train(was_training)
    return texts


def predictions(prompts: Sequence[Example], texts: Sequence[str]) -> list[Prediction]:
    """Answers as predictions, read as attribution reads them."""
    found = []
    for example, text in zip(prompts, texts, strict=True):
        prompt = example.judge_prompt
        answer = answers.parse_blame("tagged", text, prompt.view, prompt.steps)
        blamed = answer if isinstance(answer, Answer) and answer.step is not None else None
        label = example.trace.labels[0]
        found.append(
            Prediction(
                id=example.id,
                file="",
                agent=blamed.agent if blamed else None,
                step=blamed.step if blamed else None,
                label_agent=label.agent,
                label_step=label.step,
                abstained=blamed is None,
                length=len(example.trace.steps),
            )
        )
    return found


def while_training(
    config: Config, tokenizer: Any, traces: Sequence[Trace]
) -> Callable[[Any], Mapping[str, float]]:
    """A measure of held-out accuracy for a trainer, with the best trivial rules as they are.

    Traces that do not fit one prompt are left to the evaluation at the end.
    """
    chosen = traces[: config.evaluation.traces]
    prompts = [one for one in data.examples(chosen, tokenizer, config.data) if "/" not in one.id]
    beside = {f"rule/{name}": value for name, value in _best(rules(chosen)).items()}

    def measure(trainer: Any) -> Mapping[str, float]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        texts = generated(
            model,
            tokenizer,
            prompts,
            tokens=config.data.answer_tokens,
            batch=config.evaluation.batch,
        )
        scores = score(predictions(prompts, texts)).rates
        return {
            "step": scores["step_accuracy"].value,
            "agent": scores["agent_accuracy"].value,
            **beside,
        }

    return measure


def rules(traces: Sequence[Trace]) -> dict[str, dict[str, Any]]:
    """What rules score that read nothing: agent and step, with intervals."""
    return {one.name: _told(one.scores.rates) for one in baselines(traces)}


def _best(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {
        kind: max(float(one[kind]["accuracy"]) for one in found.values())
        for kind in ("agent", "step")
    }


def _told(rates: Mapping[str, Rate]) -> dict[str, Any]:
    return {
        kind: {
            "accuracy": rates[f"{kind}_accuracy"].value,
            "interval": list(rates[f"{kind}_accuracy"].interval),
        }
        for kind in ("agent", "step")
    }


def summary(found: Sequence[Prediction]) -> dict[str, Any]:
    """Accuracies of predictions as JSON data."""
    scored = score(found)
    abstained = sum(one.abstained for one in found)
    return {"n": len(found), "abstained": abstained, **_told(scored.rates)}


def by_tracer(
    folder: Path, traces: Sequence[Trace], *, settings: str = "", answer_tokens: int | None = None
) -> list[Prediction]:
    """Predictions of `Tracer("transformers:FOLDER")`, in the order of the traces.

    Args:
        folder: with a checkpoint.
        traces: labelled.
        settings: of the model, such as `?batch=64`.
        answer_tokens: of one answer at most; None leaves it to `Tracer`.

    Raises:
        AgentracerError: a trace could not be judged.
    """
    from agentracer.attribution import Tracer

    found = []
    tracer = Tracer(f"transformers:{folder}{settings}", answer_tokens=answer_tokens)
    for one in tracer.attribute_many(traces, progress=True):
        if one.error is not None:
            raise one.error
        trace, verdict = one.trace, one.verdict
        assert verdict is not None
        found.append(
            Prediction(
                id=trace.id,
                file="",
                agent=verdict.agent,
                step=verdict.step,
                label_agent=trace.labels[0].agent,
                label_step=trace.labels[0].step,
                abstained=verdict.abstained,
                length=len(trace.steps),
                tokens=verdict.provenance.usage.tokens,
            )
        )
    return found


def whowhen(folder: Path, judge: Callable[[Sequence[Trace]], list[Prediction]]) -> dict[str, Any]:
    """Both subsets of Who&When, zero-shot, with the rules beside.

    Args:
        folder: with a folder of logs for each subset.
        judge: predicts; see `by_tracer`.
    """
    from agentracer.formats.whowhen import load_directory

    found: dict[str, Any] = {}
    for subset in sorted(path for path in folder.iterdir() if path.is_dir()):
        traces = [trace for trace in load_directory(subset) if trace.labels]
        found[subset.name] = {"tracer": summary(judge(traces)), "rules": rules(traces)}
        # Hours of work may lie between two subsets.
        print(f"{subset.name}: {found[subset.name]['tracer']}", file=sys.stderr, flush=True)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a folder with a checkpoint")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, help="evaluate on its held-out tasks")
    what.add_argument("--whowhen", type=Path, help="evaluate on the subsets in this folder")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--batch", type=int, default=1, help="answers written side by side")
    parser.add_argument("--answer-tokens", type=int, help="of one answer at most")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    asked = parser.parse_args(argv)
    judge = partial(
        by_tracer,
        asked.model,
        settings=f"?batch={asked.batch}",
        answer_tokens=asked.answer_tokens,
    )
    try:
        if asked.whowhen:
            found = whowhen(asked.whowhen, judge)
        else:
            config = load(asked.config, asked.set)
            traces = corpus.load(config.data).test
            found = {"held-out": {"tracer": summary(judge(traces)), "rules": rules(traces)}}
    except (AgentracerError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = {"model": str(asked.model), "command": sys.argv[1:], **found}
    text = json.dumps(found, indent=2)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
