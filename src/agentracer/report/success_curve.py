"""The success curve of a verdict as a line of block characters, and as data for the HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from agentracer.report import formatting
from agentracer.verdict import PrefixRate, Verdict

__all__ = ["NOT_MEASURED", "block", "blocks", "curve_line", "page_data"]

_BLOCKS = "▁▂▃▄▅▆▇█"
NOT_MEASURED = "·"
"""Stands for a prefix that was not replayed."""

_LINE = 80  # prefixes in a line of blocks; a longer run is shown by its measured prefixes only


def block(rate: PrefixRate) -> str:
    """Return the rate of success as one block character; a dot where nothing was measured."""
    if not rate.replays:
        return NOT_MEASURED
    return _BLOCKS[round(rate.estimate * (len(_BLOCKS) - 1))]


def blocks(rates: Sequence[PrefixRate]) -> str:
    """Draw the curve as one line of block characters; a dot stands for a prefix not replayed.

    Args:
        rates: shortest prefix first.
    """
    measured = {rate.prefix: block(rate) for rate in rates if rate.replays}
    return "".join(measured.get(prefix, NOT_MEASURED) for prefix in _drawn(rates))


def curve_line(rates: Sequence[PrefixRate]) -> str:
    """Return the curve with its first and last prefix, such as `0 ▇▇▁ 2`; empty without rates."""
    drawn = _drawn(rates)
    return f"{drawn[0]} {blocks(rates)} {drawn[-1]}" if drawn else ""


def _drawn(rates: Sequence[PrefixRate]) -> Sequence[int]:
    """The prefixes that have a character in the line: all, or of a long run the measured ones."""
    last = max((rate.prefix for rate in rates), default=-1)
    return range(last + 1) if last < _LINE else [rate.prefix for rate in rates if rate.replays]


def page_data(verdict: Verdict) -> dict[str, Any]:
    """Return what the page needs to draw the curve, as JSON data.

    Returns:
        `points`: each prefix that was tried, with its 95 % interval as `low` and `high` and a
        sentence in `words`. `loss`: positions in `points` of the measured prefixes before and after
        the decisive step; None where the verdict names none or its prefix was not measured.
    """
    return {
        "points": [_point(rate) for rate in verdict.success_curve],
        "loss": _loss(verdict),
    }


def _point(rate: PrefixRate) -> dict[str, Any]:
    low, high = rate.interval
    return {
        "prefix": rate.prefix,
        "step": rate.step,
        "successes": rate.successes,
        "replays": rate.replays,
        "estimate": round(rate.estimate, 4),
        "counted": rate.counted,
        "low": round(low, 4),
        "high": round(high, 4),
        "words": f"{_kept(rate)}: {_counts(rate)}",
    }


def _kept(rate: PrefixRate) -> str:
    return "Nothing kept" if rate.step is None else f"Kept through step {rate.step}"


def _counts(rate: PrefixRate) -> str:
    if not rate.replays:
        unusable = formatting.plural(rate.unusable, "replay")
        return f"not measured, {unusable} could not be used" if rate.unusable else "not measured"
    low, high = rate.interval
    interval = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    if rate.mean_score is not None:
        return f"mean score {rate.mean_score:.2f} in {rate.replays} replays, {interval}"
    return f"{rate.counted} replays succeed, {interval}"


def _loss(verdict: Verdict) -> tuple[int, int] | None:
    rates = verdict.success_curve
    measured = [position for position, rate in enumerate(rates) if rate.replays]
    for before, after in pairwise(measured):
        if verdict.step is not None and rates[after].step == verdict.step:
            return before, after
    return None
