"""The team whose runs are in `tests/compat/data`, and who may correct it.

`scripts/write_compat_files.py` runs it to write the files; the tests run it again, to go on with a
search and an evolution that an earlier release began.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
if str(EXAMPLES) not in sys.path:
    sys.path.insert(0, str(EXAMPLES))

import evolve_langgraph as example  # noqa: E402
from langgraph_team import build_team  # noqa: E402

from agentracer.evolution import Team, Verified  # noqa: E402
from agentracer.replay import System  # noqa: E402
from agentracer.store import Store  # noqa: E402

__all__ = ["TASKS", "JudgeModel", "evolve_options", "is_right", "oracle", "served_team", "system"]

TASKS = example.TASKS
is_right, oracle = example.is_right, example.oracle
ModelServer, ChatReply = example.ModelServer, example.ChatReply


class JudgeModel:
    """A judge that blames the first step that a prompt shows."""

    def reply(self, request: Any) -> Any:
        """Name the first step, in the JSON form of an answer."""
        prompt = example.text_of(request.messages[-1])
        label = re.findall(r"^\[([a-z]+)\]", prompt, re.MULTILINE)[0]
        answer = {
            "reasoning": "The plan adds the wrong number.",
            "agent": "planner",
            "step": label,
            "quote": "PLAN: add",
            "also": [],
        }
        return ChatReply(json.dumps(answer))


@contextmanager
def served_team() -> Iterator[Any]:
    """The graph of three agents, with its scripted model behind a server of its own."""
    with ModelServer(example.TeachableModel()) as server:
        yield build_team(server.base_url)


def run(graph: Any, task: str) -> Any:
    """Run the team on one task."""
    return graph.invoke({"messages": [("user", task)]})


def system(graph: Any, task: str, store: Store) -> System:
    """The team on one task, to be replayed."""
    return System(
        run=lambda: run(graph, task),
        check=lambda state: is_right(task, state),
        store=store,
        deterministic=True,
    )


def evolve_options(graph: Any) -> dict[str, Any]:
    """What `evolve` is called with; the same again continues an interrupted one."""
    return {
        "system": Team(run=run, build=lambda: graph, deterministic=True),
        "tasks": TASKS,
        "check": is_right,
        "tracer": Verified(oracle),
        "rounds": 2,
    }
