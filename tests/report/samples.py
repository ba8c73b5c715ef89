"""Traces and verdicts for the tests of the reports."""

from __future__ import annotations

from typing import Any

from agentracer.trace import (
    AgentInfo,
    ContextLink,
    ErrorInfo,
    GroundTruth,
    Label,
    Message,
    Observed,
    Outcome,
    Step,
    ToolCall,
    Trace,
    message_id,
)
from agentracer.usage import Usage
from agentracer.verdict import (
    Candidate,
    Evidence,
    PrefixRate,
    Provenance,
    Verdict,
    Verification,
)

HOSTILE = [
    "<script>alert('script')</script>",
    "</script><script>alert('closed')</script>",
    "<!--<script>alert('comment')",
    "<img src=x onerror=alert('img')>",
    "<svg/onload=alert('svg')>",
    "<iframe src=\"javascript:alert('frame')\"></iframe>",
    "<a href=\"javascript:alert('link')\" id=step-1>click</a>",
    "javascript:alert('bare')",
    "data:text/html,<script>alert('data')</script>",
    "\"><body onload=alert('quote')>",
    "'-alert('attr')-'",
    "`${alert('template')}`",
    "{{ config }} {% raw %} {{ 7 * 7 }}",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example><input autofocus onfocus=alert('focus')>",
    "![x](https://evil.example/pixel.png) [red]bold[/red] :bomb:",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ \x1b[2J\x1b[31m \x9b31m \x07",
    "overwritten\rline \x08\x08 \u202egnp.exe\u202c zero\u200bwidth \ufeff\U000e0041",
    "]]>\u2028\u2029\x00 __proto__ constructor",
]


def hostile_trace() -> tuple[Trace, Verdict]:
    """A trace and a verdict with the corpus in every field that holds text."""
    steps = tuple(_hostile_step(index, text) for index, text in enumerate(HOSTILE))
    everything = "\n".join(HOSTILE)
    messages = {message_id({"n": 0}): Message(role=HOSTILE[0], content=everything, name=HOSTILE[3])}
    trace = Trace(
        id=HOSTILE[1],
        observed=Observed(
            task=everything,
            framework=HOSTILE[3],
            agents=(AgentInfo(name=HOSTILE[0], role=HOSTILE[4], system_prompt=everything),),
            messages=messages,
            contexts=(ContextLink(parent=None, message=next(iter(messages))),),
            steps=steps,
            outcome=Outcome(
                success=False,
                answer=HOSTILE[3],
                error=ErrorInfo(type=HOSTILE[4], message=HOSTILE[5], traceback=everything),
            ),
        ),
        ground_truth=GroundTruth(answer={HOSTILE[0]: HOSTILE[1]}, feedback=HOSTILE[2]),
        labels=(Label(agent=HOSTILE[3], step=1, reason=HOSTILE[4]),),
        dropped={HOSTILE[3]: 1},
        metadata={HOSTILE[0]: HOSTILE[1], "__proto__": {"polluted": True}},
    )
    evidence = tuple(Evidence(step=i, says=text, quote=text) for i, text in enumerate(HOSTILE))
    verdict = Verdict(
        trace_id=HOSTILE[2],
        agent=HOSTILE[3],
        step=3,
        reason=everything,
        confidence=0.5,
        candidates=(
            Candidate(agent=HOSTILE[3], step=3, probability=0.5, reason=HOSTILE[0]),
            Candidate(agent=HOSTILE[4], step=4, reason=HOSTILE[1], evidence=evidence),
        ),
        agents={HOSTILE[3]: 0.5},
        provenance=Provenance(model=HOSTILE[0], method=HOSTILE[1], versions={HOSTILE[3]: "1"}),
        verification=Verification(
            status="confirmed",
            flips=3,
            replays=4,
            control_flips=0,
            control_replays=4,
            traces=(HOSTILE[0],),
            note=HOSTILE[4],
        ),
    )
    return trace, verdict


def rate(successes: int, runs: int = 20) -> dict[str, float]:
    """A share as an evolution reports it."""
    return {"successes": successes, "runs": runs, "low": 0.1, "high": 0.9}


ROUNDS: dict[str, Any] = {
    "strategy": "variant",
    "tracer": "embedded",
    "first": rate(8),
    "rounds": [
        {
            "round": 1,
            "success": rate(15),
            "control": rate(8),
            "failures": 12,
            "abstained": 2,
            "cost": {"runs": 20, "replays": 3, "model_calls": 40, "tokens": 1200},
            "changes": [
                {
                    "agent": "solver",
                    "says": "exact -> rounded",
                    "why": "It rounds too early.",
                    "evidence": ["run-1", "run-2", "run-3", "run-4"],
                    "kept": True,
                    "effect": {"finding": "helps", "wins": 7, "losses": 0, "ties": 13}
                    | {"p_harm": 1.0, "p_help": 0.0078},
                }
            ],
        },
        {"round": 2, "success": rate(15), "control": rate(15)},
    ],
    "final": rate(15),
    "unchanged": rate(8),
    "cost": {"runs": 60},
    "notes": ["one task was skipped"],
}


def hostile_rounds() -> dict[str, Any]:
    """The rounds of an evolution with the corpus in every field that holds text."""
    rate = {"successes": 1, "runs": 2, "low": 0.1, "high": 0.9}
    effect = {
        "finding": HOSTILE[0],
        "wins": 1,
        "losses": 0,
        "ties": 1,
        "p_harm": 1.0,
        "p_help": 0.5,
    }
    changes = [
        {"agent": text, "says": text, "why": text, "evidence": [text], "kept": True, "note": text}
        | {"effect": effect}
        for text in HOSTILE
    ]
    one = {"round": 1, "success": rate, "control": rate, "trial": rate, "changes": changes}
    return {
        "session": HOSTILE[0],
        "tracer": HOSTILE[1],
        "strategy": HOSTILE[3],
        "first": rate,
        "final": rate,
        "unchanged": rate,
        "effect": effect,
        "rounds": [one],
        "notes": HOSTILE,
    }


def replayed() -> tuple[Trace, Verdict, list[Trace]]:
    """The failed run, confirmed: one replay with step 2 corrected, and one as it was."""
    trace, verdict = failed_run()
    fixed = trace.steps[2].model_copy(
        update={"content": "Globex: 9.2 to 9.9", "attributes": {"replay": "override"}}
    )
    end = Step(index=3, agent="planner", kind="llm", content="Globex.")
    corrected = _again(trace, "again-1", (*trace.steps[:2], fixed, end), success=True)
    control = _again(trace, "again-2", trace.steps, success=False)
    proof = Verification(
        status="confirmed",
        flips=1,
        replays=1,
        control_flips=0,
        control_replays=1,
        traces=("again-2", "again-1"),
    )
    return trace, verdict.model_copy(update={"verification": proof}), [corrected, control]


def curved() -> tuple[Trace, Verdict]:
    """The failed run with a success curve: lost at step 2; prefixes 4 and 5 have no rate."""
    trace, verdict = failed_run()
    counts = {0: (5, 8), 1: (6, 9), 2: (5, 8), 3: (0, 12), 4: (0, 0), 6: (0, 3)}
    rates = tuple(
        PrefixRate(
            prefix=k, step=k - 1 if k else None, successes=s, replays=n, unusable=2 * (not n)
        )
        for k, (s, n) in counts.items()
    )
    proof = Verification(
        status="confirmed",
        method="prefixes",
        flips=5,
        replays=8,
        control_flips=0,
        control_replays=8,
    )
    return trace, verdict.model_copy(update={"success_curve": rates, "verification": proof})


def _again(trace: Trace, name: str, steps: tuple[Step, ...], *, success: bool) -> Trace:
    outcome = Outcome(success=success, answer="Globex" if success else "Acme")
    observed = trace.observed.model_copy(update={"steps": steps, "outcome": outcome})
    return trace.model_copy(update={"id": name, "parent": trace.id, "observed": observed})


def _hostile_step(index: int, text: str) -> Step:
    call = ToolCall(id=text, name=text, arguments={text: text, "__proto__": text}, result=[text])
    broken = ToolCall(name=text, arguments=text, error=ErrorInfo(type=text, message=text))
    return Step(
        index=index,
        agent=text,
        kind="llm",
        content=text,
        to=text,
        reads=0,
        tool_calls=(call, broken),
        error=ErrorInfo(type=text, message=text, traceback=text),
        attributes={text: text},
    )


def failed_run() -> tuple[Trace, Verdict]:
    """Three agents, six steps; the researcher (step 2) made up a figure."""
    prompt = {"role": "user", "content": "Which company grew faster?"}
    answer = {"role": "tool", "content": "Globex: 9.2 to 9.9"}
    contexts = (
        ContextLink(parent=None, message=message_id(prompt)),
        ContextLink(parent=0, message=message_id(answer)),
    )
    timeout = ErrorInfo(type="TimeoutError", message="no answer within 5 s")
    steps = (
        Step(index=0, agent="planner", kind="llm", content="I ask both.", reads=0, to="researcher"),
        Step(index=1, agent="reader", kind="llm", content="Acme: 4.1 to 5.0", parent=0),
        Step(
            index=2,
            agent="researcher",
            kind="llm",
            content="Not reachable.\nSo I took the figures from memory.",
            tool_calls=(
                ToolCall(name="fetch", arguments={"url": "https://globex.test"}, error=timeout),
            ),
        ),
        Step(index=3, agent="planner", kind="llm", content="9.9 / 9.2 is 1.08", reads=1),
        Step(index=4, agent="reader", content="\n".join(f"line {n}" for n in range(30))),
        Step(index=5, agent="planner", kind="llm", content="Acme.", reads=1),
    )
    trace = Trace(
        id="run-1",
        observed=Observed(
            task="Which company grew faster?",
            framework="langgraph",
            messages={message_id(m): Message(**m) for m in (prompt, answer)},
            contexts=contexts,
            steps=steps,
            outcome=Outcome(success=False, answer="Acme"),
        ),
        ground_truth=GroundTruth(answer="Globex"),
        started_at=1_795_000_000.0,
        ended_at=1_795_000_072.0,
        dropped={"queue_full": 3},
    )
    evidence = (
        Evidence(step=2, says="no source was read", quote="took the figures from memory"),
        Evidence(step=3, says="the planner computes with them", quote="9.9 / 9.2"),
    )
    verdict = Verdict(
        trace_id="run-1",
        agent="researcher",
        step=2,
        reason="It answered from memory.",
        confidence=0.81,
        candidates=(
            Candidate(agent="researcher", step=2, probability=0.81, evidence=evidence),
            Candidate(agent="planner", step=3, probability=0.1, reason="Did not check."),
        ),
        provenance=Provenance(model="embedded", method="rules", usage=Usage(seconds=0.4)),
    )
    return trace, verdict


def long_run(length: int) -> Trace:
    """A run of any length in which each step reads all that came before it."""
    agents = ["orchestrator", "coder", "reviewer", "web", "files"]
    messages: dict[str, Message] = {}
    contexts, steps = [], []
    for index in range(length):
        content = f"step {index}: " + "what it wrote, at some length. " * (1 + index % 13)
        message = {"role": "assistant", "content": content}
        messages[message_id(message)] = Message(**message)
        parent = index - 1 if index else None
        contexts.append(ContextLink(parent=parent, message=message_id(message)))
        call = ToolCall(name="search", arguments={"q": f"query {index}"}, result="found " * 20)
        steps.append(
            Step(
                index=index,
                agent=agents[index * 7 % 5],
                kind="llm",
                content=content,
                reads=index,
                tool_calls=(call,) if index % 3 == 0 else (),
            )
        )
    observed = Observed(
        task="A very long run",
        messages=messages,
        contexts=tuple(contexts),
        steps=tuple(steps),
        outcome=Outcome(success=False),
    )
    return Trace(id="long", observed=observed)


def agent_as_tool() -> Trace:
    """A desk that its supervisor calls as a tool: the call returns after the desk's two steps."""
    call = ToolCall(id="a", name="ask_desk", arguments={"question": "fare?"}, result="EUR 95.90")
    inside: dict[str, Any] = {"agent": "desk", "kind": "llm", "parent": 0}
    steps = (
        Step(index=0, agent="supervisor", kind="llm", tool_calls=(call,)),
        Step(index=1, content="I look it up.", **inside),
        Step(index=2, content="It is 95.90.", **inside),
        Step(index=3, agent="supervisor", kind="llm", content="The trip costs 95.90."),
    )
    observed = Observed(task="What is the fare?", steps=steps, outcome=Outcome(success=False))
    return Trace(id="01agent_as_tool", observed=observed)
