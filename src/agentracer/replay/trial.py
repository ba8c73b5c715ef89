"""Replays of one correction and of its control, and what their counts show.

The functions here are search programs: generators that yield requests and are sent the results, so
that the same program serves blocking and async systems. `engine` carries the requests out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agentracer.replay.design import ExperimentDesign
from agentracer.replay.override import Override, unchanged
from agentracer.replay.prefix import RecordPrefix
from agentracer.statistics import ALPHA, boschloo_p_value
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Verification

__all__ = [
    "OracleRequest",
    "ReplayRequest",
    "ReplayResult",
    "SearchProgram",
    "Trial",
    "confirm",
    "prefilter",
]

Status = Literal["confirmed", "refuted", "inconclusive"]

REFUTING = 5
"""So many failures without one success show, at 5 %, that a correction helps less than half the
time: 0.5 ** 5 < 0.05."""


@dataclass(frozen=True, slots=True)
class OracleRequest:
    """Ask for the oracle's correction of a step."""

    step: int


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Ask for one replay: with overrides, or with a part of the record kept.

    Attributes:
        overrides: what is changed; without them, and without `keep`, a rerun from scratch.
        purpose: what the replay is for.
        keep: the part of the record that is kept, everything else being live.
    """

    overrides: tuple[Override, ...]
    purpose: Literal["correction", "control", "together", "pilot", "rerun", "injection", "prefix"]
    keep: RecordPrefix | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of one replay.

    Attributes:
        success: what the check returned; None where the replay cannot be used.
        trace: id of the replayed trace.
        problems: why it cannot be used: divergences, refused tools, no outcome.
        signature: hash of what was written and done in it.
        start: who made the first model call, and a hash of what it read.
        score: what a graded check returned, 0 to 1; None for one that says yes or no.
        usage: steps, model calls and tokens of what ran live, and how long the replay took.
        resumed: taken from the journal of an earlier, interrupted search.
    """

    success: bool | None
    trace: str = ""
    problems: tuple[str, ...] = ()
    signature: str = ""
    start: str = ""
    score: float | None = None
    usage: Usage = field(default_factory=Usage)
    resumed: bool = False


SearchProgram: TypeAlias = Generator[
    OracleRequest | ReplayRequest | tuple[ReplayRequest, ...], Any, Any
]
"""Yields requests and is sent the answers: an override or None, a result, or a list of results.

Of several replays at once fewer may come back, where the budget ended between them."""


@dataclass(slots=True)
class Trial:
    """Replays of one correction.

    Attributes:
        overrides: the correction; several where steps are corrected together.
        design: how many replays decide.
    """

    overrides: tuple[Override, ...]
    design: ExperimentDesign
    flips: int = 0
    replays: int = 0
    control_flips: int = 0
    control_replays: int = 0
    traces: list[str] = field(default_factory=list)
    control_traces: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    remark: str = ""

    def add(self, result: ReplayResult, *, control: bool = False) -> None:
        """Count one replay."""
        (self.control_traces if control else self.traces).append(result.trace)
        if result.success is None or result.problems:
            self.problems += result.problems or ("the check did not say whether it succeeded",)
        elif control:
            self.control_replays += 1
            self.control_flips += result.success
        else:
            self.replays += 1
            self.flips += result.success
            self.signatures.append(result.signature)

    @property
    def cannot_confirm(self) -> bool:
        """Whether no outcome of the replays still to come could confirm the correction."""
        size = self.design.repeats
        best = self.flips + size - self.replays
        return not self.design.confirms(best, size, self.control_flips, size)

    @property
    def decided(self) -> bool:
        """Whether the correction is confirmed whatever the control replays still to come show."""
        size = self.design.repeats
        if self.replays < size:
            return False
        worst = self.control_flips + size - self.control_replays
        return self.control_replays > 0 and self.design.confirms(self.flips, size, worst, size)

    @property
    def refuted(self) -> bool:
        """Whether the correction visibly does not help."""
        if self.flips or self.problems or not self.replays:
            return False
        if self.design.certain or self.design.reproducible:
            return True
        alike = len(self.signatures) > 1 and len(set(self.signatures)) == 1
        untried = self.design.reproducible is None
        return (alike and untried) or self.replays >= REFUTING

    @property
    def promising(self) -> bool:
        """Whether it flipped the run at least once and may still be confirmed."""
        return self.flips > 0 and not self.problems and not self.cannot_confirm

    @property
    def status(self) -> Status:
        """What the counts show so far."""
        if self.problems:
            return "inconclusive"
        if self.refuted:
            return "refuted"
        return "confirmed" if self.decided else "inconclusive"

    @property
    def p_value(self) -> float:
        """Chance that luck alone shows such counts; 0 where the system is known not to have any."""
        if self.design.certain and self.status == "confirmed":
            return 0.0
        return boschloo_p_value(self.flips, self.replays, self.control_flips, self.control_replays)

    def verification(self) -> Verification:
        """The counts as a verdict carries them."""
        return Verification(
            status=self.status,
            flips=self.flips,
            replays=self.replays,
            control_flips=self.control_flips,
            control_replays=self.control_replays,
            traces=(*self.traces, *self.control_traces),
            note="; ".join(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        yield from dict.fromkeys(self.problems)
        if self.remark:
            yield self.remark
        if self.design.certain:
            yield "the system was declared deterministic"
            if self.flips and self.control_flips:
                yield "but the control succeeded too, where the record failed: it is not"
        elif self.flips and self.control_replays:
            level = "" if self.design.alpha == ALPHA else f" (needed: {self.design.alpha:.3g})"
            yield f"luck alone would show this with p = {self.p_value:.3g}{level}"


def prefilter(trial: Trial) -> SearchProgram:
    """Replay a correction until it flips the run once, or the counts show that it does not."""
    while not trial.flips and not trial.problems and trial.replays < trial.design.repeats:
        trial.add((yield ReplayRequest(trial.overrides, "correction")))
        if trial.refuted:
            return


def confirm(trial: Trial, trace: Trace) -> SearchProgram:
    """Replay a correction, and then its control, until the counts decide.

    The control is only replayed where the correction flipped often enough: a correction that fails
    is not confirmed, whatever the control shows.
    """
    size = trial.design.repeats
    while trial.replays < size and not trial.problems and not trial.cannot_confirm:
        trial.add((yield ReplayRequest(trial.overrides, "correction")))
    control = tuple(unchanged(trace, override.step, override) for override in trial.overrides)
    while (
        trial.control_replays < size
        and not trial.problems
        and not trial.cannot_confirm
        and not trial.decided
    ):
        trial.add((yield ReplayRequest(control, "control")), control=True)
