"""Group failures by the blamed agent, as the same lines in every kind of report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.verdict import Verdict

__all__ = ["NO_VERDICT", "FailureLine", "grouped", "lines"]

NO_VERDICT = "no verdict"


@dataclass(frozen=True, slots=True)
class FailureLine:
    """One failure, and the agent and step that are blamed for it.

    Attributes:
        name: of what failed: a test, or a trace.
        agent: the blamed agent; None where none is.
        step: the decisive step.
        note: the confidence; without a verdict, the reason why there is none.
        page: path of the HTML report.
    """

    name: str
    agent: str | None = None
    step: int | None = None
    note: str = ""
    page: str = ""

    @classmethod
    def of(cls, name: str, verdict: Verdict, page: str = "") -> FailureLine:
        """Return the failure that a verdict is about."""
        if verdict.abstained:
            return cls(name, note=verdict.abstain_reason or "", page=page)
        if not verdict.stands_out:
            note = f"no step stands out; {formatting.reading_list(verdict)}"
            return cls(name, note=note, page=page)
        proof = f", {formatting.proof_status(verdict.verification)}" if verdict.verification else ""
        by = f"by {verdict.speaker}, " if verdict.speaker != verdict.agent else ""
        note = f"{by}{formatting.confidence(verdict)}{proof}"
        return cls(name, verdict.agent, verdict.step, note, page)


def grouped(failures: Iterable[FailureLine]) -> list[tuple[str | None, list[FailureLine]]]:
    """Group failures by agent: the most blamed one first, those without a verdict last."""
    groups: dict[str | None, list[FailureLine]] = {}
    for failure in failures:
        groups.setdefault(failure.agent, []).append(failure)
    return sorted(groups.items(), key=lambda group: (group[0] is None, -len(group[1])))


def lines(failures: Iterable[FailureLine], noun: str) -> Iterator[tuple[str, bool]]:
    """Yield the groups as lines of plain text; the bool says which are headings.

    Args:
        failures: in the order in which they are listed.
        noun: what failed: `test`, `run`.
    """
    for agent, members in grouped(failures):
        who = escape_control_chars(agent) if agent is not None else NO_VERDICT
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
