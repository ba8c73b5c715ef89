"""Findings of the checks, as tests compare them."""

from __future__ import annotations

from collections.abc import Sequence

from agentracer.attribution.embedded.checks import Finding, StepFindings


def by_name(findings: Sequence[StepFindings]) -> list[dict[str, Finding]]:
    """The findings of each step, by the name of their kind."""
    return [{kind.name: finding for kind, finding in step.items()} for step in findings]
