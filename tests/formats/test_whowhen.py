"""Who&When logs: both shapes are read, labels stay where they belong, broken logs say so."""

import copy
import json

import pytest

from agentracer.errors import FormatError
from agentracer.formats import whowhen

GENERATED = {
    "question": "How many?",
    "ground_truth": "8",
    "is_correct": False,
    "question_ID": "q1",
    "level": "Easy",
    "history": [
        {"content": "Plan: How many?", "role": "assistant", "name": "Excel_Expert"},
        {"content": "exitcode: 0", "role": "user", "name": "Computer_terminal"},
    ],
    "mistake_agent": "Excel_Expert",
    "mistake_step": "0",
    "mistake_reason": "Counted wrongly.",
    "system_prompt": {"Excel_Expert": "You know sheets.", "Silent_Expert": "You wait."},
}
CRAFTED = {
    "question": "Who?",
    "ground_truth": "Bob",
    "history": [
        {"content": "Who?", "role": "human"},
        {"content": "Plan", "role": "Orchestrator (thought)"},
        {"content": "Search!", "role": "Orchestrator (-> WebSurfer)"},
        {"content": "I found Al.", "role": "WebSurfer"},
        {"content": "Done.\nFINAL ANSWER: Al\nRUN COMPLETE", "role": "Orchestrator (final)"},
    ],
    "mistake_agent": "WebSurfer",
    "mistake_step": "3",
    "mistake_reason": "Wrong man.",
    "mistake_type": "Tool failure",
}


def written(folder, log, name="1.json"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(log))
    return path


def test_the_speaker_of_a_generated_log_is_its_name(tmp_path):
    trace = whowhen.load(written(tmp_path / "Algorithm-Generated", GENERATED))
    assert [step.agent for step in trace.steps] == ["Excel_Expert", "Computer_terminal"]
    assert [step.kind for step in trace.steps] == ["message", "message"]
    assert [step.attributes["role"] for step in trace.steps] == ["assistant", "user"]
    assert trace.metadata["subset"] == "Algorithm-Generated"


def test_the_speaker_of_a_crafted_log_is_its_role_without_the_remark(tmp_path):
    trace = whowhen.load(written(tmp_path, CRAFTED))
    assert [step.agent for step in trace.steps] == [
        "human", "Orchestrator", "Orchestrator", "WebSurfer", "Orchestrator",
    ]  # fmt: skip
    assert [step.to for step in trace.steps] == [None, None, "WebSurfer", None, None]
    assert trace.steps[2].attributes["role"] == "Orchestrator (-> WebSurfer)"


def test_what_a_step_read_is_unknown(tmp_path):
    trace = whowhen.load(written(tmp_path, CRAFTED))
    assert {step.reads for step in trace.steps} == {None}


def test_a_run_of_the_benchmark_failed_and_cannot_be_replayed(tmp_path):
    trace = whowhen.load(written(tmp_path, GENERATED))
    assert trace.outcome.success is False
    assert not trace.replayable


def test_the_answer_is_taken_from_the_last_message_that_states_it(tmp_path):
    assert whowhen.load(written(tmp_path, CRAFTED)).outcome.answer == "Al"
    assert whowhen.load(written(tmp_path, GENERATED)).outcome.answer is None


def test_labels_and_ground_truth_lie_beside_the_observed_run(tmp_path):
    trace = whowhen.load(written(tmp_path, CRAFTED))
    (label,) = trace.labels
    assert (label.agent, label.step, label.reason) == ("WebSurfer", 3, "Wrong man.")
    assert label.source == "human"
    assert label.attributes == {"mistake_type": "Tool failure"}
    assert trace.ground_truth.answer == "Bob"
    assert "Wrong man" not in trace.observed.model_dump_json()


def test_neither_labels_nor_folder_change_the_id(tmp_path):
    other = CRAFTED | {"mistake_agent": "Orchestrator", "mistake_step": "1", "ground_truth": "Z"}
    first = whowhen.load(written(tmp_path / "a", CRAFTED))
    second = whowhen.load(written(tmp_path / "b", other, "7.json"))
    assert first.id == second.id
    assert first.observed == second.observed


def test_different_runs_of_one_question_have_different_ids(tmp_path):
    other = copy.deepcopy(CRAFTED)
    other["history"][3]["content"] = "I found Bo."
    ids = [whowhen.load(written(tmp_path, log)).id for log in (CRAFTED, other)]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("as_text", [str, json.dumps])
