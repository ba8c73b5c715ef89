"""A real LangGraph team that writes small Python functions: planner, coder, tester.

The planner and the coder are plain function nodes, the tester is a `create_agent` with a tool, and
a failed test sends the work back to the coder; so one run shows what an adapter has to cope with.
Knows how the team works together, and how code is tested in the sandbox. Does not know which model
answers (any OpenAI-compatible endpoint does), nor that anybody watches: capture is done from
outside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import SecretStr

from agentracer.sandbox import Limits, run_python
from agentracer.testbed.coding_tasks import Case, CodingTask, code_in, examples_in

__all__ = ["PROMPTS", "TestReport", "build", "check", "run_cases", "solve"]

Team = CompiledStateGraph[Any, Any, Any, Any]

PROMPTS = {
    "planner": (
        "You are the planner of a small software team. Read the task and write a short plan for "
        "the coder: one numbered point for each requirement, so that none gets lost. Write no code."
    ),
    "coder": (
        "You are the coder of a small software team. Implement the plan of the planner, point by "
        "point. Explain your approach in a sentence or two and give the whole program in one "
        "```python block. When the tester reports a failure, correct the code and give all of it "
        "again."
    ),
    "tester": (
        "You are the tester of a small software team. Call run_tests with the latest code of the "
        "coder, complete and unchanged. Then report what the tool said, and say what the coder "
        "has to change, if anything. Close with the line VERDICT: PASS or VERDICT: FAIL."
    ),
}

_TEST_LIMITS = Limits(wall_seconds=10.0, cpu_seconds=2.0)

# Runs inside the sandbox. What the tested code prints is swallowed: a program may print whatever
# it likes, and only the lines of this harness count. Code that wants to cheat can.
_HARNESS = """\
import contextlib, io, json

def outcome(expression, names):
    try:
        return repr(eval(expression, names))
    except BaseException as error:
        return "raises " + type(error).__name__

def main(code, cases):
    names = {"__name__": "solution"}
    results = []
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(code, "solution.py", "exec"), names)
        except BaseException as error:
            return {"broken": f"{type(error).__name__}: {error}", "results": []}
        for case in cases:
            got = outcome(case["call"], names)
            wanted = "raises " + case["error"] if case["error"] else outcome(case["value"], {})
            results.append([wanted, got])
    return {"broken": "", "results": results}

print(json.dumps(main(*json.loads(PAYLOAD))))
"""


@dataclass(frozen=True, slots=True)
class TestReport:
    """What came of some tests.

    Attributes:
        passed: True when all of them ran and passed.
        text: The report as the tool returns it.
    """

    __test__ = False  # not a test class, whatever pytest makes of the name

    passed: bool
    text: str


def run_cases(code: str, cases: Sequence[Case]) -> TestReport:
    """Run tests on a program in the sandbox; failures of any kind are part of the report."""
    payload = json.dumps(
        [code, [{"call": c.call, "value": c.value, "error": c.error} for c in cases]]
    )
    run = run_python(f"PAYLOAD = {payload!r}\n{_HARNESS}", limits=_TEST_LIMITS)
    try:
        answer = json.loads(run.stdout)
        broken, results = str(answer["broken"]), list(answer["results"])
    except (ValueError, KeyError, TypeError):
        why = f"stopped by its {run.stopped_by} limit" if run.stopped_by else run.stderr[-400:]
        return TestReport(False, f"The tests did not finish (exit code {run.exit_code}): {why}")
    if broken:
        return TestReport(False, f"The program could not be loaded: {broken}")
    lines = []
    failed = 0
    for case, (wanted, got) in zip(cases, results, strict=False):
        if wanted == got:
            lines.append(f"PASSED  {case}")
        else:
            failed += 1
            lines.append(
                f"FAILED  {case.call}\n        expected: {wanted}\n        got:      {got}"
            )
    lines.append(
        f"{failed} of {len(cases)} tests failed." if failed else f"All {len(cases)} tests passed."
    )
    return TestReport(not failed and len(results) == len(cases), "\n".join(lines))


@tool
def run_tests(code: str, runtime: ToolRuntime[Any, Any]) -> str:
    """Run the examples of the task on a complete Python program and report what failed."""
    task = next((m for m in runtime.state["messages"] if isinstance(m, HumanMessage)), None)
    cases = examples_in(str(task.text)) if task is not None else ()
    if not cases:
        return "The task states no examples, so there is nothing to run."
    return run_cases(code, cases).text


def build(base_url: str, model: str, api_key: str, *, max_rounds: int = 2) -> Team:
    """Compile the team for an endpoint.

    Args:
        base_url: The OpenAI-compatible endpoint, `/v1` included.
        model: The name of the model there.
        api_key: The key; local servers take any text.
        max_rounds: How many times the coder may write the program.
    """
    chat = ChatOpenAI(
        model=model, base_url=base_url, api_key=SecretStr(api_key), use_responses_api=False
    )
    tester = create_agent(chat, tools=[run_tests], system_prompt=PROMPTS["tester"], name="tester")

    def planner(state: MessagesState) -> dict[str, list[AIMessage]]:
        return _speak("planner", chat, state)

    def coder(state: MessagesState) -> dict[str, list[AIMessage]]:
        return _speak("coder", chat, state)

    def after_test(state: MessagesState) -> str:
        messages = state["messages"]
        rounds = sum(message.name == "coder" for message in messages)
        failed = "VERDICT: FAIL" in str(messages[-1].text)
        return "coder" if failed and rounds < max_rounds else END

    graph = StateGraph(MessagesState)
    graph.add_node("planner", planner)
    graph.add_node("coder", coder)
    graph.add_node("tester", tester)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "coder")
    graph.add_edge("coder", "tester")
    graph.add_conditional_edges("tester", after_test, ["coder", END])
    return graph.compile(name="coding_team")


def _speak(role: str, chat: ChatOpenAI, state: MessagesState) -> dict[str, list[AIMessage]]:
    """Let an agent read the conversation and add one message."""
    reply = chat.invoke([SystemMessage(PROMPTS[role]), *state["messages"]])
    reply.name = role  # the others have to see who speaks
    return {"messages": [reply]}


def solve(graph: Team, task: CodingTask) -> str:
    """Give the team a task; returns its last program, or "" when it wrote none."""
    final = graph.invoke({"messages": [HumanMessage(task.statement)]})
    messages: list[AnyMessage] = final["messages"]
    programs = [code_in(str(m.text)) for m in messages if m.name == "coder"]
    return next((code for code in reversed(programs) if code is not None), "")


def check(task: CodingTask, code: str) -> bool:
    """Whether a program passes all tests of the task, the hidden ones included."""
    return run_cases(code, [*task.examples, *task.hidden]).passed
