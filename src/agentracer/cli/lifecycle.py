"""What leaves the store: `delete`, `prune`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import PARTLY_DONE, fail, say

if TYPE_CHECKING:
    from agentracer.store import Store, Summary

__all__ = ["DURATION", "SIZE", "delete", "prune"]

_DURATIONS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class _Measure(click.ParamType[float]):
    """A number with a unit, such as `30d` or `1GB`."""

    def __init__(self, name: str, units: dict[str, int], normal: Callable[[str], str]) -> None:
        self.name, self._units, self._normal = name, units, normal

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, (int, float)):
            return value
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s?([A-Za-z]{0,2})", str(value).strip())
        unit = self._normal(match[2]) if match else None
        if match is None or unit not in self._units:
            units = ", ".join(unit for unit in self._units if unit)
            self.fail(f"{value!r} is not a number with one of these units: {units}", param, ctx)
        return float(match[1]) * self._units[unit]


DURATION = _Measure("duration", _DURATIONS, str.lower)
SIZE = _Measure("size", _SIZES, str.upper)


@click.command()
@click.argument("targets", metavar="ID...", nargs=-1, required=True)
def delete(targets: tuple[str, ...]) -> None:
    """Delete traces and their verdicts, by id or by a part of it that fits one trace only."""
    from agentracer.errors import AgentracerError
    from agentracer.store import Store

    store = Store()
    freed, problems = 0, []
    for target in targets:
        try:
            trace_id = store.resolve(target)
            freed += store.delete(trace_id)
            click.echo(trace_id)
        except AgentracerError as error:
            problems.append(str(error))
    for problem in problems:
        say(f"error: {problem}")
    if len(problems) == len(targets):
        fail("nothing was deleted")
    say(f"{format_size(freed)} freed")
    if problems:
        sys.exit(PARTLY_DONE)


@click.command()
@click.option(
    "--older-than", type=DURATION, help="Started longer ago than this, such as 30d or 12h."
)
@click.option("--larger-than", type=SIZE, help="Larger than this, such as 500MB or 1GB.")
@click.option("--keep-failed", is_flag=True, help="Keep runs that failed.")
@click.option("--yes", is_flag=True, help="Delete; without it, only list what would be deleted.")
def prune(
    older_than: float | None, larger_than: float | None, keep_failed: bool, yes: bool
) -> None:
    """List old or large traces, and delete them with --yes.

    A trace must fit every option that is given. Runs that may still go on (unfinished, written to
    within the last hour) are kept.
    """
    from agentracer.store import Store

    if older_than is None and larger_than is None:
        fail("nothing to choose by\n  remedy: give --older-than, --larger-than or both")
    store = Store()
    problems: list[str] = []
    chosen = _chosen(store, older_than, larger_than, keep_failed, problems)
    size = sum(summary.size for summary in chosen)
    for summary in chosen:
        if yes:
            store.delete(summary.id)
        click.echo(f"{summary.id}  {format_size(summary.size):>9}")
    for problem in problems:
        say(f"error: {problem}")
    count = f"{len(chosen)} trace{'' if len(chosen) == 1 else 's'}, {format_size(size)}"
    say(f"{count} deleted" if yes else f"{count}: nothing was deleted; add --yes to delete them")
    if problems:
        sys.exit(PARTLY_DONE)


def _chosen(
    store: Store,
    older_than: float | None,
    larger_than: float | None,
    keep_failed: bool,
    problems: list[str],
) -> list[Summary]:
    from agentracer.store.search import Filter

    until = None if older_than is None else time.time() - older_than
    larger = None if larger_than is None else int(larger_than)
    selection = Filter(until=until, larger_than=larger, replays=True)
    return [
        summary
        for summary in store.summaries(problems)
        if selection.matches(summary, store.journal_path(summary.id))
        and not (keep_failed and summary.success is False)
        and not (summary.ending == "unfinished" and store.age(summary.id) < 3_600)
    ]


def format_size(size: float) -> str:
    """Bytes with a unit of thousands: `1.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
