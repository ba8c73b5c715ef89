"""Add the trace and the verdict of a failed test to its pytest report."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer._pytest.settings import PluginSettings
from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.report.success_curve import curve_line
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["SECTION", "Diagnosis", "shown_path"]

SECTION = "agentracer"
_WIDTH = 100


@dataclass(slots=True)
class Diagnosis:
    """The trace and the verdict of one failed run of a test.

    Attributes:
        test: its node id.
        trace: the recorded run.
        verdict: None where attribution failed.
        problems: errors of attribution, verification or report, for the user.
        note: why the verdict was not verified, where that is no error.
        page: the HTML report, once written.
    """

    test: str
    trace: Trace
    verdict: Verdict | None = None
    problems: list[str] = field(default_factory=list)
    note: str = ""
    page: Path | None = None

    def save(self, settings: PluginSettings) -> None:
        """Write verdict and HTML report; an error while writing becomes a problem."""
        from agentracer.report import html, replays

        name = re.sub(r"[^A-Za-z0-9]+", "-", self.test)[-80:].strip("-")
        path = settings.reports / f"{name}-{self.trace.id[-8:]}.html"
        try:
            if self.verdict is not None:
                settings.store.save_verdict(self.verdict)
        except OSError as error:
            self.problems.append(f"the verdict was not saved: {error}")
        try:
            compared = replays.load_replays(self.trace, self.verdict, settings.store)
            self.page = html.write(path, self.trace, self.verdict, compared)
        except Exception as error:  # noqa: BLE001 - show the verdict even without a page
            self.problems.append(f"no HTML report: {error}")

    def attach(
        self, report: Any, properties: list[tuple[str, object]], settings: PluginSettings
    ) -> None:
        """Add the verdict to the report of a failed test, as a section and as properties.

        Args:
            report: the report of the phase that failed.
            properties: the item's own list; later phases and JUnit XML report it too.
            settings: paths are shown relative to its root.
        """
        facts = list(self._facts(settings))
        properties += facts
        report.user_properties += facts
        report.sections.append((SECTION, self._text(settings)))

    def _facts(self, settings: PluginSettings) -> Iterator[tuple[str, object]]:
        verdict = self.verdict
        yield "agentracer.trace", self.trace.id
        if verdict is not None and not verdict.abstained:
            yield "agentracer.agent", escape_control_chars(verdict.agent or "")
            yield "agentracer.step", str(verdict.step)
            if verdict.speaker != verdict.agent:
                yield "agentracer.speaker", escape_control_chars(verdict.speaker or "")
            yield "agentracer.confidence", f"{verdict.confidence:.2f}"
            yield "agentracer.level", verdict.level
            yield "agentracer.calibrated", str(verdict.calibrated).lower()
            yield "agentracer.certainty", formatting.confidence(verdict)
        elif verdict is not None:
            yield "agentracer.no_verdict", escape_control_chars(verdict.abstain_reason or "")
        if verdict is not None and verdict.verification is not None:
            yield "agentracer.verification", verdict.verification.status
            yield "agentracer.proof", formatting.proof_status(verdict.verification)
        if verdict is not None and verdict.success_curve:
            yield "agentracer.success_curve", curve_line(verdict.success_curve)
        if self.page is not None:
            yield "agentracer.report", shown_path(self.page, settings.root)
        for problem in self.problems:
            yield "agentracer.problem", escape_control_chars(problem)

    def _text(self, settings: PluginSettings) -> str:
        """Return the verdict as the terminal shows it, without styling."""
        from rich.console import Console

        from agentracer.report.terminal import print_verdict

        output = io.StringIO()
        console = Console(
            file=output, width=_WIDTH, color_system=None, highlight=False, emoji=False, markup=False
        )
        if self.verdict is not None:
            print_verdict(self.verdict, self.trace, console)
        remarks = filter(None, [self.note, *self.problems])
        lines = [output.getvalue().rstrip("\n"), *map(escape_control_chars, remarks)]
        if self.page is not None:
            lines.append(f"report  {shown_path(self.page, settings.root)}")
        lines.append(f"trace   {self.trace.id}  (`agentracer show {self.trace.id[-8:]}`)")
        return "\n".join(line for line in lines if line)


def shown_path(path: Path, root: Path) -> str:
    """Return the path relative to `root` where it is below it."""
    try:
        return str(path.relative_to(root))
    except ValueError:
        return str(path)
