"""Traces and verdicts in a terminal: styled for people, plain when piped or under `NO_COLOR`.

Every string that comes from a run goes through `visible` and into a `rich.text.Text`, which knows
no markup and no links. What is cut is said with a count. Nothing here decides anything: it shows
what the trace and the verdict hold.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentracer.report import wording
from agentracer.report.untrusted import visible
from agentracer.trace import ErrorInfo, Label, Step, ToolCall, Trace
from agentracer.verdict import Candidate, Verdict, Verification

__all__ = ["TraceRow", "print_trace", "print_traces", "print_verdict"]

_ACCENT = "bold red"
_WIDEST = 100  # longer lines are hard to read
_PIPE_WIDTH = 160
_CHAIN_LENGTH = 8
_SHORTLIST_LENGTH = 5
_NARROW = 60  # columns below which a quote goes under its step
_NO_LEAD = Text()


@dataclasses.dataclass(frozen=True, slots=True)
class TraceRow:
    """One line of `agentracer list`: what a store knows of a trace without reading it whole.

    Attributes:
        id: the trace.
        started_at: seconds since the epoch, if known.
        framework: what ran it, if known.
        steps: how many it has.
        outcome: as `wording.outcome` says it.
        task: what the system was asked.
    """

    id: str
    started_at: float | None
    framework: str | None
    steps: int
    outcome: str
    task: str

    @classmethod
    def of(cls, trace: Trace) -> TraceRow:
        """The row of a trace that is in memory."""
        return cls(
            id=trace.id,
            started_at=trace.started_at,
            framework=trace.observed.framework,
            steps=len(trace.steps),
            outcome=wording.outcome(trace.outcome),
            task=trace.task,
        )


def print_traces(rows: Iterable[TraceRow], console: Console) -> None:
    """Print a table of traces.

    Args:
        rows: the traces, in the order to print them.
        console: where to.
    """
    lines = [_cells(row) for row in rows]
    if not lines:
        console.print(_plain("no traces", "dim"))
        return
    names = ["id", "when", "framework", "steps", "outcome", "task"]
    lines.insert(0, [_plain(name, "dim") for name in names])
    # A pipe has no width of its own that the task would have to give way to.
    width = console.width if console.is_terminal else _PIPE_WIDTH
    widths = [max(line[column].cell_len for line in lines) + 2 for column in range(len(names))]
    if width - sum(widths[:-1]) < 24:
        columns: list[list[Any]] = [names, widths, *lines]
        for column in columns:
            del column[2]  # the framework is what one misses least
    room = max(12, width - sum(widths[:-1]))
    for line in lines:
        line[-1].truncate(room, overflow="ellipsis")
        for cell, name, wide in zip(line[:-1], names, widths, strict=False):
            gap = wide - 2 - cell.cell_len
            cell.pad_left(gap) if name == "steps" else cell.pad_right(gap)
        console.print(Text("  ").join(line), no_wrap=True, crop=False, overflow="ignore")


def _cells(row: TraceRow) -> list[Text]:
    return [
        _plain(row.id, "bold"),
        _plain(wording.moment(row.started_at)),
        _plain(row.framework or ""),
        _plain(f"{row.steps:,}"),
        _outcome(row.outcome.split(":")[0]),
        _plain(_flat(row.task[:400])),
    ]


def print_trace(trace: Trace, console: Console, verdict: Verdict | None = None) -> None:
    """Print a run, step by step.

    Args:
        trace: the run.
        console: where to.
        verdict: marks the steps that it blames.
    """
    paper = _Paper(console)
    _print_header(trace, paper)
    marks = _marks(trace, verdict)
    for step in trace.steps:
        paper.blank()
        _print_step(step, marks.get(step.index, []), paper)
    paper.blank()
    _print_end(trace, paper)


def print_verdict(verdict: Verdict, trace: Trace, console: Console) -> None:
    """Print who and what made a run fail, like a traceback: decisive step first, failure last.

    Args:
        verdict: what attribution found.
        trace: the run it is about.
        console: where to.
    """
    paper = _Paper(console)
    if verdict.abstained:
        paper.line(_plain("No step is blamed.", "bold"))
        paper.text(verdict.abstain_reason or "", indent=2, rows=8)
    else:
        _print_blame(verdict, trace, paper)
    if verdict.verification is not None:
        paper.blank()
        _print_verification(verdict.verification, paper)
    if verdict.candidates:
        paper.blank()
        _print_shortlist(verdict, paper)
    for note in verdict.notes:
        paper.text(note, rows=3, style="dim", lead=Text("- "))
    paper.blank()
    paper.text(wording.provenance(verdict.provenance), style="dim", rows=4)


class _Paper:
    """A console, and the ways to put lines of strangers' text on it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.width = max(20, min(console.width, _WIDEST))

    def blank(self) -> None:
        self._console.print()

    def line(self, *parts: Text, indent: int = 0) -> None:
        """One logical line, wrapped."""
        for row in self._wrap(Text.assemble(*parts), indent):
            self._put(row, indent)

    def text(
        self, value: str, *, indent: int = 0, rows: int, style: str = "", lead: Text = _NO_LEAD
    ) -> None:
        """A text of at most `rows` rows, the first after `lead`; what is cut is counted."""
        # Not splitlines: it would swallow the control characters that it splits at.
        lines = visible(value).strip("\n").rstrip().split("\n")
        left = rows
        indent += lead.cell_len
        for number, line in enumerate(lines):
            wrapped = self._wrap(_plain(line[: left * self.width], style), indent)
            for row in wrapped[:left]:
                self._put(row, indent, lead)
                lead = _NO_LEAD
            cut = len(line) > left * self.width or len(wrapped) > left
            left -= len(wrapped)
            if left > 0 and not cut:
                continue
            rest = len(lines) - number - 1
            if rest or cut:
                more = (
                    f"… {wording.plural(rest, 'more line')}" if rest else "… the rest of the line"
                )
                self._put(_plain(more, "dim"), indent)
            return

    def table(self, table: Table) -> None:
        """A table as wide as the text."""
        for row in self._console.render_lines(
            table, self._console.options.update(width=self.width)
        ):
            text = Text.assemble(*((part.text, part.style or "") for part in row))
            text.rstrip()
            self._put(text, 0)

    def _wrap(self, text: Text, indent: int) -> list[Text]:
        return list(text.wrap(self._console, max(10, self.width - indent)))

    def _put(self, row: Text, indent: int, lead: Text = _NO_LEAD) -> None:
        line = Text.assemble(" " * (indent - lead.cell_len), lead, row)
        line.rstrip()
        self._console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _plain(text: str, style: str = "") -> Text:
    """Text of strangers as text: no control character, no markup, no link."""
    return Text(visible(text), style=style)


