"""Print one run to a terminal, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

__all__ = ["print_trace"]


def print_trace(trace: Trace, console: Console, verdict: Verdict | None = None) -> None:
    """Print a run, step by step.

    Args:
        trace: the run.
        console: where to.
        verdict: marks the steps that it blames; its success curve stands beside the steps.
    """
    writer = ConsoleWriter(console)
    _print_header(trace, writer)
    marks = _marks(trace, verdict)
    curve = _curve_column(verdict)
    if verdict is not None and verdict.success_curve:
        _print_curve_head(verdict.success_curve, writer)
    nesting = CallNesting(trace.observed)
    for step in trace.steps:
        writer.blank()
        _print_step(step, marks.get(step.index, []), writer, curve(step), nesting)
    writer.blank()
    _print_end(trace, writer)


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
        counts = f"{fresh.successes} of {fresh.replays}"
        writer.line(Text(block(fresh)), plain(f"      nothing kept: {counts} succeed", "dim"))


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
