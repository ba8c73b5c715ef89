"""Small systems of plain functions that evolve in the tests, and what they count."""

from __future__ import annotations

from agentracer.adapters.functions import act
from agentracer.evolution import Team
from agentracer.replay import Override

TASKS = [f"{a}+{b}" for a, b in ((3, 4), (5, 6), (10, 2), (7, 7), (12, 30), (8, 1))]


def read_right(text):
    return [int(number) for number in text.split("+")]


def read_digits(text):
    """Takes every digit for a number."""
    return [int(c) for c in text if c.isdigit()]


def read_first(text):
    return [int(text.split("+")[0])] * 2


def add(numbers):
    return sum(numbers)


def add_one_more(numbers):
    return sum(numbers) + 1


def say(number):
    return f"ANSWER {number}"


OPTIONS = {
    "reader": {"first": read_first, "digits": read_digits, "right": read_right},
    "adder": {"add": add, "one more": add_one_more},
}


class Adders:
    """A reader, an adder, a speaker; counts its runs."""

    def __init__(self, reader=read_first, adder=add):
        self.slots = {"reader": reader, "adder": adder}
        self.runs = []

    def run(self, task):
        self.runs.append(task)
        numbers = act("reader", self.slots["reader"], task)
        return act("speaker", say, act("adder", self.slots["adder"], numbers))

    def team(self, *, deterministic=True):
        return Team(run=lambda _, task: self.run(task), deterministic=deterministic)


def is_sum(task, result):
    return result == f"ANSWER {sum(read_right(task))}"


def truth(trace):
    """The reader's step, which is the wrong one wherever the reader is."""
    return 0


def oracle(trace, step):
    """Knows what the reader should have read."""
    if trace.steps[step].agent != "reader":
        return None
    return Override(step=step, result=read_right(trace.task))


class Advised:
    """Agents that can be told lessons, by a system that keeps nothing between runs.

    The solver obeys the lesson "carry" and gets worse by the lesson "guess": true by construction.
    """

    def __init__(self):
        self.lessons = {"reader": [], "solver": []}

    def advise(self, agent, text):
        from agentracer.frameworks.base import AppliedAdvice

        if agent not in self.lessons:
            raise ValueError(f"no agent {agent!r} in this team; there are reader, solver")
        self.lessons[agent].append(text)
        return AppliedAdvice(agent=agent, text=text, undo=lambda: self.lessons[agent].remove(text))

    def run(self, task):
        number = act("reader", len, task)
        told = " ".join(self.lessons["solver"])
        heard = "guess" not in told and ("carry" in told or number % 2 == 0)
        return act("solver", _solved if heard else _guessed, number)


def _solved(number):
    return number


def _guessed(number):
    return -1
