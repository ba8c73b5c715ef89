"""What the tests of the three frameworks share: a server for the model, and who knows better."""

from __future__ import annotations

import os

import pytest

from agentracer.replay import Override
from agentracer.trace import Trace

os.environ.setdefault("LANGSMITH_TRACING", "false")

CORRECT = {"planner": "PLAN: add 3 and 4, then times 10."}


@pytest.fixture(scope="session")
def right_plan():
    """An oracle: only the planner can have made a mistake that we know how to correct."""

    def correct(trace: Trace, step: int) -> Override | None:
        said = trace.steps[step].content
        right = CORRECT.get(trace.steps[step].agent)
        if right is None:
            return None
        return Override(step=step, content=said.replace("PLAN: add 3 and 5, then times 10.", right))

    return correct
