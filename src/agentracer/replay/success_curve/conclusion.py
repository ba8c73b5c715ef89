"""What a success curve shows, as a verdict with its proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from agentracer._version import __version__
from agentracer.replay.success_curve.curve import Credit
from agentracer.replay.success_curve.definition import MIN_LOSS
from agentracer.replay.success_curve.posterior import NO_SINGLE_STEP, Answer
from agentracer.replay.success_curve.search import Confirmation, PrefixSearch
from agentracer.trace import Trace
from agentracer.verdict import Candidate, PrefixRate, Provenance, Verdict, Verification

__all__ = ["ToolResultTest", "verdict_of_curve"]

Status = Literal["confirmed", "likely", "inconclusive"]


class ToolResultTest:
    """Where a step that asked for tools lost the run: in its request, or in what a tool returned.

    Args:
        tools: names of the tools whose results were left out.
        successes: of replays that kept the step and ran its tools again.
        replays: how many.
    """

    def __init__(self, tools: Sequence[str], successes: int, replays: int) -> None:
        self.tools, self.successes, self.replays = tuple(dict.fromkeys(tools)), successes, replays


def verdict_of_curve(
    trace: Trace,
    found: PrefixSearch,
    order: Sequence[int],
    *,
    rates: Sequence[PrefixRate],
    credits: Sequence[Credit],  # noqa: A002 - the field's own term
    traces: Sequence[str] = (),
    problems: Iterable[str] = (),
    notes: Sequence[str] = (),
    tool_test: ToolResultTest | None = None,
) -> Verdict:
    """State what the counts show, and what is missing where they do not show enough."""
    top = found.top
    share = found.posterior.get(top, 0.0) if top is not None else 0.0
    provenance = Provenance(
        model="replay", method="success curve", versions={"agentracer": __version__}
    )
    candidates = tuple(
        Candidate(
            agent=trace.steps[order[a]].agent,
            step=order[a],
            probability=min(1.0, found.posterior[a]),
            reason=_change(rates, a),
        )
        for a in found.posterior
        if isinstance(a, int)
    )[:12]
    common = {
        "trace_id": trace.id,
        "provenance": provenance,
        "candidates": candidates,
        "notes": tuple(notes),
        "success_curve": tuple(rates),
    }
    if not isinstance(top, int) or share < found.level or found.record_succeeds:
        reason = "; ".join(_why_none(found, order, credits, problems))
        return Verdict(abstained=True, abstain_reason=reason, **common)
    step = order[top]
    reason = "; ".join(_reasons(found, top, rates, tool_test))
    return Verdict(
        agent=trace.steps[step].agent,
        step=step,
        reason=reason,
        confidence=min(1.0, share),
        calibrated=True,
        basis="replay",
        verification=_verification(found, top, traces),
        **common,
    )


def _verification(found: PrefixSearch, top: int, traces: Sequence[str]) -> Verification:
    test = found.confirmation
    confirmed = test is not None and test.step == top and test.passed
    without, kept = found.counts.get(top, (0, 0)), found.counts.get(top + 1, (0, 0))
    if test is not None and test.step == top:
        without, kept = test.without, test.with_step
    return Verification(
        status="confirmed" if confirmed else "likely",
        method="prefixes",
        flips=without[0],
        replays=without[1],
        control_flips=kept[0],
        control_replays=kept[1],
        traces=tuple(traces),
        note=_test_note(test),
    )


def _test_note(test: Confirmation | None) -> str:
    if test is None:
        return "no exact test was made: the budget was spent before it"
    counts = (
        f"fresh replays: {test.without[0]} of {test.without[1]} succeed without this step, "
        f"{test.with_step[0]} of {test.with_step[1]} with it kept"
    )
    if test.passed:
        return f"{counts} (exact test, p = {test.p_value:.3g})"
    if not test.finished:
        return f"{counts}: the exact test was not finished, it takes {test.size} of each"
    p_value = f"p = {test.p_value:.3g}, needed: below {test.alpha:.3g}"
    return f"{counts}: the exact test does not pass ({p_value})"


def _reasons(
    found: PrefixSearch, top: int, rates: Sequence[PrefixRate], tool_test: ToolResultTest | None
) -> Iterator[str]:
    yield _change(rates, top)
    if tool_test is not None and tool_test.replays:
        counts = f"{tool_test.successes} of {tool_test.replays} replays succeed"
        tools = ", ".join(tool_test.tools)
        if _tool_is_at_fault(found, top, tool_test):
            yield f"the result of {tools} lost it: with the tool run again, {counts}"
        else:
            yield f"with the same request and {tools} run again, {counts}"


def _tool_is_at_fault(found: PrefixSearch, top: int, test: ToolResultTest) -> bool:
    """Whether running the tools again brings back at least half of what the step lost."""
    before, after = _estimate(found, top), _estimate(found, top + 1)
    return test.successes / test.replays - after >= max(MIN_LOSS, (before - after) / 2)


def _estimate(found: PrefixSearch, prefix: int) -> float:
    successes, replays = found.counts.get(prefix, (0, 0))
    return successes / replays if replays else 0.0


def _change(rates: Sequence[PrefixRate], step: int) -> str:
    """Say how often replays succeed up to this step and with it kept, from the nearest prefixes."""
    before = max((r for r in rates if r.prefix <= step and r.replays), default=None, key=_length)
    after = min((r for r in rates if r.prefix > step and r.replays), default=None, key=_length)
    parts = [
        f"{_result_of(r)} with {where}"
        for r, where in ((before, _kept(before)), (after, _kept(after)))
        if r is not None
    ]
    return ", ".join(parts)


def _result_of(rate: PrefixRate) -> str:
    if rate.mean_score is not None:
        return f"the mean score of {rate.replays} replays is {rate.mean_score:.2f}"
    return f"{rate.successes} of {rate.replays} replays succeed"


def _length(rate: PrefixRate) -> int:
    return rate.prefix


def _kept(rate: PrefixRate | None) -> str:
    if rate is None or rate.step is None:
        return "nothing kept"
    return f"the run kept through step {rate.step}"


def _why_none(
    found: PrefixSearch,
    order: Sequence[int],
    credits: Sequence[Credit],  # noqa: A002
    problems: Iterable[str],
) -> Iterator[str]:
    end = found.counts.get(found.steps, (0, 0))
    if found.record_succeeds:
        yield (
            f"{end[0]} of {end[1]} replays of the full record succeed although the run failed: the "
            "check is not deterministic, or code outside of the record decides\n"
            "  remedy: make the check deterministic, or let System(check_repeats=n) take a majority"
        )
        return
    top = found.top
    share = found.posterior.get(top, 0.0) if top is not None else 0.0
    if found.never_succeeds:
        tried = ", ".join(str(k) for k in sorted(found.counts) if k < found.steps)
        searched = sum(n for k, (_, n) in found.counts.items() if k < found.steps)
        yield (
            f"0 of {searched} replays succeed, with {tried} of {found.steps} steps kept; nothing "
            "here shows a decisive step: the system fails this task whenever it is run"
        )
    elif top == NO_SINGLE_STEP and share >= found.level:
        yield "no single step lost this run"
        yield from _losses(credits)
    else:
        yield f"inconclusive: {found.ended}" if found.ended else "inconclusive"
        if found.answers:
            yield f"still possible ({found.level:.0%}): {_listed(found.answers, order)}"
    yield from dict.fromkeys(problems)


def _losses(credits: Sequence[Credit]) -> Iterator[str]:  # noqa: A002
    for credit in credits:
        if credit.loss > 0:
            steps = ", ".join(map(str, credit.steps))
            change = f"{credit.before:.0%} to {credit.after:.0%}"
            yield f"step {steps} ({', '.join(credit.agents)}): {change}"


def _listed(answers: Sequence[Answer], order: Sequence[int]) -> str:
    steps = sorted(order[a] for a in answers if isinstance(a, int))
    others = [str(a) for a in answers if not isinstance(a, int)]
    named = [f"step {', '.join(map(str, steps))}"] if steps else []
    return ", ".join([*named, *others])
