"""Every feature of the ranker: which way it may point, where it starts, and what it says in words.

The signs are knowledge, not results: a step that makes figures up is never *less* suspicious for
it. They keep a fit on few labels from learning nonsense. A prior other than 0 is a guess for
signals that are too rare in the training data to be measured there (wrong sums, slips of the pen);
fits start from it and move as far as the data asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "MANAGED", "Feature", "base_name", "bounds", "prior"]

MANAGED = "managed: "
"""Prefix of the copy of a feature that only runs with managers have."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes:
        sign: 1 if its weight may not be negative, -1 if not positive, 0 if it is free.
        says: what it means for a step, to be read after "this step"; empty if it is no evidence.
        prior: the weight that a fit starts from and is drawn to.
    """

    sign: int
    says: str = ""
    prior: float = 0.0


CATALOGUE: dict[str, Feature] = {
    # Who speaks.
    "is worker": Feature(1, "is a worker's own contribution"),
    "is instruction": Feature(0, "gives another agent its instruction"),
    "is deliberation": Feature(0, "decides how to go on"),
    "is briefing": Feature(0, "sets up the task for the others"),
    "is executor": Feature(-1),
    "is user": Feature(-1),
    "own first turn": Feature(1, "is the first turn of its agent"),
    "instruction 1": Feature(0, "is the first instruction given"),
    "instruction 3": Feature(0),
    "deliberation 1": Feature(0, "is the first plan"),
    "deliberation 3": Feature(0),
    "rare worker": Feature(1, "is by an agent that hardly acts otherwise"),
    # When.
    "worker turn 1": Feature(0, "is the first contribution of a worker"),
    "worker turn 2": Feature(0, "is the second contribution of a worker"),
    "worker turn 3": Feature(0, "is the third contribution of a worker"),
    "worker turn 4": Feature(-1),
    "worker turn log": Feature(-1),
    "worker turns left": Feature(1, "comes early: much was built on it"),
    "last worker turn": Feature(0, "is the last contribution of a worker"),
    "only few worker turns": Feature(1, "is the last contribution in a short run"),
    "position": Feature(-1),
    "step number": Feature(0),
    "last step": Feature(-1),
    "last steps": Feature(-1),
    # Where the rule list of `rules` places it.
    "rule list": Feature(1, "is where the rules of thumb point"),
    # What it brings.
    "length": Feature(0),
    "relative length": Feature(1, "is among the longest of the run"),
    "new words": Feature(1, "brings much that was not said before"),
    "new facts": Feature(1, "brings figures or names that nothing before it held"),
    "figures nobody gave": Feature(1, "states figures or names without a source"),
    "first figures nobody gave": Feature(1, "is the first to state facts without a source"),
    "task words": Feature(1, "takes the task up in its own words"),
    "task facts": Feature(1, "takes up the figures and names of the task"),
    "used later": Feature(1, "is what later steps go on from"),
    "end rests on it": Feature(1, "is what the end of the run rests on"),
    "answer": Feature(1, "brings up the answer"),
    "first answer": Feature(1, "is the first to bring up the answer"),
    "holds answer": Feature(1, "holds what became the answer"),
    # What its words admit.
    "invents": Feature(1, "assumes or makes something up"),
    "first invents": Feature(1, "is the first that assumes or makes something up"),
    "fails": Feature(1, "says that something did not work"),
    "manual": Feature(1, "leaves the work to be done by hand"),
    # Code and calls.
    "code": Feature(1, "acts through code or a tool"),
    "first code": Feature(1, "is the first to act through code or a tool"),
    "code lines": Feature(1, "writes much code"),
    "only talks": Feature(-1),
    "failure follows": Feature(1, "writes what then fails"),
    "first failure follows": Feature(1, "writes what fails first"),
    "success follows": Feature(0, "writes what then runs"),
    "hard-coded data": Feature(1, "writes its data into the code instead of reading it"),
    "unfilled placeholder": Feature(1, "leaves a placeholder in its code"),
    "broken code": Feature(1, "writes code that does not parse", 0.5),
    "failed": Feature(0),
    "failed call": Feature(1, "makes a call that fails and is not made good", 0.7),
    "raised": Feature(1, "raised an error", 0.7),
    "failures before": Feature(-1),
    "after failure": Feature(0),
    # What can be checked.
    "wrong sum": Feature(1, "gets a sum wrong", 1.5),
    "misreads a result": Feature(1, "miscopies a figure of a result", 1.0),
    "changes a value": Feature(1, "states a value that was another before", 0.3),
    "invented argument": Feature(1, "calls a tool with a figure that nobody gave", 0.5),
    "goes beyond the result": Feature(1, "claims more than the result before it holds"),
    "ignores the result": Feature(1, "takes up nothing of the result before it"),
    "drops task facts": Feature(0, "leaves out figures or names of the task"),
    # How others take it.
    "repeats itself": Feature(-1),
    "like own turn before": Feature(-1),
    "others complain": Feature(1, "is corrected or complained about by others"),
}


def base_name(name: str) -> str:
    """The feature behind a name, without the prefix of its copy for managed runs."""
    return name.removeprefix(MANAGED)


def bounds(name: str) -> tuple[float | None, float | None]:
    """The interval in which the weight of a feature may lie; free for copies and unknown ones."""
    sign = CATALOGUE[name].sign if name in CATALOGUE else 0
    return (0.0 if sign > 0 else None), (0.0 if sign < 0 else None)


def prior(name: str) -> float:
    """The weight that a fit of a feature starts from."""
    return CATALOGUE[name].prior if name in CATALOGUE else 0.0
