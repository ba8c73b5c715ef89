"""The success curve of a run in a terminal: one block for each prefix that was replayed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from agentracer.report.success_curve import curve_line
from agentracer.report.terminal.console_writer import ACCENT, ConsoleWriter, plain
from agentracer.trace import Trace
from agentracer.verdict import PrefixRate, Verdict

__all__ = ["print_success_curve"]

_ROWS = 12


def print_success_curve(verdict: Verdict, trace: Trace, writer: ConsoleWriter) -> None:
    """Print how often the run succeeded, the more of it was kept.

    Args:
        verdict: its `success_curve` is printed; nothing, where it has none.
        trace: the run.
        writer: where to.
    """
    rates = verdict.success_curve
    if not rates:
        return
    writer.line(plain("Success with the first k steps kept and the rest done live", "dim"))
    writer.line(plain(f"k = {curve_line(rates)}"), indent=2)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("k", "kept through", "succeed", "95 % interval"):
        table.add_column(name, justify="left" if name == "kept through" else "right")
    for rate in _shown(rates, verdict):
        low, high = rate.interval
        style = ACCENT if rate.step is not None and rate.step == verdict.step else ""
        table.add_row(
            str(rate.prefix),
            plain(_where(rate, trace), style),
            rate.counted,
            f"{100 * low:.0f} to {100 * high:.0f} %" if rate.replays else "",
        )
    writer.table(table)
    if len(rates) > _ROWS:
        writer.line(plain(f"… {len(rates) - _ROWS} more prefixes were tried", "dim"))


def _shown(rates: Sequence[PrefixRate], verdict: Verdict) -> Sequence[PrefixRate]:
    """The prefixes around the decisive step, or the first ones."""
    if len(rates) <= _ROWS:
        return rates
    steps = [rate.step for rate in rates]
    centre = steps.index(verdict.step) if verdict.step in steps else _ROWS // 2
    first = min(max(0, centre - _ROWS // 2), len(rates) - _ROWS)
    return rates[first : first + _ROWS]


def _where(rate: PrefixRate, trace: Trace) -> str:
    if rate.step is None:
        return "nothing"
    agent = trace.steps[rate.step].agent if rate.step < len(trace.steps) else "?"
    return f"step {rate.step}, {agent}"
