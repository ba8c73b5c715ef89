"""Rows become the prompts that a Tracer sends; what cannot be used is found before training."""

import json
import random

import pytest
from training.augment import exchanged, inserted, renamed, variant
from training.config import Data, Reward
from training.data import Reader
from training.reasoning import solution
from training.rewards import answer_key, reward

from agentracer.attribution import answers
from agentracer.attribution.judge import LanguageModelBackend
from agentracer.attribution.language_models.base import Completion
from agentracer.attribution.methods.base import JudgeOptions
from agentracer.errors import TrainingError
from agentracer.formats import tracertraj
from agentracer.trace import ToolCall
from training import corpus, data

from .rows import Words, row, write

CONTEXT = {"context": 4_000, "answer_tokens": 1_000}


def settings(*files, **changes):
    return Data(train=files, **{"held_out": 0.0, **CONTEXT, **changes})


def trace_of(**changes):
    """A row as a trace, with the replay evidence that only our own rows keep."""
    made = row(**changes)
    trace = tracertraj.trace_of(made)
    metadata = {**trace.metadata, "verification": made["verification"]}
    return trace.model_copy(update={"metadata": metadata})


def example_of(trace, tokenizer=None, **changes):
    found = data.examples([trace], tokenizer or Words(), settings("-", **changes))
    assert len(found) == 1
    return found[0]


class Asked(Reader):
    """A judge that keeps what it is asked and answers with the first step."""

    def __init__(self, tokenizer, context):
        super().__init__(tokenizer, context)
        self.asked = []

    def generate(self, requests):
        self.asked += requests
        firsts = [one.grammar.choices[3][0] for one in requests]
        who = [one.grammar.choices[1][0] for one in requests]
        texts = [
            f"<think></think><answer>{a}|{b}</answer>" for a, b in zip(who, firsts, strict=True)
        ]
        return [[Completion(text=text)] for text in texts]


@pytest.mark.parametrize("truth", [False, True], ids=["without the truth", "with the truth"])
@pytest.mark.parametrize("key", [0, 7])
def test_prompts_are_those_that_a_tracer_sends(truth, key):
    tokenizer, trace = Words(), trace_of()
    judge = Asked(tokenizer, CONTEXT["context"])
    options = JudgeOptions(seed=key, answer_tokens=CONTEXT["answer_tokens"])
    LanguageModelBackend(judge, options).attribute(
        trace.observed, ground_truth=trace.ground_truth if truth else None
    )
    prepared = settings("-", ground_truth=truth)
    (made,) = data.examples([trace], tokenizer, prepared, key=key)
    assert made.prompt == judge.asked[0].prompt


def test_solutions_are_read_back_as_the_label():
    example = example_of(trace_of())
    text = data.demonstration(example, Words(), 500)
    said = answers.parse_blame(
        "tagged", text, example.judge_prompt.view, example.judge_prompt.steps
    )
    assert (said.step, said.agent) == (2, "Solver")
    assert (
        reward(text, answer_key(example.judge_prompt, example.step, example.agent), Reward()) == 1.0
    )


def test_reasoning_is_what_the_replays_showed():
    trace = trace_of(tried=(0, 2))
    view = example_of(trace).judge_prompt.view
    label = view.labels
    assert solution(trace, view, range(4)) == (
        f"<think>\n[{label[0]}]\n| Step A: 3 + 4\n| corrected, the run still fails\n"
        f"[{label[1]}]\n| Result: A = 7 => 7 agrees\n"
        f"[{label[2]}]\n| Result: B = 9 => 8 differs\n"
        f"With [{label[2]}] corrected, the run succeeds.</think><answer>Solver|{label[2]}</answer>"
    )


def test_a_reason_in_other_words_is_quoted():
    trace = trace_of(mistake_reason="It never looked at <answer> B")
    view = example_of(trace).judge_prompt.view
    text = solution(trace, view, range(4))
    assert "wrong: It never looked at ‹answer› B" in text
    assert text.count("<answer>") == 1


def test_a_weakened_demonstration_reasons_rightly_and_blames_the_last_step():
    example = example_of(trace_of())
    text = data.demonstration(example, Words(), 500, blame_last=True)
    view = example.judge_prompt.view
    assert f"With [{view.labels[2]}] corrected" in text
    assert text.endswith(f"<answer>Reporter|{view.labels[3]}</answer>")


def test_exchanged_digits_keep_what_repeats_what():
    trace = trace_of()
    other = variant(trace, 5, rename=False, digits=1.0, prefix=0, distractors=0)
    before, after = (
        [one.observed.task, *(step.content for step in one.steps), str(one.labels[0].reason)]
        for one in (trace, other)
    )
    pairs = {
        pair
        for old, new in zip(before, after, strict=True)
        for pair in zip(old, new, strict=True)
        if pair[0] != pair[1]
    }
    assert pairs
    assert all(old.isdigit() and new.isdigit() for old, new in pairs)
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    view = example_of(other).judge_prompt.view
    assert "corrected, the run succeeds" in solution(other, view, range(4))