def _outcome(words: str) -> Text:
    style = "bold" if words.startswith("failed") else ""
    return _plain(words, style)


def _print_header(trace: Trace, paper: _Paper) -> None:
    paper.line(_plain(trace.id, "bold"), Text("  "), _outcome(wording.outcome(trace.outcome)))
    paper.line(_plain(wording.summary(trace), "dim"))
    if trace.parent is not None:
        paper.line(_plain(f"replays or continues {trace.parent}", "dim"))
    if trace.task:
        paper.blank()
        paper.text(trace.task, rows=8)


def _marks(trace: Trace, verdict: Verdict | None) -> dict[int, list[Text]]:
    marks: dict[int, list[Text]] = {}
    candidates = verdict.candidates if verdict is not None else ()
    decisive = verdict.step if verdict is not None else None
    if decisive is not None:
        marks[decisive] = [_plain("decisive step", "bold reverse red")]
    for rank, candidate in enumerate(candidates, start=1):
        if candidate.step != decisive:
            marks.setdefault(candidate.step, []).append(_plain(f"shortlist {rank}", "red"))
    for label in trace.labels:
        marks.setdefault(label.step, []).append(_label(label))
    return marks


def _label(label: Label) -> Text:
    return _plain(f"label by {label.source}", "bold")


def _print_step(step: Step, marks: list[Text], paper: _Paper) -> None:
    facts = [step.kind, wording.duration(step)]
    if step.parent is not None:
        facts.insert(0, f"inside step {step.parent}")
    head = [_plain(f"{step.index:>4}", "dim"), Text("  "), _plain(step.agent, "bold")]
    if step.to:
        head.append(_plain(f" → {step.to}"))
    head.append(_plain("  " + " · ".join(fact for fact in facts if fact), "dim"))
    for mark in marks:
        head += [Text("  "), mark]
    paper.line(*head)
    if step.content.strip():
        paper.text(step.content, indent=6, rows=5)
    for call in step.tool_calls:
        _print_call(call, paper)
    if step.error is not None:
        _print_error(step.error, paper, indent=6)


