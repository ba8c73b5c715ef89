"""The trained ranker: what must not sway it, what it promises, and how fast it is."""

import json
import resource
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentracer.attribution import Tracer
from agentracer.attribution.embedded import EmbeddedBackend
from agentracer.attribution.embedded.model.features import Features
from agentracer.attribution.embedded.model.model_file import shipped_model
from agentracer.attribution.embedded.model.ranker import agent_shares, likely_steps, rank
from agentracer.attribution.judgeability import judgeability
from agentracer.formats import whowhen
from agentracer.trace import (
    ErrorInfo,
    GroundTruth,
    Observed,
    Outcome,
    Step,
    ToolCall,
    Trace,
)

TASK = "How many apples are in the basket of Paula?"
CODE = "Let me compute.\n```python\nprint(3 + 4)\n```"
CHAT = (
    ("counter", f"# Task\n{TASK}\nPlan: look, then count."),
    ("checker", "I will wait for the numbers, please go on."),
    ("counter", CODE),
    ("machine", "exitcode: 0 (execution succeeded)\nCode output: 5731"),
    ("checker", "So there are 5371 apples, and 5371 + 20 = 5400."),
)


def trace_of(*steps, answer=None, success=False):
    made = tuple(
        Step(index=i, **(s if isinstance(s, dict) else {"agent": s[0], "content": s[1]}))
        for i, s in enumerate(steps)
    )
    outcome = Outcome(success=success, answer=answer)
    return Trace(id="t", observed=Observed(task=TASK, steps=made, outcome=outcome))


def attribute(trace, **options):
    return Tracer(options.pop("model", "embedded"), **options).attribute(trace)


def bare(verdict):
    return verdict.model_copy(update={"provenance": None})


def renamed(trace, names, *, in_text):
    data = json.loads(trace.to_json())
    observed = data["observed"]
    observed["agents"] = [a | {"name": names[a["name"]]} for a in observed["agents"]]
    for step in observed["steps"]:
        step["agent"] = names[step["agent"]]
        if step.get("to"):
            step["to"] = names[step["to"]]
        if in_text and "content" in step:
            for old in sorted(names, key=len, reverse=True):
                step["content"] = step["content"].replace(old, names[old])
    return Trace.model_validate(data)


# --- what must not sway it


@pytest.mark.parametrize("in_text", [False, True], ids=["in fields", "in texts too"])
def test_renaming_the_agents_renames_the_blamed_and_changes_no_step(in_text, whowhen_logs):
    for trace in whowhen.load_directory(whowhen_logs):
        involved = {a.name for a in trace.agents} | {s.to for s in trace.steps if s.to}
        names = {name: f"agent_{i:02}x" for i, name in enumerate(sorted(involved))}
        before = attribute(trace, top_k=200)
        after = attribute(renamed(trace, names, in_text=in_text), top_k=200)
        assert after.step == before.step
        if not in_text:  # in texts, an ordinary word may be a name: further down ranks may swap
            assert [c.step for c in after.candidates] == [c.step for c in before.candidates]
            assert after.agent == names[before.agent]
            assert after.confidence == pytest.approx(before.confidence)


def test_without_labels_and_under_another_file_name_the_verdict_is_the_same(whowhen_logs, tmp_path):
    for number, file in enumerate(sorted(whowhen_logs.glob("*/*.json"))[::4]):
        log = json.loads(file.read_text())
        kept = {k: v for k, v in log.items() if not k.startswith("mistake_")}
        other = tmp_path / f"renamed-{number}.json"
        other.write_text(json.dumps(kept | {"ground_truth": "something else"}))
        assert bare(attribute(whowhen.load(file))) == bare(attribute(whowhen.load(other)))


def test_the_ground_truth_changes_nothing():
    trace = trace_of(*CHAT, answer="5371")
    told = trace.model_copy(update={"ground_truth": GroundTruth(answer="5751")})
    with_truth = Tracer("embedded", ground_truth=True).attribute(told)
    assert bare(with_truth) == bare(attribute(trace))


def test_the_same_run_gets_the_same_verdict_every_time():
    assert bare(attribute(trace_of(*CHAT))) == bare(attribute(trace_of(*CHAT)))


# --- what it says


def test_a_successful_run_gets_no_blame():
    verdict = attribute(trace_of(*CHAT, success=True))
    assert verdict.abstained
    assert verdict.candidates == ()


def test_shares_and_probabilities_are_distributions():
    verdict = attribute(trace_of(*CHAT), top_k=50)
    assert sum(c.probability for c in verdict.candidates) == pytest.approx(1)
    assert sum(verdict.agents.values()) == pytest.approx(1)
    assert verdict.agent == next(iter(verdict.agents))


