"""Every feature of the ranker: which way it may point, where it starts, and what it says in words.

The signs are knowledge, not results: a step that makes figures up is never *less* suspicious for
it. They keep a fit on few labels from learning nonsense. A prior other than 0 is a guess: for
signals that are too rare to be measured (wrong sums, slips of the pen), and for the shape of a run,
where it says what the rule "first worker step" says, which needs no label: look at the first
contributions of those who do the work, for the others build on them. Fits start from the priors
and move as far as the data asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = [
    "CATALOGUE",
    "CONTENT_LOOSENESS",
    "MANAGED",
    "Feature",
    "base_name",
    "bounds",
    "firmness",
    "prior",
]

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


SHAPE_FIRMNESS = 200.0
"""How much more strongly weights of a run's shape are held to their start than those of checked
content: what is checked holds for any system, shape is that of the systems trained on. Of 1, 10, 50
and 200 the strongest within a standard error of the best on TracerTraj with whole frameworks,
topologies and domains left out."""

CONTENT_LOOSENESS = 0.03
"""The part of the penalty by which weights of checked content are held where a model is adapted: a
few runs hold many habits that mean nothing, but what is checked means the same in all of them.
Chosen of 0.01, 0.03, 0.1, 0.3 and 1 on Who&When's development half."""

_FINDING = 1.0  # the prior of a finding; of 0, 0.3, 0.6 and 1 the best with whole domains left out

_SHAPE: dict[str, Feature] = {
    # Who speaks.
    "is worker": Feature(1, "is a worker's own contribution", 1.0),
    "is instruction": Feature(0, "gives another agent its instruction"),
    "is deliberation": Feature(0, "decides how to go on"),
    "is briefing": Feature(0, "sets up the task for the others"),
    "is executor": Feature(-1, prior=-1.0),
    "is user": Feature(-1, prior=-1.0),
    "own first turn": Feature(1, "is the first turn of its agent"),
    "instruction 1": Feature(0, "is the first instruction given"),
    "instruction 3": Feature(0),
    "deliberation 1": Feature(0, "is the first plan"),
    "deliberation 3": Feature(0),
    "rare worker": Feature(1, "is by an agent that hardly acts otherwise"),
    # When.
    "worker turn 1": Feature(0, "is the first contribution of a worker", 1.0),
    "worker turn 2": Feature(0, "is the second contribution of a worker", 0.5),
    "worker turn 3": Feature(0, "is the third contribution of a worker", 0.25),
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
    "briefing holds answer": Feature(1, "holds the answer before anyone has worked"),
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
    # How others take it.
    "repeats itself": Feature(-1),
    "like own turn before": Feature(-1),
    "others complain": Feature(1, "is corrected or complained about by others"),
}

_READ: dict[str, Feature] = {
    # What can be checked in a single text.
    "wrong sum": Feature(1, "gets a sum wrong", 1.5),
    "misreads a result": Feature(1, "miscopies a figure of a result", 1.0),
    "changes a value": Feature(1, "states a value that was another before", 0.3),
    "invented argument": Feature(1, "calls a tool with a figure that nobody gave", 0.5),
    "goes beyond the result": Feature(1, "claims more than the result before it holds"),
    "ignores the result": Feature(1, "takes up nothing of the result before it"),
    "drops task facts": Feature(0, "leaves out figures or names of the task"),
}