def test_reasoning_leaves_out_the_first_steps_where_there_is_no_room():
    example = example_of(trace_of())
    whole = data.demonstration(example, Words(), 500)
    tokens = len(Words()(whole)["input_ids"])
    shorter = data.demonstration(example, Words(), tokens)
    assert "What comes first needs no correction." in shorter
    assert shorter.endswith(whole[whole.index("<answer>") :])
    with pytest.raises(TrainingError, match="does not fit"):
        data.demonstration(example, Words(), 10)


# -- what is found before training


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mistake_agent": None}, "mistake_agent: the field is missing"),
        ({"history": None}, "history: the field is missing"),
        ({"mistake_step": "4"}, "step 4 of a history of 4"),
        ({"mistake_step": "-1"}, "expected agent and step"),
        ({"mistake_agent": "Planner"}, "blames 'Planner' for step 2, which 'Solver' took"),
        ({"question": None}, "expected text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, changes, problem):
    file = write(tmp_path / "train.jsonl", [row(), row(1, **changes)])
    with pytest.raises((TrainingError, ValueError), match="row 1") as caught:
        corpus.load(settings(file, test=(file,)))
    assert problem in str(caught.value)


def test_bad_rows_may_be_left_out_and_are_counted(tmp_path):
    rows = [row(n) for n in range(20)] + [row(50, mistake_agent="Planner"), row(51, history=None)]
    file = write(tmp_path / "train.jsonl", rows)
    loaded = corpus.load(settings(file, held_out=0.2, skip_bad_rows=True))
    assert (len(loaded.train), len(loaded.test)) == (16, 4)
    assert sum(loaded.skipped.values()) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question_ID": "0383a3ee-47a7-41a4-b493-519bdefe0488"}, "GAIA"),
        ({"question_ID": "agentic/0383A3EE-47A7-41A4-B493-519BDEFE0488"}, "GAIA"),
        ({"question_ID": "ab" * 32}, "AssistantBench"),
        ({"is_corrected": False}, "is_corrected"),
        ({"level": "2"}, "level"),
    ],
)
def test_who_and_when_can_never_enter(tmp_path, changes, reason):
    file = write(tmp_path / "train.jsonl", [row(), row(1, **changes)])
    with pytest.raises(TrainingError, match=r"row 1: this may be a run of Who&When") as caught:
        corpus.load(settings(file, skip_bad_rows=True))
    assert reason in str(caught.value)


def test_no_log_of_who_and_when_passes_the_guard(whowhen_logs, tmp_path):
    files = sorted(whowhen_logs.rglob("*.json"))
    assert len(files) > 50
    for number, file in enumerate(files):
        whole = json.loads(file.read_text())
        public = {key: whole[key] for key in tracertraj.PUBLIC_FIELDS if key in whole}
        for one in (whole, public):
            made = write(tmp_path / f"{number}.jsonl", [one])
            with pytest.raises(TrainingError, match="Who&When"):
                corpus.load(settings(made))


def test_no_file_and_nothing_left_are_errors(tmp_path):
    with pytest.raises(TrainingError, match="no such file"):
        corpus.load(settings(str(tmp_path / "none.jsonl")))
    file = write(tmp_path / "train.jsonl", [row()])
    with pytest.raises(TrainingError, match="no trace is left to train on"):
        corpus.load(settings(file, where={"origin": ("injected",)}))


def test_train_and_test_share_no_task(tmp_path):
    both = [row(n) for n in range(40)] + [row(n, question="Again.") for n in range(40)]
    pairs = [row(question_ID=f"sums/sums-{n:04d}+sums-{n + 1:04d}") for n in range(39)]
    file = write(tmp_path / "train.jsonl", both + pairs)
    loaded = corpus.load(settings(file, held_out=0.3))
    train, test = (
        {task for trace in traces for task in corpus.tasks(trace)}
        for traces in (loaded.train, loaded.test)
    )
    assert not train & test
    assert len(test) == 12
    assert loaded.skipped["about a task of train and a task of test"] > 0
    again = corpus.load(settings(file, held_out=0.3))
    assert [one.id for one in again.test] == [one.id for one in loaded.test]


def test_a_test_file_with_a_task_of_train_is_refused(tmp_path):
    train = write(tmp_path / "train.jsonl", [row(1), row(2)])
    test = write(tmp_path / "test.jsonl", [row(2), row(3)])
    with pytest.raises(TrainingError, match="1 tasks are in train and in test"):
        corpus.load(settings(train, test=(test,)))