def test_on_known_shapes_the_likely_steps_hold_the_labelled_one_four_times_in_five(whowhen_logs):
    tracer = Tracer("embedded:in-domain")
    known = [
        (trace.labels[0].step, verdict)
        for trace in whowhen.load_directory(whowhen_logs)
        if (verdict := tracer.attribute(trace)).calibrated
    ]
    assert len(known) > 80
    assert all(verdict.step == verdict.likely_steps[0] for _, verdict in known)
    assert sum(step in verdict.likely_steps for step, verdict in known) >= 0.8 * len(known)


def test_a_run_of_another_shape_gets_no_set_since_none_was_measured():
    verdict = attribute(trace_of(*[("a", TASK)] * 3))
    assert verdict.likely_steps == ()
    assert "uncalibrated" in verdict.reason


def test_evidence_comes_from_what_lifted_the_score_and_shows_it():
    run = trace_of(*CHAT, answer="5371")
    last = next(c for c in attribute(run).candidates if c.step == 4)
    says = " | ".join(e.says for e in last.evidence)
    assert "it says 5371, the result at step 3 says 5731" in says
    assert "states a wrong calculation: its left side is 5391" in says
    for piece in last.evidence:
        assert piece.quote in run.observed.text(piece.step)


def test_a_briefing_that_holds_the_answer_already_says_which():
    briefing = ("counter", f"# Task\n{TASK}\nResults of the last try: there are 5731.")
    run = trace_of(briefing, *CHAT[1:], answer="5731")
    first = next(c for c in attribute(run, model="embedded:in-domain").candidates if c.step == 0)
    held = next(e for e in first.evidence if "before any agent has worked" in e.says)
    assert held.says.endswith("contains the answer before any agent has worked: 5731")
    assert "5731" in held.quote


def test_the_first_of_its_kind_is_not_said_twice():
    made_up = ("counter", "Let us assume 512, 640, 733 and 818 apples.")
    run = trace_of(CHAT[0], made_up, answer="818")
    second = next(c for c in attribute(run, model="embedded:in-domain").candidates if c.step == 1)
    assert sum("assumed" in e.says or "assumes" in e.says for e in second.evidence) == 1


def test_features_that_show_as_evidence_really_lift():
    features = Features(trace_of(*CHAT, answer="5371").observed)
    ranking = rank(features, shipped_model())
    lifts = ranking.contributions(features.row(4))
    assert lifts["wrong_calculation"] > 0
    assert list(lifts.values()) == sorted(lifts.values(), reverse=True)


def test_a_wrong_sum_makes_a_step_more_suspicious():
    right = [(a, text.replace("5400", "5391")) for a, text in CHAT]
    probability = {
        name: next(c.probability for c in attribute(trace_of(*chat)).candidates if c.step == 4)
        for name, chat in (("wrong", CHAT), ("right", right))
    }
    assert probability["wrong"] > probability["right"]


@pytest.mark.parametrize(
    "trace",
    [
        trace_of(*CHAT, success=None),
        trace_of(*[("a", TASK)] * 3),
        trace_of(*CHAT, *[("checker", "And again.")] * 400),
        trace_of(*({"agent": a, "content": t, "kind": "llm"} for a, t in CHAT)),
    ],
    ids=["success unknown", "one agent", "long", "captured"],
)
def test_a_run_of_another_shape_is_called_uncalibrated(trace):
    verdict = attribute(trace)
    assert not verdict.calibrated
    assert "uncalibrated" in " ".join([verdict.reason, *verdict.notes])


@pytest.mark.slow
def test_it_abstains_where_the_promised_error_cannot_be_kept_and_keeps_its_list(whowhen_logs):
    logs = whowhen.load_directory(whowhen_logs)
    plain = Tracer("embedded:in-domain")
    # A verdict by a finding is not calibrated, so it passes no promise.
    calibrated = [trace for trace in logs if plain.attribute(trace).calibrated]
    surest = max(calibrated, key=lambda trace: plain.attribute(trace).confidence)
    strict = Tracer(EmbeddedBackend("in-domain", target_error=0.01)).attribute(surest)
    assert strict.abstained
    assert "at most 1%" in strict.abstain_reason
    assert strict.agent is strict.step is None
    assert strict.candidates == plain.attribute(surest).candidates
    assert strict.likely_steps
    lenient = Tracer("embedded:in-domain", target_error=0.7)
    assert not lenient.attribute(surest).abstained
    stricter = Tracer("embedded:in-domain", target_error=0.3)
    assert any(stricter.attribute(trace).abstained for trace in logs)