_NOTED: dict[str, Feature] = {
    # What the books of the run say: parts of the task and their values (`ledger`, `plans`).
    "sets parts": Feature(0, "takes the task apart"),
    "states parts": Feature(0),
    "changes own part": Feature(0, "changes its own plan"),
    "changes another's part": Feature(0, "changes what another agent had planned"),
    "part changed later": Feature(0),
    "plan: unlike the task": Feature(1, "plans something else than the task asks for"),
    "plan: words not of the task": Feature(1, "plans in words that the task does not hold"),
    "plan: figures left out": Feature(1, "leaves figures of the task out of its plan"),
    "plan: figures not of the task": Feature(1, "plans with figures that the task does not hold"),
    "plan: parts not used": Feature(1, "plans parts that nothing makes use of"),
    "plan: parts that do nothing": Feature(1, "plans a part that computes nothing"),
    "plan: broken results": Feature(1, "plans sums that come to fractions or negative values"),
    "plan: requirements left out": Feature(1, "leaves requirements of the task out of its plan"),
    "plan fits less": Feature(1, "changes the plan so that it fits the task less"),
    "plan fits better": Feature(-1),
    "plan fits no better": Feature(1, "changes the plan without making it fit the task better"),
    "another value": Feature(1, "states another value than an earlier step"),
    "no value": Feature(0, "states no number where a sum was due"),
    "off its formula": Feature(1, "states a value that its own formula does not give"),
    "as its formula": Feature(-1),
    "unlike its tool": Feature(1, "states another value than its tool gave it"),
    "as the tool said": Feature(-1),
    "result is off": Feature(1, "gets a wrong result from a tool"),
    "sum not in the plan": Feature(1, "computes a sum that the plan does not hold"),
    "sum as planned": Feature(-1),
    "concludes with parts open": Feature(1, "concludes although parts were left open"),
    "last part done of many": Feature(0, "is the last to work on a part; others were left open"),
    "concludes with all done": Feature(0),
    "answer is the last value": Feature(-1),
    "answer is an earlier value": Feature(1, "reports the value of an earlier part as the answer"),
    "answer is nobody's value": Feature(1, "reports an answer that no part came to"),
    # How it used what tools returned (`sourcing`).
    "gets nothing": Feature(0, "asks a tool and gets nothing"),
    "result of another call": Feature(1, "gets the result that another call had got"),
    "passes over the first hit": Feature(1, "passes over the first hit"),
    "passes over a better hit": Feature(1, "passes over a hit that fits the question better"),
    "takes the best hit": Feature(-1),
    "result lacks what was asked": Feature(1, "reads what does not hold the names asked for"),
    "claims without a look": Feature(1, "states something without having looked it up"),
    "claim in no result": Feature(1, "states something that none of its results holds"),
    "claim in a result": Feature(0),
    "claim of another sentence": Feature(
        1, "takes its answer from a sentence about something else"
    ),
    "claim answers the question": Feature(-1),
    "cuts a name short": Feature(1, "states only a part of a name"),
    # What became of the code (`versions`).
    "first code of it": Feature(0, "is the first to write this function"),
    "code never tried": Feature(0, "hands in code that nobody ran"),
    "same code": Feature(-1),
    "hands in what failed": Feature(1, "hands in code that had failed"),
    "other code than tried": Feature(1, "hands in other code than was tried"),
    "other code than before": Feature(0, "changes code that was handed in before"),
    "rewrites what worked": Feature(0, "rewrites code that had worked"),
    "tries code": Feature(0, "tries its code"),
    "code fails": Feature(0, "runs code that fails"),
    "code works": Feature(0),
    "leaves out made code": Feature(1, "leaves out functions that were written"),
    "ends without code": Feature(0, "ends without functions that the task asks for"),
    "has all code": Feature(0),
}

_CONDUCT: dict[str, Feature] = {
    # What it claims to have done, and did not (`conduct`).
    "claims a deed nobody did": Feature(1, "tells of a look-up or check that nobody made"),
    "concludes": Feature(0, "draws a conclusion"),
    "concludes without a look": Feature(1, "concludes before anything was looked up or run"),
    "makes facts up": Feature(1, "brings facts or a conclusion that it says it assumed"),
    "works by hand": Feature(1, "brings facts or a conclusion that it says it found by hand"),
    "agrees": Feature(-1),
    "only announces": Feature(-1),
    "only closes": Feature(-1),
}


def _started(feature: Feature) -> Feature:
    """A finding against a step starts as one, so that it counts where no training run had it.

    One in favour does not: who hands on one thing rightly may get the next one wrong.
    """
    return replace(feature, prior=_FINDING) if feature.sign > 0 else feature


_CONTENT = _READ | _CONDUCT | {name: _started(feature) for name, feature in _NOTED.items()}


def _first(name: str, feature: Feature) -> tuple[str, Feature]:
    """The feature of the first step of a run that has another feature."""
    says = f"is the first that {feature.says}" if feature.says else ""
    return f"first {name}", Feature(feature.sign, says)


CATALOGUE = _SHAPE | _CONTENT | dict(_first(*item) for item in _CONTENT.items())


def base_name(name: str) -> str:
    """The feature behind a name, without the prefix of its copy for managed runs."""
    return name.removeprefix(MANAGED)


def bounds(name: str) -> tuple[float | None, float | None]:
    """The interval in which the weight of a feature may lie; free for copies and unknown ones."""
    sign = CATALOGUE[name].sign if name in CATALOGUE else 0
    return (0.0 if sign > 0 else None), (0.0 if sign < 0 else None)


def firmness(name: str) -> float:
    """By how much the penalty of a weight is multiplied.

    What was checked and points one way is a finding in any system. What may point either way (who
    tries code, who changes a plan) is a habit of the systems trained on, as their shape is.
    """
    feature = _CONTENT.get(base_name(name).removeprefix("first "))
    return SHAPE_FIRMNESS if feature is None or feature.sign == 0 else 1.0


def prior(name: str) -> float:
    """The weight that a fit of a feature starts from."""
    return CATALOGUE[name].prior if name in CATALOGUE else 0.0
