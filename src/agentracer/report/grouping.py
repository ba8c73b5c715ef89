"""Many failures, grouped by who is blamed: the same lines in every kind of report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.verdict import Verdict

__all__ = ["NOBODY", "Failure", "grouped", "lines"]

NOBODY = "no verdict"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure and who is blamed for it.

    Attributes:
        name: of what failed: a test, or a trace.
        agent: who is blamed; None where nobody is.
        step: the decisive one.
        note: how sure that is; where nobody is blamed, why.
        page: where to read more.
    """

    name: str
    agent: str | None = None
    step: int | None = None
    note: str = ""
    page: str = ""

    @classmethod
    def of(cls, name: str, verdict: Verdict, page: str = "") -> Failure:
        """The failure that a verdict is about."""
        if verdict.abstained:
            return cls(name, note=verdict.abstain_reason or "", page=page)
        proof = f", {verdict.verification.status} by replay" if verdict.verification else ""
        by = f"by {verdict.speaker}, " if verdict.speaker != verdict.agent else ""
        note = f"{by}{formatting.confidence(verdict)}{proof}"
        return cls(name, verdict.agent, verdict.step, note, page)


def grouped(failures: Iterable[Failure]) -> list[tuple[str | None, list[Failure]]]:
    """Failures by agent: the most blamed one first, those without a verdict last."""
    groups: dict[str | None, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(failure.agent, []).append(failure)
    return sorted(groups.items(), key=lambda group: (group[0] is None, -len(group[1])))


def lines(failures: Iterable[Failure], noun: str) -> Iterator[tuple[str, bool]]:
    """The groups as lines of plain text; the bool says which are headings.

    Args:
        failures: in the order in which they are listed.
        noun: what failed: `test`, `run`.
    """
    for agent, members in grouped(failures):
        who = escape_control_chars(agent) if agent is not None else NOBODY
        yield f"{who}: {formatting.plural(len(members), f'failed {noun}')}", True
        width = max(len(escape_control_chars(member.name)) for member in members)
        for member in members:
            step = f"step {member.step}  " if member.step is not None else ""
            page = f"  {member.page}" if member.page else ""
            name = escape_control_chars(member.name)
            text = f"  {name:<{width}}  {step}{_flat(member.note)}{_flat(page, 2)}"
            yield text.rstrip(), False


def _flat(text: str, indent: int = 0) -> str:
    flat = " ".join(escape_control_chars(text).split())
    return " " * indent + flat if flat else ""
