"""A MaAS workflow whose operators get credit: their prompts, and the layers of the sampler.

    python examples/evolve_maas.py                        # a scripted model, and a stand-in of MaAS
    python examples/evolve_maas.py --maas CHECKOUT --module GRAPH

MaAS is not on PyPI and pins an environment of its own, so by default this uses the stand-in of its
class shapes (operators, Workflow, MultiLayerController) from this repository's tests. With a
checkout, GRAPH is a module such as `maas.ext.maas.scripts.optimized.MATH.train.graph`, and a
`BaseLLM` of your own takes the place of `Scripted`. docs/evolution.md lists what is broken in its
published head. The scripted model obeys the lesson by construction.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import agentracer
from agentracer.evolution import Attribution, Team, TrueStep
from agentracer.evolution.strategies.maas import PromptCredit, layer_credit, policy_loss
from agentracer.store import Store
from agentracer.trace import Trace

STAND_IN = Path(__file__).parents[1] / "tests" / "adapters" / "maas_standin"
GRAPH = "maas.ext.maas.scripts.optimized.MATH.train.graph"
TASKS = ["3 and 4, then times ten", "2 and 6, then times ten"]
LESSON = "Count on your fingers."


def is_right(task: str, result: Any) -> bool:
    """Whether the workflow's answer has the right number."""
    a, b = (int(number) for number in re.findall(r"\d", task))
    return f"ANSWER {(a + b) * 10}" in str(result[0])


def answer(text: str) -> str:
    """A model that adds wrongly, unless it is told to count on its fingers."""
    if "Vote" in text:
        options = dict(re.findall(r"([A-H]): (.*)", text))
        return max(options, key=lambda letter: list(options.values()).count(options[letter]))
    if "expression" in text:
        total = re.findall(r"sum is (\d+)", text)[0]
        return f"```python\n{total} * 10\n```"
    if "Report" in text:
        return f"ANSWER {re.findall(r'-?[0-9]+', text.partition('Report')[2])[0]}"
    one, other = (int(number) for number in re.findall(r"\d", text.partition("Add.")[2])[:2])
    return f"The sum is {one + other + (LESSON not in text)}"


def blamed_operator(trace: Trace) -> int | None:
    """Where this script goes wrong; give a `Tracer`, or `Verified`, in place of what is known."""
    return next((s.index for s in trace.steps if s.agent == "MultiGenerateCoT"), None)


def taught(prompt: str, _blamed: Attribution) -> str:
    """The new prompt: a lesson in front; a language model could write a better one."""
    return f"{LESSON}\n{prompt}"


async def iterate(graph: Any, controller: Any, model: Any) -> Any:
    """Evolve the prompts for two rounds."""

    async def run(_: Any, task: str) -> Any:
        return await graph.Workflow("MATH", model, "MATH", controller)(task)

    credit = PromptCredit(
        graph.operator,
        {"MultiGenerateCoT": "GENERATE_COT_PROMPT", "Programmer": "PROGRAMMER_PROMPT"},
        write=taught,
    )
    return await agentracer.aevolve(
        Team(run, deterministic=True), TASKS, is_right, TrueStep(blamed_operator),
        rounds=2, strategy=credit,
    )  # fmt: skip


def main() -> None:
    """Evolve the prompts, and show the credit that each layer gets in the policy gradient."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maas", type=Path, default=STAND_IN, help="a checkout of MaAS")
    parser.add_argument("--module", default=GRAPH, help="the module of its Workflow")
    options = parser.parse_args()
    sys.path.insert(0, str(options.maas))
    agentracer.instrument("maas")
    graph = importlib.import_module(options.module)
    controller = importlib.import_module("maas.ext.maas.models.controller").MultiLayerController()
    base = importlib.import_module("maas.provider.base_llm").BaseLLM

    class Scripted(base):  # type: ignore[misc,valid-type]
        async def acompletion_text(self, messages: Any, **_options: Any) -> str:
            return answer("\n".join(message["content"] for message in messages))

    report = asyncio.run(iterate(graph, controller, Scripted()))
    print(report)
    store = Store()
    failed = store.load(report.rounds[0].changes[0].change.evidence[0])
    verdict = store.load_verdict(failed.id)
    facts: Any = failed.metadata["maas"]
    credit = layer_credit(failed, verdict.model_copy(update={"confidence": 1.0}), score=0.0)  # type: ignore[union-attr]
    print("layers     ", facts["layers"])
    print("credit     ", credit)
    print("policy loss", round(policy_loss(facts["log_probs"], credit, facts["cost"]), 3))


if __name__ == "__main__":
    main()