def test_system_prompts_may_be_a_dict_written_as_text(as_text, tmp_path):
    log = GENERATED | {"system_prompt": as_text(GENERATED["system_prompt"])}
    trace = whowhen.load(written(tmp_path, log))
    prompts = {agent.name: agent.system_prompt for agent in trace.agents}
    assert prompts == GENERATED["system_prompt"] | {"Computer_terminal": None}


def test_an_unlabelled_log_is_fine(tmp_path):
    log = {key: value for key, value in CRAFTED.items() if not key.startswith("mistake")}
    assert whowhen.load(written(tmp_path, log)).labels == ()


@pytest.mark.parametrize("log", [GENERATED, CRAFTED], ids=["generated", "crafted"])
def test_a_log_can_be_written_again_as_it_was(log, tmp_path):
    again = whowhen.to_whowhen(whowhen.load(written(tmp_path, log)))
    assert {**again, "is_correct": None} == {**log, "is_correct": None}


BROKEN = {
    "no question": ({"question": None}, "question"),
    "no history": ({"history": None}, "history"),
    "history is text": ({"history": "hello"}, "history"),
    "an entry is text": ({"history": ["hello"]}, "history[0]"),
    "an entry has no content": ({"history": [{"role": "human"}]}, "history[0].content"),
    "an entry has no role": ({"history": [{"content": "x"}]}, "history[0].role"),
    "an entry has an empty role": ({"history": [{"content": "x", "role": " "}]}, "history[0].role"),
    "a name is a number": (
        {"history": [{"content": "x", "role": "user", "name": 3}]},
        "history[0].name",
    ),
    "the labelled step does not exist": ({"mistake_step": "5"}, "mistake_step"),
    "the labelled step is negative": ({"mistake_step": "-1"}, "mistake_step"),
    "the labelled step is a word": ({"mistake_step": "three"}, "mistake_step"),
    "the labelled step is missing": ({"mistake_step": None}, "mistake_step"),
    "the labelled agent is missing": ({"mistake_agent": None}, "mistake_agent"),
    "the reason is a list": ({"mistake_reason": []}, "mistake_reason"),
    "the prompts are no dict": ({"system_prompt": "{'a': "}, "system_prompt"),
    "a prompt is a number": ({"system_prompt": {"a": 1}}, "system_prompt.a"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_log_is_an_error_with_file_place_and_remedy(case, tmp_path):
    change, place = BROKEN[case]
    path = written(tmp_path, CRAFTED | change)
    with pytest.raises(FormatError) as caught:
        whowhen.load(path)
    assert caught.value.source == path
    assert caught.value.place == place
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'{"history": [' * 9_000])
def test_a_file_that_is_no_log_at_all_names_itself(content, tmp_path):
    path = tmp_path / "1.json"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        whowhen.load(path)
    assert caught.value.source == path
    assert caught.value.remedy


def test_a_folder_is_read_in_numeric_order_with_its_subsets(tmp_path):
    for name in ("10.json", "9.json", "1.json"):
        written(tmp_path / "Hand-Crafted", CRAFTED, name)
    written(tmp_path / "Algorithm-Generated", GENERATED, "2.json")
    (tmp_path / "LICENSE").write_text("MIT")
    read = [
        (trace.metadata["subset"], trace.metadata["file"])
        for trace in whowhen.load_directory(tmp_path)
    ]
    assert read == [
        ("Algorithm-Generated", "2.json"),
        ("Hand-Crafted", "1.json"),
        ("Hand-Crafted", "9.json"),
        ("Hand-Crafted", "10.json"),
    ]


def test_one_unreadable_file_in_a_folder_is_an_error_and_no_skip(tmp_path):
    written(tmp_path, CRAFTED, "1.json")
    (tmp_path / "2.json").write_text("{")
    with pytest.raises(FormatError, match=r"2\.json"):
        whowhen.load_directory(tmp_path)


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FormatError, match=r"no \.json file"):
        whowhen.load_directory(tmp_path)
    with pytest.raises(FormatError, match="not a folder"):
        whowhen.load_directory(tmp_path / "nowhere")


def test_all_logs_of_the_development_half_are_read_and_written_again(whowhen_logs):
    traces = whowhen.load_directory(whowhen_logs)
    assert len(traces) == 94
    assert len({trace.id for trace in traces}) == 94
    for trace in traces:
        path = whowhen_logs / trace.metadata["subset"] / trace.metadata["file"]
        assert whowhen.to_whowhen(trace) == json.loads(path.read_text())
