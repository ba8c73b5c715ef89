"""Trivial baselines: what anybody gets without reading a run.

A tracer has to be set beside these. Rules that choose a constant by looking at the labels are
`fitted`; each is also given leave-one-out: the constant for a run is chosen on all runs of other
questions. It knows traces and their labels, and nothing of tracers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentracer.bench.metrics import METRICS, Prediction, Rate, Scores, normal_name, score
from agentracer.trace import Label, Trace

__all__ = ["Baseline", "baselines"]

_Guess = tuple[str, Sequence[int]]  # the agent, and steps in order
_LISTED = 5


@dataclass(frozen=True)
class Baseline:
    """The scores of one trivial rule; `fitted` if it saw the labels that it is scored on."""

    name: str
    fitted: bool
    scores: Scores


def baselines(traces: Sequence[Trace]) -> list[Baseline]:
    """Score every trivial rule on labelled runs of one subset.

    Raises:
        ValueError: a run has no label, or no steps.
    """
    if not all(trace.labels and trace.steps for trace in traces):
        raise ValueError("trivial rules are scored on labelled runs with steps only")
    return [
        Baseline("random", False, _random(traces)),
        *(Baseline(name, False, _scored(traces, guess)) for name, guess in _PLAIN.items()),
        *_fitted(traces),
    ]


def _random(traces: Sequence[Trace]) -> Scores:
    """The exact expectation of a uniform guess among the agents that acted, and the steps."""
    expected = dict.fromkeys(METRICS, 0.0)
    for trace in traces:
        label, steps = trace.labels[0], len(trace.steps)
        names = [normal_name(name) for name in trace.observed.agent_names]
        expected["agent_accuracy"] += names.count(normal_name(label.agent)) / len(names)
        for metric, width in (("step_accuracy", 0), ("step_within_1", 1), ("step_within_3", 3)):
            low, high = max(label.step - width, 0), min(label.step + width, steps - 1)
            expected[metric] += (high - low + 1) / steps
        expected["step_top3"] += min(3 / steps, 1)
        expected["step_top5"] += min(5 / steps, 1)
    n = len(traces)
    return Scores(n, {metric: Rate(min(hits, n), n) for metric, hits in expected.items()})


def _at(trace: Trace, step: int) -> _Guess:
    step = min(step, len(trace.steps) - 1)
    return trace.steps[step].agent, [step]


def _first_hand_off(trace: Trace) -> _Guess:
    """The first step by somebody other than the speaker before (the first step, if none)."""
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


def _fitted(traces: Sequence[Trace]) -> list[Baseline]:
    found = []
    for name, guesser in (("constant step", _constant_step), ("constant agent", _constant_agent)):
        everything = guesser([trace.labels[0] for trace in traces])
        found.append(Baseline(f"best {name}", True, _scored(traces, everything)))
        guesses = [guesser(_labels_of_others(trace, traces))(trace) for trace in traces]
        left_out = [_prediction(t, g) for t, g in zip(traces, guesses, strict=True)]
        found.append(Baseline(f"{name}, leave-one-out", False, score(left_out)))
    return found


def _labels_of_others(trace: Trace, traces: Sequence[Trace]) -> list[Label]:
    question = trace.task.split()
    return [other.labels[0] for other in traces if other.task.split() != question]


def _constant_step(labels: Sequence[Label]) -> Callable[[Trace], _Guess]:
    counts = Counter(label.step for label in labels)
    steps = sorted(counts, key=lambda step: (-counts[step], step))[:_LISTED] or [0]

    def guess(trace: Trace) -> _Guess:
        return _at(trace, steps[0])[0], [min(step, len(trace.steps) - 1) for step in steps]

    return guess


def _constant_agent(labels: Sequence[Label]) -> Callable[[Trace], _Guess]:
    """The agent blamed most often; and its steps in order."""
    counts = Counter(normal_name(label.agent) for label in labels)
    agent = min(counts, key=lambda name: (-counts[name], name), default="")
    return lambda trace: (agent, [s.index for s in trace.steps if normal_name(s.agent) == agent])


def _scored(traces: Sequence[Trace], guess: Callable[[Trace], _Guess]) -> Scores:
    return score([_prediction(trace, guess(trace)) for trace in traces])


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
