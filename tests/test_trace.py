"""The common schema."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentracer.recorder import RunRecorder
from agentracer.redaction import Redactor
from agentracer.store import Store, new_trace_id
from agentracer.trace import (
    ContextLink,
    GroundTruth,
    Label,
    Message,
    Observed,
    Outcome,
    Step,
    ToolCall,
    Trace,
    message_id,
    message_shape,
)
from tests.hostile import hostile_values

text = st.text(st.characters(exclude_categories=()), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)
calls = st.builds(ToolCall, id=text, name=text, arguments=json_values, result=json_values)


@st.composite
def traces(draw):
    count = draw(st.integers(0, 5))
    messages = [
        Message(role="user", content=content) for content in draw(st.lists(text, max_size=4))
    ]
    table = {message_id(m.model_dump(mode="json")): m for m in messages}
    links = [ContextLink(parent=i - 1 if i else None, message=name) for i, name in enumerate(table)]
    steps = [
        Step(
            index=index,
            agent=draw(text.filter(len)),
            kind=draw(st.sampled_from(["llm", "message", "tool", "node"])),
            content=draw(text),
            reads=draw(st.none() | st.integers(0, len(links) - 1)) if links else None,
            tool_calls=tuple(draw(st.lists(calls, max_size=2))),
            attributes=draw(st.dictionaries(text, json_values, max_size=2)),
        )
        for index in range(count)
    ]
    return Trace(
        id=draw(text),
        observed=Observed(
            task=draw(text),
            messages=table,
            contexts=tuple(links),
            steps=tuple(steps),
            outcome=Outcome(success=draw(st.sampled_from([True, False, None]))),
        ),
        ground_truth=draw(st.none() | st.builds(GroundTruth, answer=json_values)),
        labels=tuple(
            draw(st.lists(st.builds(Label, agent=text, step=st.integers(0, 9)), max_size=1))
        ),
    )


@given(traces())
def test_a_trace_survives_json(trace):
    again = Trace.model_validate_json(trace.to_json())
    assert again == trace
    assert Trace.model_validate(json.loads(trace.to_json(indent=2))) == trace


@pytest.mark.parametrize("value", hostile_values().values(), ids=hostile_values())
def test_any_value_can_be_an_argument_a_result_or_an_attribute(value):
    call = ToolCall(id="1", name="f", arguments=value, result=[value])
    step = Step(index=0, agent="a", tool_calls=(call,), attributes={"x": value})
    trace = Trace(id="t", observed=Observed(steps=(step,)), ground_truth=GroundTruth(answer=value))
    assert Trace.model_validate_json(trace.to_json()) == trace


def test_every_string_field_takes_lone_surrogates():
    trace = Trace(
        id="t\ud800", observed=Observed(task="\udfff", steps=(Step(index=0, agent="\ud800"),))
    )
    assert trace.steps[0].agent == "\\ud800"
    trace.to_json().encode()


def test_json_names_its_schema_version_and_leaves_defaults_out():
    data = json.loads(Trace(id="t", observed=Observed()).to_json())
    assert data == {"schema_version": "1.0", "id": "t", "observed": {}}


def test_another_major_version_is_refused():
    with pytest.raises(ValidationError, match=r"schema_version 2\.0 is not readable"):
        Trace.model_validate({"schema_version": "2.0", "id": "t", "observed": {}})


def test_json_schema_describes_what_to_json_writes():
    schema = Trace.json_schema()
    assert schema["properties"]["observed"]["$ref"] == "#/$defs/Observed"
    assert {"Step", "Message", "ToolCall", "Outcome", "Label"} <= set(schema["$defs"])


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("contexts", [{"parent": None, "message": "no"}], "unknown message"),
        ("steps", [{"index": 1, "agent": "a"}], "index is 1, not 0"),
        ("steps", [{"index": 0, "agent": "a", "reads": 0}], "not an index into contexts"),
        ("steps", [{"index": 0, "agent": "a", "parent": 3}], "not a step of this trace"),
        ("steps", [{"index": 0, "agent": ""}], "at least 1 character"),
    ],
)
def test_references_that_lead_nowhere_are_refused(field, value, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Observed.model_validate({field: value})


def test_what_attribution_is_given_holds_neither_truth_nor_labels():
    assert not {"ground_truth", "labels", "id", "metadata"} & set(Observed.model_fields)


def test_messages_of_one_shape_differ_only_in_call_ids():
    def message(call_id):
        return {"role": "assistant", "tool_calls": [{"id": call_id, "name": "f", "arguments": {}}]}

    assert message_id(message("a")) != message_id(message("b"))
    assert message_shape(message("a")) == message_shape(message("b"))


def conversation(steps: int) -> tuple[Trace, int]:
    """A run in which every step reads the whole history; the trace and its journal's bytes."""
    store = Store()
    trace_id = new_trace_id()
    journal = store.journal(trace_id)
    recorder = RunRecorder(journal, Redactor(store.salt()), trace_id=trace_id, header={})
    history = [recorder.message("system", "You are an agent.")]
    for number in range(steps):
        content = f"message {number}: " + "word " * 40
        index = recorder.begin_step(f"agent-{number % 3}", reads=history)
        recorder.end_step(index, content=content)
        history.append(recorder.message("assistant", content, name=f"agent-{number % 3}"))
    recorder.finish({})
    return store.load(trace_id), journal.path.stat().st_size


def test_a_conversation_that_is_read_again_at_every_step_is_stored_in_linear_space():
    short, short_bytes = conversation(100)
    long, long_bytes = conversation(1_000)
    print(f"journal: {short_bytes} bytes at 100 steps, {long_bytes} at 1,000")
    print(f"trace as JSON: {len(short.to_json())} and {len(long.to_json())}")
    assert long_bytes < 10.5 * short_bytes
    assert len(long.to_json()) < 10.5 * len(short.to_json())
    assert len(long.observed.contexts) == 1_000
    assert [len(long.observed.reads(k)) for k in (0, 499, 999)] == [1, 500, 1_000]
