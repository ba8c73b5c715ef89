"""Print a verdict to a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentracer.report import formatting
from agentracer.report.shortlist import Shortlist, ShortlistEntry, shortlist_of
from agentracer.report.terminal.console_writer import (
    ACCENT,
    ConsoleWriter,
    arguments_of,
    compact,
    flat,
    outcome_of,
    plain,
    print_error,
)
from agentracer.report.terminal.success_curve import print_success_curve
from agentracer.trace import Step, Trace
from agentracer.verdict import Verdict, Verification

__all__ = ["print_verdict"]

_CHAIN_LENGTH = 8
_NARROW = 60  # columns below which a quote goes under its step


def print_verdict(verdict: Verdict, trace: Trace, console: Console) -> None:
    """Print a verdict like a traceback: decisive step first, failure last.

    Args:
        verdict: the result of attribution.
        trace: the attributed run.
        console: where to.
    """
    writer = ConsoleWriter(console)
    if verdict.abstained:
        writer.line(plain("No step is blamed.", "bold"))
        writer.text(verdict.abstain_reason or "", indent=2, rows=8)
    else:
        _print_blame(verdict, trace, writer)
    if verdict.verification is not None:
        writer.blank()
        _print_verification(verdict.verification, writer)
    if verdict.success_curve:
        writer.blank()
        print_success_curve(verdict, trace, writer)
    if verdict.candidates:
        writer.blank()
        _print_shortlist(shortlist_of(verdict), writer)
    for note in verdict.notes:
        writer.text(note, rows=3, style="dim", lead=Text("- "))
    writer.blank()
    writer.text(formatting.provenance(verdict.provenance), style="dim", rows=4)


def _print_blame(verdict: Verdict, trace: Trace, writer: ConsoleWriter) -> None:
    step, agent = verdict.step, verdict.agent
    assert step is not None  # noqa: S101 - Verdict checks it; for mypy
    assert agent is not None  # noqa: S101
    if verdict.stands_out:
        by_agent = verdict.speaker != agent  # summed over the steps of an agent
        name = agent if by_agent else f"{agent}, step {step}"
        claim = formatting.claim(verdict, trace.outcome)
        writer.line(plain(name, ACCENT), plain(f" {claim}", "bold"))
        if by_agent:
            suspicious = f"the most suspicious step is {step}, by {verdict.speaker}"
            writer.line(plain(suspicious), indent=2)
    else:
        writer.line(plain(f"{formatting.headline(verdict, trace.outcome)}.", "bold"))
        writer.text(formatting.reading_list(verdict), indent=2, rows=3)
    if verdict.reason:
        writer.text(verdict.reason, indent=2, rows=8)
    writer.line(plain(f"confidence: {formatting.confidence(verdict)}"), indent=2)
    settling = formatting.settling(verdict, replayable=trace.replayable)
    if settling:
        writer.text(settling, indent=2, rows=4)
    if verdict.trace_id != trace.id:
        writer.line(
            plain(f"this verdict is about another trace: {verdict.trace_id}", "bold"), indent=2
        )
    writer.blank()
    if not verdict.stands_out:
        _print_end(trace, writer)
        return
    writer.line(plain("From this step to the end of the run:", "dim"))
    _print_chain(verdict, trace, writer)


def _print_chain(verdict: Verdict, trace: Trace, writer: ConsoleWriter) -> None:
    steps = _chain(verdict, trace)
    if not steps:
        writer.line(plain(f"step {verdict.step} is not in this trace", "bold"), indent=2)
    leads = {index: _who(verdict, trace.steps[index]) for index in steps}
    wide = min(max((lead.cell_len for lead in leads.values()), default=0), writer.width // 2)
    before = None
    for index, lead in leads.items():
        if before is not None and index > before + 1:
            gap = formatting.plural(index - before - 1, "step")
            writer.line(plain(f"… {gap}", "dim"), indent=2)
        before = index
        quote = _quote(verdict, trace.steps[index])
        if writer.width < _NARROW or lead.cell_len > wide:
            writer.line(lead, indent=2)
            writer.text(quote, indent=4, rows=2)
        else:
            lead.pad_right(wide - lead.cell_len + 2)
            writer.text(quote, indent=2, rows=2, lead=lead)
    _print_end(trace, writer)


def _print_end(trace: Trace, writer: ConsoleWriter) -> None:
    """Print how the run ended, its answer and the expected one."""
    outcome = trace.outcome
    writer.line(plain("end, ", "bold"), outcome_of(formatting.outcome(outcome)), indent=2)
    if outcome.error is not None:
        print_error(outcome.error, writer, indent=4)
    if outcome.answer is not None:
        writer.text(f"answer: {outcome.answer}", indent=4, rows=2)
    if trace.ground_truth is not None and trace.ground_truth.answer is not None:
        writer.text(f"expected: {compact(trace.ground_truth.answer)}", indent=4, rows=2)


def _who(verdict: Verdict, step: Step) -> Text:
    style = ACCENT if step.index == verdict.step else "bold"
    return plain(flat(f"step {step.index}, {step.agent}"), style)


def _chain(verdict: Verdict, trace: Trace) -> list[int]:
    """Return the decisive step, the quoted steps and errors after it, and the last step."""
    first = verdict.step
    if first is None or first >= len(trace.steps):
        return []
    quoted = {
        piece.step
        for candidate in verdict.candidates
        if candidate.step == first
        for piece in candidate.evidence
        if first < piece.step < len(trace.steps)
    }
    failed = [step.index for step in trace.steps[first + 1 :] if _failed(step)]
    last = len(trace.steps) - 1
    later = sorted(quoted | set(failed[:2]) - {last})[: _CHAIN_LENGTH - 2]
    return list(dict.fromkeys([first, *later, last]))


def _failed(step: Step) -> bool:
    return step.error is not None or any(call.error is not None for call in step.tool_calls)


def _quote(verdict: Verdict, step: Step) -> str:
    """Return a quote of the verdict from this step, else its error, else its first line."""
    for candidate in verdict.candidates:
        for piece in candidate.evidence:
            if piece.step == step.index and piece.quote.strip():
                return f"“{flat(piece.quote)}”"
    if step.error is not None:
        return f"{step.error.type}: {step.error.message}"
    return flat(next(_lines(step), "(wrote nothing)"))


def _lines(step: Step) -> Iterator[str]:
    yield from (line for line in step.content.split("\n") if line.strip())
    yield from (f"{call.name}({arguments_of(call.arguments)})" for call in step.tool_calls)


def _print_verification(proof: Verification, writer: ConsoleWriter) -> None:
    words = formatting.verification(proof)
    status, rest = words[: len(proof.status)], words[len(proof.status) :]
    writer.line(plain(status.capitalize(), "bold"), plain(rest))
    if proof.note:
        writer.text(proof.note, indent=2, rows=4, style="dim")


def _print_shortlist(shortlist: Shortlist, writer: ConsoleWriter) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("agent", max_width=24, overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for entry in shortlist.entries:
        style = "red" if entry.decisive else ""
        table.add_row(
            str(entry.rank),
            plain(str(entry.step), style),
            plain(entry.agent, style),
            plain(entry.share),
            _why(entry),
        )
    writer.line(plain("Shortlist", "dim"))
    writer.table(table)
    if shortlist.more:
        more = formatting.plural(len(shortlist.more), "more candidate")
        writer.line(plain(f"… {more}", "dim"))
    if shortlist.likely is not None:
        writer.line(plain(shortlist.likely.text))


def _why(entry: ShortlistEntry) -> Text:
    lines = [plain(_short(entry.reason))] if entry.reason else []
    for piece in entry.evidence:
        line = Text()
        if piece.quote.strip():
            line.append_text(plain(f"“{_short(piece.quote)}” "))
        where = f" (step {piece.step})" if piece.step != entry.step else ""
        line.append_text(plain(f"{_short(piece.says)}{where}", "dim"))
        lines.append(line)
    if entry.more_evidence:
        more = formatting.plural(len(entry.more_evidence), "more piece")
        lines.append(plain(f"… {more} of evidence", "dim"))
    return Text("\n").join(lines)


def _short(text: str, limit: int = 160) -> str:
    line = flat(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
