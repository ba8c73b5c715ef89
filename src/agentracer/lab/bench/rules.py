"""Compute trivial baselines, which blame without reading a run.

A tracer has to be set beside these. Rules that choose a constant by looking at the labels are
`fitted`; each is also given leave-one-out: the constant for a run is chosen on all runs of other
questions. It knows traces and their labels, and nothing of tracers; rules that read what a run
did are in `heuristics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agentracer.attribution.embedded.text.signals import Signals
from agentracer.lab.bench.heuristics import HEURISTICS, POST_HOC
from agentracer.lab.bench.metrics import METRICS, Prediction, Scores, normal_name, score
from agentracer.statistics import Rate
from agentracer.trace import Trace

__all__ = ["Baseline", "baselines"]

T = TypeVar("T", bound=Hashable)
_Guess = tuple[str, Sequence[int]]  # the agent, and steps in order
_LISTED = 5
_TURNS = 6  # turns of a kind of speaker that the prior tells apart
_WIDTHS = (
    ("step_accuracy", 0),
    ("step_within_1", 1),
    ("step_within_3", 3),
    ("step_within_5", 5),
)


@dataclass(frozen=True)
class Baseline:
    """The scores of one rule.

    Attributes:
        name: of the rule.
        fitted: whether labels that it is scored on were used to choose it.
        scores: of its guesses.
        predictions: its guesses; empty where the scores are expectations.
    """

    name: str
    fitted: bool
    scores: Scores
    predictions: tuple[Prediction, ...] = ()


def baselines(traces: Sequence[Trace], scorer: str = "strict") -> list[Baseline]:
    """Score every rule on labelled runs of one subset.

    Raises:
        ValueError: a run has no label, or no steps; or there is no such scorer.
    """
    if not all(trace.labels and trace.steps for trace in traces):
        raise ValueError("trivial rules are scored on labelled runs with steps only")
    return [
        # The expectation is that of strict scoring; a lucky substring is no part of it.
        Baseline("random", False, _random(traces)),
        *(
            _scored(name, False, traces, [guess(t) for t in traces], scorer)
            for name, guess in _PLAIN.items()
        ),
        *_reading(traces, scorer),
        *_fitted(traces, scorer),
    ]


def _random(traces: Sequence[Trace]) -> Scores:
    """The exact expectation of a uniform guess among the agents that acted, and the steps."""
    expected = dict.fromkeys(METRICS, 0.0)
    for trace in traces:
        label, steps = trace.labels[0], len(trace.steps)
        names = [normal_name(name) for name in trace.observed.agent_names]
        expected["agent_accuracy"] += names.count(normal_name(label.agent)) / len(names)
        for metric, width in _WIDTHS:
            low, high = max(label.step - width, 0), min(label.step + width, steps - 1)
            expected[metric] += (high - low + 1) / steps
        expected["step_top3"] += min(3 / steps, 1)
        expected["step_top5"] += min(5 / steps, 1)
        expected["step_mrr"] += sum(1 / rank for rank in range(1, min(steps, _LISTED) + 1)) / steps
    n = len(traces)
    return Scores(n, {metric: Rate(min(hits, n), n) for metric, hits in expected.items()})


def _at(trace: Trace, step: int) -> _Guess:
    step = min(step, len(trace.steps) - 1)
    return trace.steps[step].agent, [step]


def _first_hand_off(trace: Trace) -> _Guess:
    """The first step by another agent than the one before (the first step, if none)."""
    pairs = zip(trace.steps, trace.steps[1:], strict=False)
    return _at(trace, next((b.index for a, b in pairs if a.agent != b.agent), 0))


def _most_active(trace: Trace) -> _Guess:
    """The agent with the most steps, the earlier one of equals; and its first step."""
    agent, _ = Counter(step.agent for step in trace.steps).most_common(1)[0]
    return agent, [next(step.index for step in trace.steps if step.agent == agent)]


_PLAIN: dict[str, Callable[[Trace], _Guess]] = {
    "first step": lambda trace: _at(trace, 0),
    "last step": lambda trace: _at(trace, len(trace.steps) - 1),
    "first hand-off": _first_hand_off,
    "most active agent": _most_active,
}


def _reading(traces: Sequence[Trace], scorer: str) -> list[Baseline]:
    """The rules that look at what a run did."""
    guesses: dict[str, list[_Guess]] = {name: [] for name in HEURISTICS}
    for trace in traces:
        signals = Signals(trace.observed)
        for name, rule in HEURISTICS.items():
            steps = rule(signals) or [0]
            guesses[name].append((trace.steps[steps[0]].agent, steps[:_LISTED]))
    return [_scored(n, n in POST_HOC, traces, said, scorer) for n, said in guesses.items()]


def _fitted(traces: Sequence[Trace], scorer: str) -> list[Baseline]:
    steps = [trace.labels[0].step for trace in traces]
    agents = [normal_name(trace.labels[0].agent) for trace in traces]
    return [
        *_constant("step", traces, steps, _constant_step, scorer),
        *_constant("agent", traces, agents, _constant_agent, scorer),
        _scored("speaker kind x turn, leave-one-out", False, traces, _prior(traces), scorer),
    ]


def _constant(
    what: str,
    traces: Sequence[Trace],
    values: Sequence[T],
    guesser: Callable[[Counter[T]], Callable[[Trace], _Guess]],
    scorer: str,
) -> list[Baseline]:
    """The best constant in hindsight, and the one chosen on the runs of other questions."""
    best = guesser(Counter(values))
    elsewhere = _elsewhere(traces, [Counter([value]) for value in values])
    chosen = [guesser(elsewhere(trace))(trace) for trace in traces]
    return [
        _scored(f"best constant {what}", True, traces, [best(t) for t in traces], scorer),
        _scored(f"constant {what}, leave-one-out", False, traces, chosen, scorer),
    ]


def _question(trace: Trace) -> str:
    return " ".join(trace.task.split())


def _elsewhere(
    traces: Sequence[Trace], counts: Sequence[Counter[T]]
) -> Callable[[Trace], Counter[T]]:
    """For a run: the sum of the counts of all runs of other questions. Linear, as it subtracts."""
    total: Counter[T] = Counter()
    of_question: dict[str, Counter[T]] = {}
    for trace, count in zip(traces, counts, strict=True):
        total.update(count)
        of_question.setdefault(_question(trace), Counter()).update(count)
    return lambda trace: total - of_question[_question(trace)]


def _prior(traces: Sequence[Trace]) -> list[_Guess]:
    """Steps by how often those of their kind of speaker and turn are to blame elsewhere."""
    positions = [_positions(trace) for trace in traces]
    blamed = [own[trace.labels[0].step] for trace, own in zip(traces, positions, strict=True)]
    hits_elsewhere = _elsewhere(traces, [Counter([place]) for place in blamed])
    seen_elsewhere = _elsewhere(traces, [Counter(own) for own in positions])
    guesses: list[_Guess] = []
    for trace, own in zip(traces, positions, strict=True):
        hits, seen = hits_elsewhere(trace), seen_elsewhere(trace)
        rate = {place: hits[place] / (seen[place] + 1) for place in set(own)}
        order = sorted(range(len(own)), key=lambda index: (-rate[own[index]], index))
        guesses.append((trace.steps[order[0]].agent, order[:_LISTED]))
    return guesses


def _positions(trace: Trace) -> list[tuple[str, int]]:
    """The kind of speaker of each step, and its turn among those of the kind."""
    signals = Signals(trace.observed)
    turns: Counter[str] = Counter()
    positions = []
    for step in trace.steps:
        kind = _kind(signals, step.agent, step.index, addressed=step.to is not None)
        turns[kind] += 1
        positions.append((kind, min(turns[kind], _TURNS)))
    return positions


def _kind(signals: Signals, agent: str, index: int, *, addressed: bool) -> str:
    if index == signals.briefing:
        return "briefing"
    if agent in signals.users | signals.executors:
        return "user" if agent in signals.users else "executor"
    if agent in signals.managers:
        return "instruction" if addressed else "deliberation"
    return "worker"


def _constant_step(counts: Counter[int]) -> Callable[[Trace], _Guess]:
    """The step blamed most often, and those that follow."""
    steps = sorted(counts, key=lambda step: (-counts[step], step))[:_LISTED] or [0]

    def guess(trace: Trace) -> _Guess:
        return _at(trace, steps[0])[0], [min(step, len(trace.steps) - 1) for step in steps]

    return guess


def _constant_agent(counts: Counter[str]) -> Callable[[Trace], _Guess]:
    """The agent blamed most often; and its steps in order."""
    agent = min(counts, key=lambda name: (-counts[name], name), default="")
    return lambda trace: (agent, [s.index for s in trace.steps if normal_name(s.agent) == agent])


def _scored(
    name: str, fitted: bool, traces: Sequence[Trace], guesses: Sequence[_Guess], scorer: str
) -> Baseline:
    predictions = tuple(_prediction(t, guess) for t, guess in zip(traces, guesses, strict=True))
    return Baseline(name, fitted, score(predictions, scorer), predictions)


def _prediction(trace: Trace, guess: _Guess) -> Prediction:
    agent, steps = guess
    label = trace.labels[0]
    return Prediction(
        id=trace.id,
        file=str(trace.metadata.get("file", "")),
        agent=agent,
        step=steps[0] if steps else None,
        candidates=tuple((agent, step) for step in dict.fromkeys(steps)),
        label_agent=label.agent,
        label_step=label.step,
    )