def test_a_target_is_an_option_of_the_ranker_and_must_be_a_share():
    assert EmbeddedBackend().with_options(target_error=0.5, seed=1).target_error == 0.5
    with pytest.raises(ValueError, match="target_error"):
        EmbeddedBackend(target_error=1.5)
    with pytest.raises(ValueError, match="samples"):
        EmbeddedBackend().with_options(samples=3)
    with pytest.raises(ValueError, match="rule list"):
        EmbeddedBackend("rules").with_options(target_error=0.5)


def test_the_agent_head_lies_between_mass_and_the_top_step():
    chances, speakers = [0.4, 0.3, 0.3], ["a", "b", "b"]
    assert next(iter(agent_shares(chances, speakers, 1.0))) == "b"
    assert next(iter(agent_shares(chances, speakers, 50.0))) == "a"
    assert sum(agent_shares(chances, speakers, 1.5).values()) == pytest.approx(1)


def test_the_set_holds_the_steps_before_which_little_mass_is_ranked():
    assert likely_steps([2, 0, 1], [0.3, 0.1, 0.6], 0.0) == [2]
    assert likely_steps([2, 0, 1], [0.3, 0.1, 0.6], 0.7) == [2, 0]
    assert likely_steps([2, 0, 1], [0.3, 0.1, 0.6], 1.0) == [2, 0, 1]


# --- anything at all

words = st.sampled_from(
    ["", "hello", CODE, "exitcode: 1\nTraceback", TASK, "```", "1 + 1 = 3", "\ud800", "a Berlin "]
)
contents = st.lists(words | st.text(max_size=12), max_size=4).map("\n".join)
agents = st.sampled_from(["a", "b", "c", "$", "(x", "\\d+"])
errors = st.none() | st.just(ErrorInfo(type="E", message="m"))
calls = st.builds(ToolCall, name=words, arguments=st.none() | st.lists(words), error=errors)


@st.composite
def runs(draw):
    count = draw(st.integers(0, 12))
    steps = tuple(
        Step(
            index=index,
            agent=draw(agents),
            kind=draw(st.sampled_from(["llm", "message", "tool", "node"])),
            content=draw(contents),
            to=draw(st.none() | agents),
            tool_calls=tuple(draw(st.lists(calls, max_size=2))),
            error=draw(errors),
            parent=draw(st.none() | st.integers(0, count - 1)),
        )
        for index in range(count)
    )
    outcome = Outcome(
        success=draw(st.sampled_from([None, False])), answer=draw(st.none() | contents)
    )
    return Trace(id="r", observed=Observed(task=draw(contents), steps=steps, outcome=outcome))


@given(runs())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_run_at_all_gets_a_verdict_that_blames_only_what_it_holds(trace):
    verdict = Tracer("embedded", top_k=100).attribute(trace)  # the Tracer checks quotes too
    judged = bool(judgeability(trace))
    assert verdict.abstained == (not judged)
    blamed = [step.index for step in trace.steps] if judged else []
    assert sorted(c.step for c in verdict.candidates) == blamed
    assert sum(verdict.agents.values()) <= 1 + 1e-9


# --- how fast it is (processor time, as other programs run beside the tests)


@pytest.mark.timing
def test_a_run_takes_milliseconds(whowhen_logs):
    tracer, spent = Tracer("embedded"), []
    for trace in whowhen.load_directory(whowhen_logs):
        started = time.process_time()
        tracer.attribute(trace)
        spent.append(time.process_time() - started)
    spent.sort()
    assert spent[len(spent) // 2] < 0.03  # measured: 12 ms
    assert spent[int(0.95 * len(spent))] < 0.2  # measured: 107 ms


@pytest.mark.slow
@pytest.mark.timing
def test_fifty_thousand_steps_take_seconds_and_little_memory():
    steps = [
        {"agent": f"agent_{i % 7}", "content": f"Note {i}: the total is {i * 7}, says Norbert."}
        for i in range(50_000)
    ]
    trace = trace_of(*steps)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    verdict = attribute(trace)
    assert time.process_time() - started < 30.0  # measured: 14 to 17 s beside other processes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024
    assert not verdict.calibrated


@pytest.mark.parametrize("filler", ["x", "\n", "1,", "A ", "is 1 ", "a = 1 ", "a_a", "1 + 1 = "])
@pytest.mark.timing
def test_the_time_grows_no_faster_than_the_text(filler):
    trace = trace_of(*CHAT, ("b", filler * (300_000 // len(filler))), answer="zzz")
    started = time.process_time()
    attribute(trace)
    assert time.process_time() - started < 3.0
