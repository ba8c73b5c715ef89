"""Answers: what a text comes to, held against the run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentracer.attribution.answers import (
    Answer,
    Unreadable,
    blame_grammar,
    choice_grammar,
    instruction,
    parse_blame,
    parse_choice,
)
from agentracer.attribution.rendering import TraceView

from .fakes import answer, run_of

VIEW = TraceView(run_of("one", "two", "three", agents=("Web_Surfer", "Solver", "Web_Surfer")))
A, B, C = VIEW.labels
ALL = range(3)


def tagged(text):
    return parse_blame("tagged", text, VIEW, ALL)


def json_(text):
    return parse_blame("json", text, VIEW, ALL)


def test_the_papers_form():
    said = tagged(f"<think>It adds wrong.</think><answer>Solver|{B}</answer>")
    assert (said.agent, said.step, said.reason) == ("Solver", 1, "It adds wrong.")


def test_json():
    said = json_(answer("Solver", B, reasoning="r", quote="two", also=[C, B, A]))
    assert (said.agent, said.step, said.reason, said.quote) == ("Solver", 1, "r", "two")
    assert said.also == (2, 0)


def test_json_between_words_and_fences():
    said = json_(f"Here you are:\n```json\n{answer('Solver', B)}\n```\nHope it helps {{:-)")
    assert said.step == 1


@pytest.mark.parametrize("style", ["tagged", "json"])
def test_the_last_answer_counts(style):
    first = f"<answer>Web_Surfer|{A}</answer>" if style == "tagged" else answer("Web_Surfer", A)
    last = f"<answer>Solver|{B}</answer>" if style == "tagged" else answer("Solver", B)
    said = parse_blame(style, f"The trace says {first}, but {last}", VIEW, ALL)
    assert said.step == 1


def test_each_form_is_read_where_the_other_was_asked_for():
    assert json_(f"<think>x</think><answer>Solver|{B}</answer>").step == 1
    assert tagged(answer("Solver", B)).step == 1


def test_half_a_json_object_is_read():
    assert json_(answer("Solver", B)[:-12]).step == 1


@pytest.mark.parametrize("name", ["web_surfer", "WebSurfer", "Web Surfer", "Websurfers"])
def test_a_near_miss_of_a_name_is_resolved_and_noted(name):
    said = tagged(f"<answer>{name}|{A}</answer>")
    assert said.agent == "Web_Surfer"
    assert name in said.note


@pytest.mark.parametrize("label", ["[{}]", "step {}", " {} ", "Step: [{}]", '"{}"'])
def test_a_label_may_be_decorated(label):
    assert tagged(f"<answer>Solver|{label.format(B)}</answer>").step == 1


def test_where_agent_and_step_contradict_the_step_stands():
    said = tagged(f"<answer>Solver|{A}</answer>")
    assert (said.agent, said.step) == ("Web_Surfer", 0)
    assert "the step has priority" in said.note


def test_an_unknown_agent_costs_nothing_where_the_step_is_known():
    assert tagged(f"<answer>Ghost|{B}</answer>").agent == "Solver"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I cannot tell.", "no answer"),
        ("", "no answer"),
        ("<answer>Solver</answer>", "not the label"),
        ("<answer>Solver|1</answer>", "not the label"),
        ("<answer>Solver|zzz</answer>", "not the label"),
    ],
)
def test_what_names_no_step_is_unusable_and_keeps_its_text(text, problem):
    said = tagged(text)
    assert isinstance(said, Unreadable)
    assert problem in said.problem
    assert said.text == text


def test_a_step_out_of_question_is_unusable():
    said = parse_blame("tagged", f"<answer>Solver|{B}</answer>", VIEW, [0, 2])
    assert isinstance(said, Unreadable)


def test_nobody_may_be_blamed():
    assert tagged("<think>fine</think><answer>none|none</answer>").step is None
    assert json_(answer("none", "none")).step is None


def test_an_agent_without_a_step_blames_no_step():
    said = tagged("<answer>Solver|none</answer>")
    assert said.step is None
    assert "no step" in said.note
    assert json_(answer("Solver", "none")).step is None


@pytest.mark.parametrize("style", ["tagged", "json"])
@pytest.mark.parametrize("agent", ["none", "Solver"])
def test_no_step_is_no_answer_where_one_is_to_blame(style, agent):
    text = f"<answer>{agent}|none</answer>" if style == "tagged" else answer(agent, "none")
    said = parse_blame(style, text, VIEW, [0, 1], abstain=False)
    assert isinstance(said, Unreadable)
    assert "names no step" in said.problem


def test_where_a_step_is_to_blame_no_form_offers_none():
    tagged_grammar = blame_grammar("tagged", VIEW, [0, 1], abstain=False)
    assert tagged_grammar.choices[1] == ("Web_Surfer", "Solver")
    assert tagged_grammar.choices[3] == (A, B)
    schema = blame_grammar("json", VIEW, [0, 1], abstain=False).json_schema
    assert schema["properties"]["step"]["enum"] == [A, B]
    for style in ("tagged", "json"):
        assert "none" not in instruction(style, abstain=False)[0]
        assert "none" in instruction(style)[0]


def test_forms_name_only_what_is_in_question():
    grammar = blame_grammar("tagged", VIEW, [0, 1])
    assert grammar.choices == (
        ("<answer>",),
        ("Web_Surfer", "Solver", "none"),
        ("|",),
        (A, B, "none"),
        ("</answer>",),
    )
    schema = blame_grammar("json", VIEW, [1]).json_schema
    assert schema["properties"]["step"]["enum"] == [B, "none"]
    # The step decides the agent, so a JSON answer does not name one.
    assert list(schema["properties"]) == ["reasoning", "step", "quote", "also"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>no</think><answer>Yes</answer>", "yes"),
        ("<answer>yes</answer><answer>no</answer>", "no"),
        (json.dumps({"reasoning": "x", "answer": "no"}), "no"),
        ('{"answer": "yes"', "yes"),
    ],
)
@pytest.mark.parametrize("style", ["tagged", "json"])
def test_choices(text, expected, style):
    assert parse_choice(style, text, ("yes", "no")) == expected


def test_a_choice_that_is_none_is_unusable():
    assert isinstance(parse_choice("tagged", "<answer>maybe</answer>", ("yes", "no")), Unreadable)
    assert choice_grammar("tagged", ("yes",)).choices[1] == ("yes",)


@given(st.text(), st.sampled_from(["tagged", "json"]))
def test_no_text_breaks_the_parser(text, style):
    assert isinstance(parse_blame(style, text, VIEW, ALL), Answer | Unreadable)
    assert isinstance(parse_choice(style, text, ("yes", "no")), str | Unreadable)


@pytest.mark.parametrize("text", ["{" * 100_000, '{"step":' * 50_000, "<answer>" * 50_000])
def test_hostile_lengths_do_not_stall_the_parser(text):
    assert isinstance(json_(text), Unreadable)
