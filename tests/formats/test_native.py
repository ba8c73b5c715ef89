"""Our own JSON: what goes out comes back, and every broken file says what is wrong and where."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentracer.errors import FormatError
from agentracer.formats import native
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
)

text = st.text(max_size=30)
name = st.text(min_size=1, max_size=10)
number = st.floats(allow_nan=False, allow_infinity=False)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
error = st.builds(ErrorInfo, type=text, message=text, traceback=st.none() | text)
tool_call = st.builds(
    ToolCall, id=text, name=text, arguments=json_value, result=json_value, error=st.none() | error
)


@st.composite
def traces(draw):
    messages = {f"m{i}": draw(st.builds(Message, role=text, content=text)) for i in range(2)}
    links = (ContextLink(parent=None, message="m0"), ContextLink(parent=0, message="m1"))
    steps = tuple(
        Step(
            index=index,
            agent=draw(name),
            kind=draw(st.sampled_from(["llm", "message", "tool", "node"])),
            content=draw(text),
            to=draw(st.none() | name),
            reads=draw(st.none() | st.integers(0, 1)),
            tool_calls=tuple(draw(st.lists(tool_call, max_size=2))),
            error=draw(st.none() | error),
            started_at=draw(st.none() | number),
            attributes=draw(st.dictionaries(text, json_value, max_size=2)),
        )
        for index in range(draw(st.integers(0, 4)))
    )
    return Trace(
        id=draw(text),
        observed=Observed(
            task=draw(text),
            agents=tuple(draw(st.lists(st.builds(AgentInfo, name=name), max_size=2))),
            messages=messages,
            contexts=links,
            steps=steps,
            outcome=Outcome(success=draw(st.none() | st.booleans()), answer=draw(st.none() | text)),
        ),
        ground_truth=draw(st.none() | st.builds(GroundTruth, answer=json_value)),
        labels=tuple(
            draw(st.lists(st.builds(Label, agent=name, step=st.integers(0, 9)), max_size=1))
        ),
        metadata=draw(st.dictionaries(text, json_value, max_size=2)),
    )


@given(traces())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_trace_survives_being_written_and_read(trace):
    assert native.load(native.dump(trace)) == trace


def test_a_dumped_file_can_be_loaded_by_its_path(tmp_path):
    trace = Trace(id="one", observed=Observed(task="t", steps=(Step(index=0, agent="a"),)))
    native.dump(trace, tmp_path / "one.json", indent=2)
    assert native.load(tmp_path / "one.json") == trace
    assert native.load(str(tmp_path / "one.json")) == trace
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


GOOD = {"schema_version": "1.0", "id": "x", "observed": {"steps": [{"index": 0, "agent": "a"}]}}


def changed(**fields):
    return json.dumps(GOOD | fields)


BROKEN = {
    "empty": (b"", "empty", None),
    "blank": (b" \n ", "empty", None),
    "not JSON": (b"agentracer", "not JSON", "line 1"),
    "cut off": (changed().encode()[:-9], "cut off", "line 1"),
    "cut off in a string": (b'{"id": "ab', "cut off", "line 1"),
    "binary": (b"\x80\x02}q\x00X", "not a text file", "byte 0"),
    "NaN": (changed(started_at=float("nan")).encode(), "NaN", None),
    "nested without end": (b'{"id":' + b"[" * 200_000, "nested too deeply", None),
    "a list": (b"[]", "a list", None),
    "another major version": (changed(schema_version="2.0").encode(), "2.0", "schema_version"),
    "no agent": (
        changed(observed={"steps": [{"index": 0, "agent": "a"}, {"index": 1}]}).encode(),
        "Field required",
        "observed.steps[1].agent",
    ),
    "wrong numbering": (
        changed(observed={"steps": [{"index": 3, "agent": "a"}]}).encode(),
        "steps[0].index is 3",
        "observed",
    ),
    "unknown field": (changed(colour="red").encode(), "Extra inputs", "colour"),
    "huge number": (b'{"id": ' + b"9" * 10_000 + b"}", "not JSON", None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_an_error_with_file_place_and_remedy(case, tmp_path):
    content, problem, place = BROKEN[case]
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        native.load(path)
    assert problem in caught.value.problem
    assert caught.value.source == path
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert place is None or place in caught.value.place


def test_a_newer_minor_version_with_an_unknown_field_asks_for_an_upgrade(tmp_path):
    path = tmp_path / "new.json"
    path.write_text(changed(schema_version="1.9", novelty=1))
    with pytest.raises(FormatError, match="upgrade agentracer"):
        native.load(path)


def test_a_missing_file_is_a_format_error_too(tmp_path):
    with pytest.raises(FormatError, match="No such file"):
        native.load(tmp_path / "nowhere.json")


def test_text_with_a_byte_order_mark_is_read():
    assert native.load("\ufeff" + changed()).id == "x"
