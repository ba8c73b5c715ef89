"""ATIF in and out: a document in the RFC's shape, and every trace of ours there and back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentracer.errors import FormatError
from agentracer.formats import atif
from agentracer.trace import (
    AgentInfo,
    ErrorInfo,
    GroundTruth,
    Label,
    ModelCall,
    Observed,
    Outcome,
    Step,
    TokenUsage,
    ToolCall,
    Trace,
)
from agentracer.verdict import Candidate, Provenance, Verdict

FOREIGN = {
    "schema_version": "ATIF-v1.7",
    "session_id": "s1",
    "agent": {
        "name": "harness",
        "version": "1.0",
        "model_name": "m",
        "tool_definitions": [{"type": "function", "function": {"name": "bash", "parameters": {}}}],
    },
    "steps": [
        {"step_id": 1, "source": "system", "message": "Be exact."},
        {"step_id": 2, "source": "user", "message": [{"type": "text", "text": "Compute."}]},
        {
            "step_id": 3,
            "timestamp": "2026-11-23T08:00:00Z",
            "source": "agent",
            "message": "running",
            "reasoning_content": "hm",
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "bash", "arguments": {"cmd": "ls"}},
                {"tool_call_id": "c2", "function_name": "ask", "arguments": {}},
            ],
            "observation": {
                "results": [
                    {"source_call_id": "c1", "content": "a.txt"},
                    {"source_call_id": "c2", "subagent_trajectory_ref": [{"trajectory_id": "sub"}]},
                    {"content": "the terminal closed"},
                ]
            },
            "metrics": {"prompt_tokens": 7, "completion_tokens": 2, "cost_usd": 0.1},
        },
        {"step_id": 4, "source": "user", "message": "Go on."},
        {"step_id": 5, "source": "agent", "message": "8", "llm_call_count": 0},
    ],
    "subagent_trajectories": [
        {
            "schema_version": "ATIF-v1.7",
            "trajectory_id": "sub",
            "agent": {"name": "expert", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "What is it?"},
                {"step_id": 2, "source": "agent", "message": "42"},
            ],
        }
    ],
}


class TestIn:
    def test_foreign_document(self, tmp_path):
        path = tmp_path / "trajectory.json"
        path.write_text(json.dumps(FOREIGN), encoding="utf-8")
        [trace] = atif.read(path)
        assert atif.is_atif(FOREIGN)
        assert [(s.agent, s.kind, s.content, s.parent) for s in trace.steps] == [
            ("harness", "llm", "running", None),
            ("expert", "llm", "42", 0),
            ("user", "message", "Go on.", None),
            ("harness", "message", "8", None),
        ]
        first = trace.steps[0]
        assert [(c.name, c.arguments, c.result) for c in first.tool_calls] == [
            ("bash", {"cmd": "ls"}, "a.txt"),
            ("ask", {}, None),
        ]
        assert first.attributes == {"reasoning": "hm", "observations": ["the terminal closed"]}
        assert (first.usage.input_tokens, first.usage.output_tokens) == (7, 2)
        assert (first.model.name, first.started_at) == ("m", 1795420800.0)
        assert (trace.task, trace.outcome.answer, trace.outcome.success) == ("Compute.", "8", None)
        assert trace.agents[0].system_prompt == "Be exact."
        assert [tool.name for tool in trace.agents[0].tools] == ["bash"]
        assert not trace.replayable

    @pytest.mark.parametrize("version", ["ATIF-v1.0", "ATIF-v1.8"])
    def test_minor_versions(self, version):
        assert atif.trace_of(FOREIGN | {"schema_version": version}).steps

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"schema_version": "ATIF-v2.0"}, "schema_version"),
            ({"agent": None}, "agent"),
            ({"steps": [{"step_id": 1, "source": "robot"}]}, "steps[0].source"),
            ({"steps": "none"}, "steps"),
            (
                {
                    "steps": [
                        {
                            "step_id": 1,
                            "source": "agent",
                            "extra": {"agentracer": {"kind": "dream"}},
                        }
                    ]
                },
                "steps[0].kind",
            ),
            (
                {
                    "steps": [
                        {"step_id": 1, "source": "agent", "extra": {"agentracer": {"parent": 9}}}
                    ]
                },
                None,
            ),
            ({"extra": {"agentracer": {"outcome": {"success": "perhaps"}}}}, "success"),
        ],
    )
    def test_broken(self, change, place):
        with pytest.raises(FormatError) as caught:
            atif.trace_of(FOREIGN | change)
        assert caught.value.place == place
        assert caught.value.remedy

    def test_subagents_without_end(self):
        document = FOREIGN | {"subagent_trajectories": []}
        for _ in range(60):
            document = FOREIGN | {"subagent_trajectories": [document | {"trajectory_id": "sub"}]}
        with pytest.raises(FormatError):
            atif.trace_of(document)


TRACE = Trace(
    id="t1",
    observed=Observed(
        task="Compute.",
        framework="langgraph",
        agents=(AgentInfo(name="a", system_prompt="Be exact."), AgentInfo(name="b")),
        steps=(
            Step(
                index=0,
                agent="a",
                kind="llm",
                content="calling",
                model=ModelCall(name="m"),
                usage=TokenUsage(input_tokens=1, output_tokens=2),
                started_at=1795420800.5,
                tool_calls=(
                    ToolCall(id="same", name="add", arguments={"x": 1}, result="2"),
                    ToolCall(id="same", name="add", arguments=[3], result={"sum": 4}),
                    ToolCall(name="bad", error=ErrorInfo(type="ValueError", message="no")),
                    ToolCall(name="never"),
                ),
            ),
            Step(index=1, agent="b", kind="node", content="8", to="a", parent=0),
        ),
        outcome=Outcome(success=False, answer="8"),
    ),
    ground_truth=GroundTruth(answer="SECRET"),
    labels=(Label(agent="b", step=1, reason="SECRET"),),
)


class TestOut:
    def test_document(self):
        document = atif.to_atif(TRACE)
        assert document["schema_version"] == "ATIF-v1.7"
        assert [s["step_id"] for s in document["steps"]] == [1, 2, 3]
        assert [s["source"] for s in document["steps"]] == ["user", "agent", "agent"]
        assert [s["extra"]["agent_name"] for s in document["steps"][1:]] == ["a", "b"]
        first = document["steps"][1]
        ids = [call["tool_call_id"] for call in first["tool_calls"]]
        assert len(set(ids)) == 4
        assert all(isinstance(call["arguments"], dict) for call in first["tool_calls"])
        results = first["observation"]["results"]
        assert [r["source_call_id"] for r in results] == ids[:3]
        assert results[2]["content"] == "ValueError: no"
        assert document["final_metrics"]["total_prompt_tokens"] == 1
        assert "metrics" not in document["steps"][2]

    def test_answers_stay_here(self):
        assert "SECRET" not in json.dumps(atif.to_atif(TRACE))

    def test_verdict(self):
        verdict = Verdict(
            trace_id="t1",
            agent="b",
            step=1,
            confidence=0.5,
            candidates=(Candidate(agent="b", step=1),),
            provenance=Provenance(model="m", method="rules"),
        )
        ours = atif.to_atif(TRACE, verdict)["extra"]["agentracer"]
        assert Verdict.model_validate(ours["verdict"]) == verdict
        document = atif.to_atif(TRACE, verdict)
        [blamed] = [s for s in document["steps"] if s["step_id"] == ours["blamed_step_id"]]
        assert blamed["extra"]["agent_name"] == "b"

    def test_there_and_back(self):
        back = atif.trace_of(json.loads(json.dumps(atif.to_atif(TRACE))))
        assert back.observed == TRACE.observed
        assert back.id == TRACE.id

    def test_imported_and_back(self):
        once = atif.trace_of(FOREIGN)
        document = atif.to_atif(once)
        assert [s["source"] for s in document["steps"]] == [
            "user", "agent", "agent", "user", "agent",
        ]  # fmt: skip
        assert atif.trace_of(document).observed.steps == once.steps


names = st.text(min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
errors = st.builds(ErrorInfo, type=names, message=st.text(max_size=9))
calls = st.builds(
    ToolCall,
    id=st.text(max_size=3),
    name=names,
    arguments=values,
    result=values,
) | st.builds(ToolCall, id=st.text(max_size=3), name=names, arguments=values, error=errors)


@st.composite
def traces(draw):
    steps = []
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["llm", "message", "tool", "node"]))
        called = kind in ("llm", "message")
        usage = st.none() | st.builds(TokenUsage, input_tokens=st.integers(0, 99))
        steps.append(
            Step(
                index=index,
                agent=draw(names),
                kind=kind,
                content=draw(st.text(max_size=20)),
                to=draw(st.none() | names),
                tool_calls=tuple(draw(st.lists(calls, max_size=3))),
                error=draw(st.none() | errors),
                usage=draw(usage) if called else None,
                parent=draw(st.none() | st.integers(0, index - 1)) if index else None,
            )
        )
    acting = dict.fromkeys(step.agent for step in steps)
    described = [AgentInfo(name=name, system_prompt=draw(st.none() | names)) for name in acting]
    task, success = draw(st.text(max_size=20)), draw(st.none() | st.booleans())
    return Trace(
        id=draw(names),
        observed=Observed(
            task=task,
            agents=tuple(described),
            steps=tuple(steps),
            outcome=Outcome(success=success),
        ),
    )


@settings(max_examples=300, deadline=None)
@given(traces())
def test_round_trip(trace):
    text = json.dumps(atif.to_atif(trace), allow_nan=False)
    back = atif.trace_of(json.loads(text))
    assert back.observed == trace.observed