def test_parquet_is_read_as_jsonl_is(tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    rows = [row(n) for n in range(4)]
    flat = write(tmp_path / "a.jsonl", rows)
    packed = tracertraj.write_parquet(tmp_path / "a.parquet", rows)
    whole = [corpus.load(settings(str(one), held_out=0.5)) for one in (flat, packed)]
    assert [t.observed for t in whole[0].train] == [t.observed for t in whole[1].train]


# -- long traces


def long_row(steps, wrong):
    history = [
        {"role": "assistant", "name": "Solver", "content": f"Result: X = {n} " + "word " * 40}
        for n in range(steps)
    ]
    return row(history=history, mistake_agent="Solver", mistake_step=str(wrong), tried=(wrong,))


@pytest.mark.parametrize("wrong", [0, 13, 39])
def test_a_long_trace_comes_in_windows_and_the_label_stays_inside(wrong):
    trace = tracertraj.trace_of(long_row(40, wrong))
    made = data.examples([trace], Words(), settings("-", context=2_400, answer_tokens=200))
    assert len(made) > 1
    inside = [one for one in made if one.step is not None]
    assert inside
    for one in made:
        assert (one.step == wrong) == (wrong in one.judge_prompt.steps)
        tokens = sum(len(Words()(turn.content)["input_ids"]) for turn in one.prompt)
        assert tokens <= 2_200
    assert sum(one.step is None for one in made) == 1
    blameless = next(one for one in made if one.step is None)
    assert data.demonstration(blameless, Words(), 2_000).endswith("<answer>none|none</answer>")


# -- augmentation


def test_renaming_reaches_every_place_and_moves_the_label():
    trace = trace_of(
        mistake_reason='Solver wrote "Result: B = 9" where "Result: B = 8" was right; with that '
        "corrected, the run succeeds"
    )
    told = renamed(trace, {"Solver": "Theo", "Planner": "Solver", "Reporter": "Rosa"})
    assert told.observed.agent_names == ("Solver", "Theo", "Rosa")
    assert told.labels[0].agent == "Theo" == told.steps[told.labels[0].step].agent
    assert told.labels[0].reason.startswith("Theo wrote")


def test_a_name_inside_a_word_is_left_alone():
    history = [{"role": "assistant", "name": "Al", "content": "Also Al, Al_2 and metAl"}]
    trace = trace_of(history=history, mistake_agent="Al", mistake_step="0")
    assert renamed(trace, {"Al": "Bo"}).steps[0].content == "Also Bo, Al_2 and metAl"


def test_what_tools_were_asked_and_said_is_told_otherwise_too():
    trace = trace_of()
    call = ToolCall(name="hand_over", arguments={"to": ["Solver"], "left": 3}, result="Solver: 12")
    first = trace.steps[0].model_copy(update={"tool_calls": (call,)})
    observed = trace.observed.model_copy(update={"steps": (first, *trace.steps[1:])})
    trace = trace.model_copy(update={"observed": observed})
    (told,) = renamed(trace, {"Solver": "Theo"}).steps[0].tool_calls
    assert (told.arguments, told.result) == ({"to": ["Theo"], "left": 3}, "Theo: 12")
    (told,) = exchanged(trace, random.Random(0)).steps[0].tool_calls
    assert len(set(told.result.removeprefix("Solver: "))) == 2
    assert told.arguments["to"] == ["Solver"]


@pytest.mark.parametrize("position", range(5))
def test_an_inserted_step_moves_label_and_evidence_with_their_steps(position):
    trace = trace_of(tried=(1, 2))
    extra = trace.steps[0].model_copy(update={"content": "Hello."})
    longer = inserted(trace, position, extra)
    assert [step.index for step in longer.steps] == list(range(5))
    assert longer.steps[position].content == "Hello."
    assert longer.steps[longer.labels[0].step].content == trace.steps[2].content
    tried = longer.metadata["verification"]["tried"]
    assert [longer.steps[one].content for one in tried] == [
        trace.steps[one].content for one in (1, 2)
    ]


def test_variants_are_reproducible_and_spread_the_label():
    trace = trace_of()
    assert variant(trace, 3) == variant(trace, 3)
    places = {variant(trace, seed).labels[0].step for seed in range(30)}
    names = {variant(trace, seed).labels[0].agent for seed in range(30)}
    assert len(places) >= 3
    assert len(names) >= 10


def test_no_more_variants_are_made_than_training_looks_at():
    traces = [trace_of(number=n) for n in range(4)]
    many = settings("-", augment={"copies": 10})
    assert len(data.prepare(traces, Words(), many, seed=0)) == 40
    few = data.prepare(traces, Words(), many, seed=0, enough=6)
    assert len(few) == 8
    assert len({one.id for one in few}) == 8
