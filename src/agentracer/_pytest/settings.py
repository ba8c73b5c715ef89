"""Read the options and ini settings of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agentracer.store import Store

__all__ = ["PluginSettings"]


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The settings of a session.

    Attributes:
        everything: whether every test is recorded, not only those that opt in.
        verify: whether verdicts are verified by replay where a test says how.
        model: spec of the tracer; see `agentracer.attribution.Tracer`.
        reports: folder of the HTML reports.
        store: store of the traces. Fixed here, since a test may change directory and environment.
        seconds: time limit of one verification.
        runs: limit of replays of one verification.
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
        """Read the settings.

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
