"""Print one run to a terminal, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.text import Text

from agentracer.call_nesting import CallNesting
from agentracer.report import formatting
from agentracer.report.success_curve import NOT_MEASURED, block
from agentracer.report.terminal.console_writer import (
    ACCENT,
    ConsoleWriter,
    arguments_of,
    compact,
    outcome_of,
    plain,
    print_error,
)
from agentracer.trace import Label, Step, ToolCall, Trace
from agentracer.verdict import PrefixRate, Verdict

__all__ = ["MOST_STEPS", "print_trace"]

MOST_STEPS = 2_000
"""Of a longer run, the steps in the middle that nothing marks are left out unless asked for."""

_NEIGHBOURS = 2  # steps before and after a marked one that stay
_MOST_MARKED = 200  # marked steps that stay


def print_trace(
    trace: Trace, console: Console, verdict: Verdict | None = None, *, steps: range | None = None
) -> None:
    """Print a run, step by step. Where steps are left out, it says which.

    Args:
        trace: the run.
        console: where to.
        verdict: marks the steps that it blames; its success curve stands beside the steps.
        steps: print these alone; None: all steps of a run of up to `MOST_STEPS`, else its
            beginning, its end, and the surroundings of marked steps.
    """
    writer = ConsoleWriter(console)
    _print_header(trace, writer)
    marks = _marks(trace, verdict)
    curve = _curve_column(verdict)
    if verdict is not None and verdict.success_curve:
        _print_curve_head(verdict.success_curve, writer)
    nesting = CallNesting(trace.observed)
    shown = _shown(len(trace.steps), marks) if steps is None else steps
    after = 0
    for index in shown:
        if index >= len(trace.steps):
            break
        _print_gap(after, index, writer)
        after = index + 1
        writer.blank()
        step = trace.steps[index]
        _print_step(step, marks.get(index, []), writer, curve(step), nesting)
    _print_gap(after, len(trace.steps), writer)
    writer.blank()
    _print_end(trace, writer)


def _shown(count: int, marks: Iterable[int]) -> Sequence[int]:
    """The steps that are printed of a run of `count` steps, in order."""
    if count <= MOST_STEPS:
        return range(count)
    marked = sorted(step for step in marks if step < count)[:_MOST_MARKED]
    near = {
        step
        for mark in marked
        for step in range(max(0, mark - _NEIGHBOURS), min(count, mark + _NEIGHBOURS + 1))
    }
    tail = (MOST_STEPS - len(near)) // 4
    head = MOST_STEPS - len(near) - tail
    return sorted({*range(head), *near, *range(count - tail, count)})


def _print_gap(first: int, end: int, writer: ConsoleWriter) -> None:
    """Say which steps are left out: those from `first` to before `end`."""
    if end <= first:
        return
    which = f"step {first}" if end == first + 1 else f"steps {first} to {end - 1}"
    option = f"--steps {first}-{end - 1}"
    writer.blank()
    writer.line(plain(f"… {which} not shown; `agentracer show ID {option}` shows them", "dim"))


def _print_header(trace: Trace, writer: ConsoleWriter) -> None:
    writer.line(plain(trace.id, "bold"), Text("  "), outcome_of(formatting.run_outcome(trace)))
    writer.line(plain(formatting.summary(trace), "dim"))
    if trace.parent is not None:
        writer.line(plain(f"replays or continues {trace.parent}", "dim"))
    if trace.task:
        writer.blank()
        writer.text(trace.task, rows=8)


def _marks(trace: Trace, verdict: Verdict | None) -> dict[int, list[Text]]:
    marks: dict[int, list[Text]] = {}
    candidates = verdict.candidates if verdict is not None else ()
    decisive = verdict.step if verdict is not None else None
    if decisive is not None:
        marks[decisive] = [plain("decisive step", "bold reverse red")]
    for rank, candidate in enumerate(candidates, start=1):
        if candidate.step != decisive:
            marks.setdefault(candidate.step, []).append(plain(f"shortlist {rank}", "red"))
    for label in trace.labels:
        marks.setdefault(label.step, []).append(_label(label))
    return marks


def _curve_column(verdict: Verdict | None) -> Callable[[Step], Text]:
    """Return what stands before the head line of a step: how often replays succeed that keep it."""
    rates = verdict.success_curve if verdict is not None else ()
    if not rates:
        return lambda _: Text()
    columns = {rate.step: block(rate) for rate in rates}
    decisive = verdict.step if verdict is not None else None

    def column(step: Step) -> Text:
        style = ACCENT if step.index == decisive else ""
        return plain(columns.get(step.index, NOT_MEASURED), style)

    return column


def _print_curve_head(rates: Sequence[PrefixRate], writer: ConsoleWriter) -> None:
    """Say what the column shows, and the rate with nothing kept, which belongs to no step."""
    words = (
        f"Beside each step: how often replays succeed that keep the run through it "
        f"({NOT_MEASURED} not measured)"
    )
    writer.blank()
    writer.text(words, rows=3, style="dim")
    fresh = next((rate for rate in rates if rate.step is None and rate.replays), None)
    if fresh is not None:
        succeed = "" if fresh.mean_score is not None else " succeed"
        words = f"      nothing kept: {fresh.counted}{succeed}"
        writer.line(Text(block(fresh)), plain(words, "dim"))


def _label(label: Label) -> Text:
    return plain(f"label by {label.source}", "bold")


def _print_step(
    step: Step, marks: list[Text], writer: ConsoleWriter, column: Text, nesting: CallNesting
) -> None:
    facts = [step.kind, formatting.duration(step)]
    if step.parent is not None:
        facts.insert(0, f"inside step {step.parent}")
    number = f"{step.index:>{4 - column.cell_len}}"
    head = [column, plain(number, "dim"), Text("  "), plain(step.agent, "bold")]
    if step.to:
        head.append(plain(f" → {step.to}"))
    head.append(plain("  " + " · ".join(fact for fact in facts if fact), "dim"))
    for mark in marks:
        head += [Text("  "), mark]
    writer.line(*head)
    if step.content.strip():
        writer.text(step.content, indent=6, rows=5)
    for position, call in enumerate(step.tool_calls):
        _print_request(call, writer)
        if nesting.has_inner_steps(step.index, position):
            after = nesting.result_follows(step.index, position)
            writer.line(plain(f"-> returned after step {after}", "dim"), indent=8)
        else:
            _print_result(call, writer)
    for ref, call in nesting.results_after(step.index):
        if ref.step != step.index:
            words = f"{call.name} returns to {nesting.run.steps[ref.step].agent}, step {ref.step}"
            writer.text(words, indent=6, rows=3, style="cyan")
            _print_result(call, writer)
    if step.error is not None:
        print_error(step.error, writer, indent=6)


def _print_request(call: ToolCall, writer: ConsoleWriter) -> None:
    writer.text(f"{call.name}({arguments_of(call.arguments)})", indent=6, rows=3, style="cyan")


def _print_result(call: ToolCall, writer: ConsoleWriter) -> None:
    if call.error is not None:
        print_error(call.error, writer, indent=8)
    elif call.result is not None:
        writer.text(compact(call.result) or "(empty)", indent=8, rows=3, lead=Text("-> "))
    else:
        writer.line(plain("-> no result recorded", "dim"), indent=8)


def _print_end(trace: Trace, writer: ConsoleWriter) -> None:
    outcome = trace.outcome
    writer.line(plain(" end  ", "dim"), outcome_of(formatting.run_outcome(trace)))
    if outcome.answer is not None:
        writer.text(f"answer: {outcome.answer}", indent=6, rows=3)
    if trace.ground_truth is not None and trace.ground_truth.answer is not None:
        writer.text(f"expected: {compact(trace.ground_truth.answer)}", indent=6, rows=3)
    if outcome.error is not None:
        print_error(outcome.error, writer, indent=6)
