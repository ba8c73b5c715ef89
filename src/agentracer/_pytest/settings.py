"""Options and ini settings, read once a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agentracer.store import Store

__all__ = ["PluginSettings"]


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """How this session is watched.

    Attributes:
        everything: every test is watched, not only those that ask for it.
        verify: verdicts are proved by replay where a test says how.
        model: who attributes; a spec of `agentracer.attribution.Tracer`.
        reports: folder of the HTML reports.
        store: where the traces go. Fixed here: a test may change directory and environment.
        seconds: what one proof may take.
        runs: how many replays one proof may take.
        root: paths are shown relative to it.
    """

    everything: bool
    verify: bool
    model: str
    reports: Path
    store: Store
    seconds: float
    runs: int
    root: Path

    @classmethod
    def of(cls, config: pytest.Config) -> PluginSettings:
        """Read them.

        Raises:
            ValueError: a limit is not a number.
        """
        store = Store()
        reports = config.getoption("agentracer_reports") or config.getini("agentracer_reports")
        return cls(
            everything=bool(config.getoption("agentracer") or config.getini("agentracer")),
            verify=bool(config.getoption("agentracer_verify")),
            model=config.getoption("agentracer_model") or config.getini("agentracer_model"),
            reports=Path(reports).absolute() if reports else store.home / "reports",
            store=store,
            seconds=float(config.getini("agentracer_verify_seconds")),
            runs=int(config.getini("agentracer_verify_runs")),
            root=config.invocation_params.dir,
        )