def _print_call(call: ToolCall, paper: _Paper) -> None:
    paper.text(f"{call.name}({_arguments(call.arguments)})", indent=6, rows=3, style="cyan")
    if call.error is not None:
        _print_error(call.error, paper, indent=8)
    elif call.result is not None:
        paper.text(_compact(call.result) or "(empty)", indent=8, rows=3, lead=Text("-> "))
    else:
        paper.line(_plain("-> no result recorded", "dim"), indent=8)


def _print_error(error: ErrorInfo, paper: _Paper, *, indent: int) -> None:
    paper.text(f"{error.type}: {error.message}", indent=indent, rows=3, style="bold")


def _arguments(value: JsonValue) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key}={json.dumps(item, ensure_ascii=False)}" for key, item in value.items()
        )
    return "" if value is None else _compact(value)


def _compact(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_end(trace: Trace, paper: _Paper) -> None:
    outcome = trace.outcome
    paper.line(_plain(" end  ", "dim"), _outcome(wording.outcome(outcome)))
    if outcome.answer is not None:
        paper.text(f"answer: {outcome.answer}", indent=6, rows=3)
    if trace.ground_truth is not None and trace.ground_truth.answer is not None:
        paper.text(f"expected: {_compact(trace.ground_truth.answer)}", indent=6, rows=3)
    if outcome.error is not None:
        _print_error(outcome.error, paper, indent=6)


def _print_blame(verdict: Verdict, trace: Trace, paper: _Paper) -> None:
    step, agent = verdict.step, verdict.agent
    assert step is not None  # noqa: S101 - Verdict checks it; for mypy
    assert agent is not None  # noqa: S101
    if verdict.speaker == agent:
        paper.line(_plain(f"{agent}, step {step}", _ACCENT), _plain(" made this run fail", "bold"))
    else:  # the blame was summed by agent, and its worst step is another's
        paper.line(_plain(agent, _ACCENT), _plain(" made this run fail", "bold"))
        paper.line(_plain(f"the most suspicious step is {step}, by {verdict.speaker}"), indent=2)
    if verdict.reason:
        paper.text(verdict.reason, indent=2, rows=8)
    paper.line(_plain(f"confidence: {wording.confidence(verdict)}"), indent=2)
    if verdict.trace_id != trace.id:
        paper.line(
            _plain(f"this verdict is about another trace: {verdict.trace_id}", "bold"), indent=2
        )
    paper.blank()
    paper.line(_plain("From the decisive step to the failure:", "dim"))
    _print_chain(verdict, trace, paper)


def _print_chain(verdict: Verdict, trace: Trace, paper: _Paper) -> None:
    steps = _chain(verdict, trace)
    if not steps:
        paper.line(_plain(f"step {verdict.step} is not in this trace", "bold"), indent=2)
    leads = {index: _who(verdict, trace.steps[index]) for index in steps}
    wide = min(max((lead.cell_len for lead in leads.values()), default=0), paper.width // 2)
    before = None
    for index, lead in leads.items():
        if before is not None and index > before + 1:
            gap = wording.plural(index - before - 1, "step")
            paper.line(_plain(f"… {gap}", "dim"), indent=2)
        before = index
        quote = _quote(verdict, trace.steps[index])
        if paper.width < _NARROW or lead.cell_len > wide:
            paper.line(lead, indent=2)
            paper.text(quote, indent=4, rows=2)
        else:
            lead.pad_right(wide - lead.cell_len + 2)
            paper.text(quote, indent=2, rows=2, lead=lead)
    outcome = trace.outcome
    paper.line(_plain("end, ", "bold"), _outcome(wording.outcome(outcome)), indent=2)
    if outcome.error is not None:
        _print_error(outcome.error, paper, indent=4)
    if outcome.answer is not None:
        paper.text(f"answer: {outcome.answer}", indent=4, rows=2)
    if trace.ground_truth is not None and trace.ground_truth.answer is not None:
        paper.text(f"expected: {_compact(trace.ground_truth.answer)}", indent=4, rows=2)


def _who(verdict: Verdict, step: Step) -> Text:
    style = _ACCENT if step.index == verdict.step else "bold"
    return _plain(_flat(f"step {step.index}, {step.agent}"), style)


def _chain(verdict: Verdict, trace: Trace) -> list[int]:
    """The decisive step, the quoted steps and errors after it, and the last step."""
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
    """The words of a step that say most: a quote of the verdict, else how it begins."""
    for candidate in verdict.candidates:
        for piece in candidate.evidence:
            if piece.step == step.index and piece.quote.strip():
                return f"“{_flat(piece.quote)}”"
    if step.error is not None:
        return f"{step.error.type}: {step.error.message}"
    return _flat(next(_said(step), "(wrote nothing)"))


def _said(step: Step) -> Iterator[str]:
    yield from (line for line in step.content.split("\n") if line.strip())
    yield from (f"{call.name}({_arguments(call.arguments)})" for call in step.tool_calls)


def _print_verification(proof: Verification, paper: _Paper) -> None:
    words = wording.verification(proof)
    status, rest = words[: len(proof.status)], words[len(proof.status) :]
    paper.line(_plain(status.capitalize(), "bold"), _plain(rest))
    if proof.note:
        paper.text(proof.note, indent=2, rows=4, style="dim")


def _print_shortlist(verdict: Verdict, paper: _Paper) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("agent", max_width=24, overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for rank, candidate in enumerate(verdict.candidates[:_SHORTLIST_LENGTH], start=1):
        style = "red" if candidate.step == verdict.step else ""
        chance = "" if candidate.probability is None else f"{candidate.probability:.0%}"
        table.add_row(
            str(rank),
            _plain(str(candidate.step), style),
            _plain(candidate.agent, style),
            _plain(chance.replace("%", " %")),
            _why(candidate, verdict),
        )
    paper.line(_plain("Shortlist", "dim"))
    paper.table(table)
    rest = len(verdict.candidates) - _SHORTLIST_LENGTH
    if rest > 0:
        paper.line(_plain(f"… {wording.plural(rest, 'more candidate')}", "dim"))
    if verdict.likely_steps:
        paper.line(_plain(wording.likely_steps(verdict)))


def _why(candidate: Candidate, verdict: Verdict) -> Text:
    parts = []
    said = verdict.reason + "".join(piece.says for piece in candidate.evidence)
    repeated = candidate.reason in said or any(
        piece.says in candidate.reason for piece in candidate.evidence
    )
    if candidate.reason and not (repeated and candidate.evidence):
        parts.append(_plain(_short(candidate.reason)))
    for piece in candidate.evidence[:3]:
        line = Text()
        if piece.quote.strip():
            line.append_text(_plain(f"“{_short(piece.quote)}” "))
        where = f" (step {piece.step})" if piece.step != candidate.step else ""
        line.append_text(_plain(f"{_short(piece.says)}{where}", "dim"))
        parts.append(line)
    if len(candidate.evidence) > 3:
        parts.append(_plain(f"… {len(candidate.evidence) - 3} more pieces of evidence", "dim"))
    return Text("\n").join(parts)


def _short(text: str, limit: int = 160) -> str:
    flat = _flat(text)
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def _flat(text: str) -> str:
    """On one line."""
    return " ".join(visible(text).split())
