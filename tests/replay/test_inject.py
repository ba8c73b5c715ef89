"""Failures known by construction, and that nothing but the error tells them from natural ones."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections import Counter, defaultdict

import pytest

from agentracer.replay import Budget, Override, System, ainject, find_decisive, inject
from agentracer.replay.inject import corruptions
from agentracer.replay.operators import Corruption, find, operators
from agentracer.replay.operators.base import _Registered
from tests.replay.miniature import Miniature, record


def spoil(trace, step, rng):
    if "figure" not in trace.steps[step].content:
        return None
    return Corruption(Override(step=step, content=f"figure {rng.randrange(10, 99)}"), "wrong")


SPOIL = _Registered("test.spoil", "spoils a figure", spoil)


def answer(name, lines):
    if name == "repairer":
        return "figure 7" if lines[-1] != "figure 7" else "as it was"
    return "figure 7" if name in ("first", "second") else "done"


def good(lines):
    return lines[-2] in ("figure 7", "as it was")


def team():
    """What `first` writes is repaired, what `second` writes is not."""
    return Miniature(["first", "repairer", "second", "closer"], answer)


def test_a_run_that_fails_after_one_change_is_labelled_with_it():
    trace = record(team(), good)
    system = System(run=team().run, check=good)
    made = inject(trace, system, seed=1, operators=[SPOIL])
    assert [(one.label.agent, one.label.step) for one in made] == [("second", 2)]
    one = made[0]
    assert one.trace.outcome.success is False
    assert one.trace.labels == (one.label,)
    assert (one.label.source, one.label.reason) == ("injection", "wrong")
    assert one.label.attributes == {"operator": "test.spoil", "source": trace.id}
    assert (one.failures, one.replays, one.control_failures, one.control_replays) == (1, 1, 0, 1)
    assert one.trace.steps[2].content == one.override.content


def test_the_label_is_what_a_search_finds():
    trace = record(team(), good)
    system = System(run=team().run, check=good, deterministic=True)
    one = inject(trace, system, seed=1, operators=[SPOIL])[0]

    def undo(failed, step):
        before = trace.steps[step].content
        return Override(step=step, content=before)

    search = find_decisive(one.trace, system, undo)
    assert (search.verdict.agent, search.verdict.step) == (one.label.agent, one.label.step)


def test_the_same_seed_makes_the_same_failures():
    trace = record(team(), good)
    system = System(run=team().run, check=good)

    def made(seed):
        found = inject(trace, system, seed=seed, operators=[SPOIL])
        return [(one.operator, one.label.step, one.override.content) for one in found]

    assert made(3) == made(3)
    assert len({str(made(seed)) for seed in range(6)}) > 1
    again = record(team(), good)  # another run of the same: other id, other times
    first = [c.override.content for _, c in corruptions(trace, seed=3, operators=[SPOIL])]
    assert first == [c.override.content for _, c in corruptions(again, seed=3, operators=[SPOIL])]


def test_limits_attempts_steps_and_budget():
    trace = record(team(), good)
    system = System(run=team().run, check=good)
    several = [SPOIL, _Registered("more.spoil", "", spoil), _Registered("most.spoil", "", spoil)]
    assert len(inject(trace, system, seed=1, operators=several)) == 3
    assert len(inject(trace, system, seed=1, operators=several, limit=1)) == 1
    assert inject(trace, system, seed=1, operators=several, steps=[0, 1]) == []
    assert len(inject(trace, system, seed=1, operators=several, attempts=2)) <= 2
    assert inject(trace, system, seed=1, operators=several, budget=Budget(runs=1)) == []


def test_an_operator_that_proposes_nonsense_costs_nothing():
    def nonsense(trace, step, rng):
        return Corruption(Override(step=99, content="x"), "nonsense")

    trace = record(team(), good)
    system = System(run=team().run, check=good)
    with_nonsense = [_Registered("bad.nonsense", "", nonsense), SPOIL]
    assert len(inject(trace, system, seed=1, operators=with_nonsense)) == 1


def test_a_system_that_fails_by_itself_needs_controls_of_its_own():
    rng = random.Random(4)

    def flaky(lines):
        return good(lines) and rng.random() < 0.5

    trace = record(team(), lambda lines: True)
    system = System(run=team().run, check=flaky, deterministic=False)
    operators_ = [_Registered(f"f{i}.spoil", "", spoil) for i in range(20)]
    made = inject(trace, system, seed=1, operators=operators_)
    assert len(made) <= 6  # a control that fails half of the time confirms little
    for one in made:
        assert (one.failures, one.control_failures) == (3, 0)
    steady = System(run=team().run, check=good, deterministic=False)
    assert len(inject(trace, steady, seed=1, operators=operators_, limit=2)) == 2


def test_only_successful_recorded_runs_are_corrupted():
    failed = record(team(), lambda lines: False)
    system = System(run=team().run, check=good)
    with pytest.raises(ValueError, match="not a successful run"):
        inject(failed, system, seed=1)
    imported = record(team(), good).model_copy(update={"replayable": False})
    with pytest.raises(ValueError, match="imported"):
        inject(imported, system, seed=1)


def test_async():
    trace = record(team(), good)
    system = System(run=team().arun, check=good)
    made = asyncio.run(ainject(trace, system, seed=1, operators=[SPOIL]))
    assert [one.label.step for one in made] == [2]


def test_nothing_but_the_label_says_where_the_error_is():
    trace = record(team(), good)
    system = System(run=team().run, check=good)
    one = inject(trace, system, seed=1, operators=[SPOIL])[0]
    unlabelled = json.loads(one.trace.model_copy(update={"labels": ()}).to_json())
    assert unlabelled.pop("replayable") is True
    text = json.dumps(unlabelled)
    for marker in ("replay", "override", "inject", "spoil", "recorded", trace.id):
        assert marker not in text, marker
    natural = json.loads(record(team(), lambda lines: False).to_json())
    del natural["replayable"]
    assert set(unlabelled) == set(natural)
    steps = unlabelled["observed"]["steps"]
    assert [set(step) for step in steps] == [set(s) for s in natural["observed"]["steps"]]
    times = [time for step in steps for time in (step["started_at"], step["ended_at"])]
    assert times == sorted(times)
    assert all(step["usage"]["input_tokens"] for step in steps)


# -- real teams


@pytest.fixture(scope="module")
def coding_runs(tmp_path_factory):
    """Runs of the coding team that succeeded and that failed by themselves."""
    pytest.importorskip("libcst", reason="needs the extra [inject]")
    pytest.importorskip("langchain_openai", reason="needs the extra [demo]")
    import agentracer
    from agentracer.lab.testbed.coding_policy import CodingPolicy
    from agentracer.lab.testbed.coding_tasks import TASKS
    from agentracer.lab.testbed.coding_team import build, check, solve
    from agentracer.lab.testbed.server import ModelServer
    from agentracer.store import Store

    store = Store(tmp_path_factory.mktemp("coding"))
    agentracer.instrument("langgraph")
    runs = []
    with ModelServer(CodingPolicy(0)) as server:
        graph = build(server.base_url, "scripted", "none")
        for seed, error_kind in enumerate(("none", "slip", "plan")):
            for task in TASKS:
                server.model = CodingPolicy(seed, error_kind=error_kind)
                with agentracer.record(
                    task.statement, check=lambda code, t=task: check(t, code), store=store
                ) as run:
                    run.result = solve(graph, task)
                runs.append((task.function, run.trace))
        yield runs, graph, server, store
    agentracer.uninstrument()


@pytest.mark.slow
def test_failures_of_a_real_team(coding_runs):
    from agentracer.lab.testbed.coding_policy import CodingPolicy
    from agentracer.lab.testbed.coding_tasks import TASKS
    from agentracer.lab.testbed.coding_team import check, solve

    runs, graph, server, store = coding_runs
    task = TASKS[0]
    trace = next(t for name, t in runs if name == task.function and t.outcome.success)
    server.model = CodingPolicy(0, error_kind="none")
    system = System(
        run=lambda: solve(graph, task),
        check=lambda code: check(task, code),
        store=store,
        deterministic=True,
    )
    made = inject(trace, system, seed=2, operators=operators(["code", "text"]), attempts=10)
    assert made
    for one in made:
        assert one.trace.outcome.success is False
        assert one.trace.steps[one.label.step].agent == one.label.agent
        assert not any("replay" in step.attributes for step in one.trace.steps)


def bag(text):
    return Counter(re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]", text))


def train(rows, epochs=12, rate=0.5, decay=1e-4):
    """Logistic regression on bags of words."""
    weights, bias = defaultdict(float), 0.0
    rng = random.Random(0)
    for _ in range(epochs):
        rng.shuffle(rows)
        for words, injected in rows:
            size = math.sqrt(sum(n * n for n in words.values())) or 1.0
            score = bias + sum(weights[w] * n / size for w, n in words.items())
            wrong = 1 / (1 + math.exp(-max(-30.0, min(30.0, score)))) - injected
            bias -= rate * wrong
            for w, n in words.items():
                weights[w] -= rate * (wrong * n / size + decay * weights[w])
    return weights


def score(weights, words):
    size = math.sqrt(sum(n * n for n in words.values())) or 1.0
    return sum(weights.get(w, 0.0) * n / size for w, n in words.items())


def auc(scores):
    """Chance that an injected step is scored above a natural one."""
    injected = [s for s, label in scores if label]
    natural = [s for s, label in scores if not label]
    wins = sum((i > n) + 0.5 * (i == n) for i in injected for n in natural)
    return wins / (len(injected) * len(natural))


@pytest.mark.slow
def test_a_bag_of_words_cannot_tell_injected_from_natural_steps(coding_runs, record_property):
    runs, *_ = coding_runs
    pool = defaultdict(list)  # natural steps, errors that happened by themselves among them
    for name, trace in runs:
        for step in trace.steps:
            pool[step.agent, bool(step.tool_calls)].append((name, step.content))
    rng = random.Random(1)
    rows = []  # task, text, injected, family
    for name, trace in runs:
        for operator, corruption in corruptions(trace, seed=5) if trace.outcome.success else ():
            override = corruption.override
            if override.content is None:
                continue
            step = trace.steps[override.step]
            text, calls = override.answer(step)
            family = operator.name.partition(".")[0]
            rows.append((name, text, 1, family))
            # Beside each a natural step of the same agent and form, so that who is corrupted how
            # often says nothing.
            known = pool[step.agent, bool(calls)] or [(name, step.content)]
            same_task = [content for other, content in known if other == name]
            content = rng.choice(same_task or [content for _, content in known])
            rows.append((name, content, 0, family))
    tasks = sorted({name for name, *_ in rows})
    scores = []
    for held in tasks:
        weights = train([(bag(text), label) for name, text, label, _ in rows if name != held])
        scores += [
            (score(weights, bag(text)), label, family)
            for name, text, label, family in rows
            if name == held
        ]
    overall = auc([(s, label) for s, label, _ in scores])
    families = {
        family: round(auc([(s, label) for s, label, f in scores if f == family]), 3)
        for family in ("code", "text", "orchestration")
    }
    print(f"AUC {overall:.3f} of {sum(r[2] for r in rows)} injected steps; by family {families}")
    record_property("AUC", overall)
    # What is left is knowledge of these tasks: each has three examples, so `All 4 tests passed` is
    # wrong; no word marks the injection as such.
    assert 0.35 < overall < 0.7


def test_the_classifier_would_find_a_marker():
    rng = random.Random(1)
    words = ["alpha", "beta", "gamma", "delta"]
    rows = []
    for i in range(200):
        text = " ".join(rng.choices(words, k=10))
        rows.append((bag(f"{text} attacked_solution" if i % 2 else text), i % 2))
    weights = train(rows[:100])
    assert auc([(score(weights, words), label) for words, label in rows[100:]]) > 0.95


def test_operators_by_name():
    assert find("code.off_by_one").says
