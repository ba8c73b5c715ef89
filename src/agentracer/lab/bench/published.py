"""Load published figures, each with its source, setting and caveats.

They are printed below the tracer's own, marked zero-shot or in-domain: a figure of a model that
was trained on this benchmark must not be set beside one that was not, as like for like.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Published", "published"]


@dataclass(frozen=True)
class Published:
    """One published row.

    Attributes:
        benchmark: such as `Who&When`.
        subset: of the benchmark.
        method: what was measured.
        agent: accuracy in %, None where not given; `step` likewise.
        step: see `agent`.
        setting: `w/ G`, `w/o G` or `unclear`.
        kind: `zero-shot`, or `in-domain` for what was trained or tuned on this benchmark.
        source: paper and table, or where it was read second-hand.
        note: what to know before comparing; empty if nothing.
    """

    benchmark: str
    subset: str
    method: str
    agent: float | None
    step: float | None
    setting: str
    kind: str
    source: str
    note: str = ""


@cache
def _everything() -> tuple[Published, ...]:
    text = (resources.files("agentracer.lab.bench") / "published.json").read_text(encoding="utf-8")
    rows = []
    for entry in json.loads(text)["rows"]:
        facts = {k: entry.get(k, "") for k in ("method", "setting", "kind", "source", "note")}
        for subset, (agent, step) in entry["figures"].items():
            rows.append(Published(entry["benchmark"], subset, agent=agent, step=step, **facts))
    return tuple(rows)


def published(benchmark: str, subset: str, *, ground_truth: bool) -> list[Published]:
    """The rows of a subset that fit a setting; those of unclear setting are given in both."""
    other = "w/o G" if ground_truth else "w/ G"
    return [
        row
        for row in _everything()
        if (row.benchmark, row.subset) == (benchmark, subset) and row.setting != other
    ]
