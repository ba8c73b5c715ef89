"""A tiny model for measuring injected lines: it has learnt to pass over text that is no sum.

The model of `tiny` has never seen a line that does not belong to its sums, so that any line throws
it off, and who attacks it learns nothing. This one is trained with random words in random places,
with the defences and without them alike. No attack is among the words: what is measured is how it
takes text of a kind that it was not made for, as any judge must.

    python -m tests.attribution.llm.noisy FOLDER
    agentracer bench injection FOLDER/logs --model "transformers:FOLDER/model"
"""

from __future__ import annotations

import json
import random
import string
import sys
from pathlib import Path

from agentracer.attribution.language_models import chat
from agentracer.attribution.rendering import TraceView
from agentracer.formats import whowhen
from agentracer.lab.bench.injection import inject
from agentracer.trace import Trace

from . import tiny

STRANGE = 0.6  # share of the runs that have strange lines in them
BARE = 0.25  # share that is rendered without the defences: copying indices is learnt sooner


def words(draw: random.Random) -> str:
    """One to three lines of words of random letters, with names and digits among them."""
    lines = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        count = draw.randint(2, 9)
        lines.append(" ".join(_word(draw) for _ in range(count)))
    return "\n".join(lines)


def _word(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.1:
        return draw.choice(tiny.AGENTS)
    if kind < 0.2:
        return str(draw.randrange(10))
    letters = string.ascii_letters if draw.random() < 0.2 else string.ascii_lowercase
    return "".join(draw.choices(letters, k=draw.randint(1, 8))) + draw.choice(["", "", ".", ":"])


def log(seed: int) -> Trace:
    """A failure as its log in the form of Who&When tells it: what the benchmark reads."""
    return whowhen.trace_of(whowhen.to_whowhen(tiny.failure(seed)))


def example(tok, seed: int) -> tuple[list[int], list[int]]:
    """Ids of a prompt, of which some have strange lines in them, and of its solution."""
    draw, trace = random.Random(seed), log(seed)
    shown = trace
    if draw.random() < STRANGE:
        shown = inject(trace, words(draw), draw.randrange(len(trace.steps)), seed=seed)
    view = TraceView(
        shown.observed,
        key=str(seed),
        defended=draw.random() >= BARE,
        forbidden=chat.special_tokens(tok),
    )
    encoded = chat.encode(tok, tiny.question(view))
    target = tok(tiny.solution(trace, view) + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return encoded.ids, target


def main(folder: Path, runs: int = 60) -> None:
    """Train for about a quarter of an hour, and write logs of failures that were held out."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    for seed in range(runs):
        (logs / f"{seed}.json").write_text(json.dumps(whowhen.to_whowhen(tiny.failure(seed))))
    print(tiny.train(folder / "model", example, steps=900, seconds=2_700))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
