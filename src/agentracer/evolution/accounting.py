"""What runs, verdicts and replays cost an iteration, as `Usage` without times.

Wall time is left out, for an iteration that is resumed has to come to the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentracer.replay.engine import usage_of_steps
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Verdict

__all__ = ["usage_from_json", "usage_of_run", "usage_of_search", "usage_of_verdict"]


def usage_of_run(trace: Trace, *, replay: bool = False) -> Usage:
    """Return what a recorded run cost; of a replay, what ran live."""
    live = [s for s in trace.steps if s.attributes.get("replay", "live") == "live"]
    return usage_of_steps(live) + (Usage(replays=1) if replay else Usage(runs=1))


def usage_of_verdict(verdict: Verdict) -> Usage:
    """Return what the model calls of a tracer cost."""
    return replace(verdict.provenance.usage, seconds=0.0)


def usage_of_search(usage: Usage) -> Usage:
    """Return what the replays of a search cost, those of an interrupted one among them."""
    return replace(usage, replays=usage.all_runs + usage.resumed, runs=0, resumed=0, seconds=0.0)


def usage_from_json(data: Mapping[str, Any]) -> Usage:
    """Read what `Usage.to_dict` wrote, or release 0.1.0, which only kept the sum of tokens."""
    counts = dict(data)
    counts["unsplit_tokens"] = counts.pop("tokens", counts.get("unsplit_tokens", 0))
    return Usage(**counts)
