"""The numbers that the ranker sees of each step.

They come from the common schema and the text alone: never from the name of an agent, a tool or a
file, and never from labels. Every feature lies between 0 and about 2, and 0 means that the step
does not have it. Rows are made one at a time and not kept, so that a run of 50,000 steps fits into
memory.

The features of a run's shape are declared here; those of its content are the findings of `checks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from agentracer.attribution.embedded.kinds import Declarations, Feature, FindingKind, Sign
from agentracer.attribution.embedded.model.run_context import Role, RunContext
from agentracer.trace import Observed

__all__ = ["CONTENT", "FEATURES_VERSION", "FIRST", "MANAGED", "SHAPE", "Features", "Row"]

FEATURES_VERSION = "7"
"""Changes whenever the same run may get other numbers: weights name the version they need."""

MANAGED = "managed:"
"""Prefix of the copy of a feature that only runs with managers have."""

FIRST = "first:"
"""Prefix of the feature that marks the first step of a run with something."""

CONTENT = "content: "
"""Prefix of the figures of a run that say which kinds of checkable content it has."""

Row = dict[str, float]
"""The features of one step that are not zero, by name."""

_SAME_TURN = 0.8  # share of words from which two turns of one agent are the same
_FEW_TURNS = 4  # worker turns up to which a run counts as short
_FEW_STEPS_OF_AGENT = 2  # steps up to which an agent hardly acts
_LAST_STEPS = 3
_COUNTED_TURNS = 4  # worker turns that have a feature each; later ones share that of the last
_DEFAULT_LITERALS = 3  # constants that code may hold before it counts as hard-coded data
_SOME_NEW_FACTS = 2  # from which a step is the first to state some

SHAPE: Declarations[Feature] = Declarations()
"""The features of a run's shape. Those with a prior of 1 or less say what the rule "first worker
step" says, which needs no label: look at the first contributions of those who do the work, for the
others build on them."""


def _declare(
    name: str, sign: Sign, wording: str = "", *, prior: float = 0.0, topic: str = ""
) -> Feature:
    return SHAPE.declare(Feature(name, sign, wording, prior, topic))


_AGAINST, _EITHER, _FOR = Sign.AGAINST, Sign.EITHER, Sign.FOR

# Who acts.
_IS_ROLE = {
    Role.WORKER: _declare("is_worker", _AGAINST, prior=1.0, topic="worker"),
    Role.INSTRUCTION: _declare(
        "is_instruction", _EITHER, "gives another agent its instruction", topic="instruction"
    ),
    Role.DELIBERATION: _declare(
        "is_deliberation", _EITHER, "decides how to go on", topic="deliberation"
    ),
    Role.BRIEFING: _declare("is_briefing", _EITHER, "states the task for the others"),
    Role.EXECUTOR: _declare("is_executor", _FOR, prior=-1.0),
    Role.USER: _declare("is_user", _FOR, prior=-1.0),
}
_OWN_FIRST_TURN = _declare(
    "own_first_turn", _AGAINST, "is the first turn of its agent", topic="worker"
)
_MANAGER_TURNS = {
    (Role.INSTRUCTION, 1): _declare(
        "instruction_1", _EITHER, "is the first instruction", topic="instruction"
    ),
    (Role.INSTRUCTION, 3): _declare("instruction_3", _EITHER),
    (Role.DELIBERATION, 1): _declare(
        "deliberation_1", _EITHER, "is the first plan", topic="deliberation"
    ),
    (Role.DELIBERATION, 3): _declare("deliberation_3", _EITHER),
}
_RARE_WORKER = _declare(
    "rare_worker", _AGAINST, "is by an agent that hardly acts otherwise", topic="worker"
)

# When it acts.
_WORKER_TURNS = {
    1: _declare(
        "worker_turn_1", _EITHER, "is the first contribution of a worker", prior=1.0, topic="worker"
    ),
    2: _declare(
        "worker_turn_2",
        _EITHER,
        "is the second contribution of a worker",
        prior=0.5,
        topic="worker",
    ),
    3: _declare(
        "worker_turn_3",
        _EITHER,
        "is the third contribution of a worker",
        prior=0.25,
        topic="worker",
    ),
    _COUNTED_TURNS: _declare("worker_turn_4", _FOR),
}
_WORKER_TURN_LOG = _declare("worker_turn_log", _FOR)
_WORKER_TURNS_LEFT = _declare(
    "worker_turns_left", _AGAINST, "comes early: much was built on it", topic="worker"
)
_LAST_WORKER_TURN = _declare(
    "last_worker_turn", _EITHER, "is the last contribution of a worker", topic="worker"
)
_ONLY_FEW_WORKER_TURNS = _declare(
    "only_few_worker_turns", _AGAINST, "is the last contribution in a short run", topic="worker"
)
_POSITION = _declare("position", _FOR)
_STEP_NUMBER = _declare("step_number", _EITHER)
_LAST_STEP = _declare("last_step", _FOR)
_AMONG_LAST_STEPS = _declare("last_steps", _FOR)
RULE_LIST = _declare("rule_list", _AGAINST, "ranks high in the rule list")

# What it contributes.
_LENGTH = _declare("length", _EITHER)
_RELATIVE_LENGTH = _declare(
    "relative_length", _AGAINST, "is among the longest of the run", topic="new_facts"
)
_NEW_WORDS = _declare(
    "new_words", _AGAINST, "brings many words that do not occur before", topic="new_facts"
)
NEW_FACTS = _declare(
    "new_facts", _AGAINST, "brings figures or names that do not occur before", topic="new_facts"
)
UNSOURCED_FIGURES = _declare(
    "unsourced_figures", _AGAINST, "states figures or names without a source", topic="new_facts"
)
FIRST_UNSOURCED_FIGURES = _declare(
    f"{FIRST}unsourced_figures",
    _AGAINST,
    "is the first to state facts without a source",
    topic="new_facts",
)
_TASK_WORDS = _declare(
    "task_words", _AGAINST, "repeats the task in its own words", topic="task_words"
)
_TASK_FACTS = _declare(
    "task_facts", _AGAINST, "repeats the figures and names of the task", topic="task_words"
)
_TASK_FACTS_MISSING = _declare(
    "task_facts_missing", _EITHER, "leaves out figures or names of the task"
)
_USED_LATER = _declare("used_later", _AGAINST, "is what later steps go on from", topic="answer")
_CONCLUSION_DEPENDS_ON_IT = _declare(
    "conclusion_depends_on_it", _AGAINST, "is what the end of the run depends on", topic="answer"
)
INTRODUCES_ANSWER = _declare("introduces_answer", _AGAINST, "introduces the answer", topic="answer")
FIRST_INTRODUCES_ANSWER = _declare(
    f"{FIRST}introduces_answer", _AGAINST, "is the first to introduce the answer", topic="answer"
)
CONTAINS_ANSWER = _declare(
    "contains_answer", _AGAINST, "contains what became the answer", topic="answer"
)
BRIEFING_CONTAINS_ANSWER = _declare(
    "briefing_contains_answer", _AGAINST, "contains the answer before any agent has worked"
)

# What its words admit.
INVENTION_WORDS = _declare(
    "invention_words", _AGAINST, "assumes or makes something up", topic="invention"
)
FIRST_INVENTION_WORDS = _declare(
    f"{FIRST}invention_words",
    _AGAINST,
    "is the first that assumes or makes something up",
    topic="invention",
)
FAILURE_WORDS = _declare("failure_words", _AGAINST, "says that something did not work")
MANUAL_WORDS = _declare("manual_work_words", _AGAINST, "leaves the work to be done by hand")

# Code and calls.
CODE = _declare("code", _AGAINST, "acts through code or a tool", topic="code")
FIRST_CODE = _declare(
    f"{FIRST}code", _AGAINST, "is the first to act through code or a tool", topic="code"
)
CODE_LINES = _declare("code_lines", _AGAINST, "writes much code", topic="code")
_ONLY_TALKS = _declare("only_talks", _FOR)
FAILURE_FOLLOWS = _declare(
    "failure_follows", _AGAINST, "writes what then fails", topic="failure_follows"
)
FIRST_FAILURE_FOLLOWS = _declare(
    f"{FIRST}failure_follows",
    _AGAINST,
    "is the first to write what then fails",
    topic="failure_follows",
)
_SUCCESS_FOLLOWS = _declare("success_follows", _EITHER, "writes what then runs", topic="code")
HARD_CODED_DATA = _declare(
    "hard_coded_data", _AGAINST, "writes its data into the code instead of reading it"
)
UNFILLED_PLACEHOLDER = _declare(
    "unfilled_placeholder", _AGAINST, "leaves a placeholder in its code"
)
BROKEN_CODE = _declare("broken_code", _AGAINST, "writes code that does not parse", prior=0.5)
_FAILED = _declare("failed", _EITHER)
_FAILED_CALL = _declare(
    "failed_call", _AGAINST, "makes a call that fails; none like it succeeds later", prior=0.7
)
_RAISED = _declare("raised", _AGAINST, "raised an error", prior=0.7)
_FAILURES_BEFORE = _declare("failures_before", _FOR)
_AFTER_FAILURE = _declare("after_failure", _EITHER)

# How others react.
_REPEATS_ITSELF = _declare("repeats_itself", _FOR)
_LIKE_OWN_PREVIOUS_TURN = _declare("similar_to_own_previous_turn", _FOR)
_OTHERS_COMPLAIN = _declare(
    "others_complain", _AGAINST, "is corrected or complained about by others"
)

_WORDS = {"invents": INVENTION_WORDS, "fails": FAILURE_WORDS, "manual": MANUAL_WORDS}


class Features:
    """The features of the steps of one run.

    Attributes:
        context: of the run.
    """

    def __init__(self, run: Observed) -> None:
        self.context = RunContext(run)
        self._first = _first_steps(self.context)

    def __len__(self) -> int:
        return len(self.context)

    def row(self, index: int) -> Row:
        """The features of one step that are not zero."""
        row: Row = {}
        for part in (_role, _position, _contribution, _actions, _findings, _reception):
            for feature, value in part(self.context, index):
                if value:
                    row[feature.name] = float(value)
        for name, first in self._first.items():
            if first == index:
                row[name] = 1.0
        return row

    def full_row(self, index: int) -> Row:
        """As `row`, and with the copies that runs with managers have."""
        row = self.row(index)
        if self.context.managed:
            row.update({MANAGED + name: value for name, value in row.items()})
        return row

    def shape(self) -> dict[str, float]:
        """Figures of the whole run by which it is compared with the training runs."""
        context, run = self.context, self.context.run
        count = max(len(self), 1)
        sizes = sorted(step.size for step in context.facts.steps)
        turns = sum(a.agent != b.agent for a, b in pairwise(run.steps))
        shape = {
            "steps": _log(len(self), 2.0),
            "agents": _log(len(run.agent_names), 2.0),
            "median size": _log(sizes[len(sizes) // 2] if sizes else 0, 2.0),
            "briefing": float(context.signals.briefing is not None),
            "code": sum(context.signals.code) / count,
            "failed": len(context.failed) / count,
            "messages": sum(step.kind == "message" for step in run.steps) / count,
            "changes of speaker": turns / count,
        }
        for role in (Role.WORKER, Role.EXECUTOR, Role.INSTRUCTION, Role.DELIBERATION, Role.USER):
            shape[role.value] = context.roles.count(role) / count
        contents = {kind.content for step in context.findings for kind in step}
        shape.update({CONTENT + name: 1.0 for name in sorted(contents) if name})
        return shape


def _log(value: float, scale: float) -> float:
    return math.log1p(value) / scale


def _first_steps(context: RunContext) -> dict[str, int]:
    """Feature that marks the first step with something -> that step."""
    first = {FIRST + kind.name: index for kind, index in context.first_findings.items()}
    for index, facts in enumerate(context.facts.steps):
        if facts.from_outside or index == context.signals.briefing:
            continue
        if context.signals.code[index]:
            first.setdefault(FIRST_CODE.name, index)
            if context.failure_after(index) is not None:
                first.setdefault(FIRST_FAILURE_FOLLOWS.name, index)
        if facts.new_facts >= _SOME_NEW_FACTS:
            first.setdefault(FIRST_UNSOURCED_FIGURES.name, index)
        if facts.word_counts["invents"]:
            first.setdefault(FIRST_INVENTION_WORDS.name, index)
        if facts.new_answer_share:
            first.setdefault(FIRST_INTRODUCES_ANSWER.name, index)
    return first


_Values = Iterator[tuple[Feature | FindingKind, float]]


def _role(context: RunContext, index: int) -> _Values:
    role, (turn, own_turn) = context.roles[index], context.turns[index]
    yield _IS_ROLE[role], 1.0
    if role is Role.WORKER:
        left = context.worker_steps - turn
        yield _WORKER_TURNS[min(turn, _COUNTED_TURNS)], 1.0
        yield _WORKER_TURN_LOG, _log(turn, 3.0)
        yield _WORKER_TURNS_LEFT, _log(left, 3.0)
        yield _LAST_WORKER_TURN, left == 0
        yield _ONLY_FEW_WORKER_TURNS, left == 0 and context.worker_steps <= _FEW_TURNS
        rare = context.agent_turns[context.run.steps[index].agent] <= _FEW_STEPS_OF_AGENT
        yield _RARE_WORKER, rare and len(context) > 4 * _FEW_STEPS_OF_AGENT
    elif (role, turn) in _MANAGER_TURNS:
        yield _MANAGER_TURNS[role, turn], 1.0
    yield _OWN_FIRST_TURN, own_turn == 1


def _position(context: RunContext, index: int) -> _Values:
    yield _POSITION, index / max(len(context) - 1, 1)
    yield _STEP_NUMBER, _log(index, 5.0)
    yield _LAST_STEP, index == len(context) - 1
    yield _AMONG_LAST_STEPS, index >= len(context) - _LAST_STEPS
    yield RULE_LIST, 1 / context.rule_rank(index)


def _contribution(context: RunContext, index: int) -> _Values:
    facts, role = context.facts.steps[index], context.roles[index]
    yield _LENGTH, _log(facts.size, 7.0)
    yield _RELATIVE_LENGTH, facts.size / context.longest
    yield _NEW_WORDS, _log(facts.new_words, 6.0)
    yield NEW_FACTS, _log(facts.new_facts, 4.0)
    yield _TASK_WORDS, facts.task_words
    yield _TASK_FACTS, facts.task_facts
    yield _USED_LATER, _log(context.users[index], 3.0)
    if role is Role.BRIEFING:
        yield BRIEFING_CONTAINS_ANSWER, facts.answer_beyond_task
    if role in {Role.BRIEFING, Role.USER}:
        return
    yield _CONCLUSION_DEPENDS_ON_IT, min(context.dependence[index], 1.0)
    yield INTRODUCES_ANSWER, facts.new_answer_share
    yield CONTAINS_ANSWER, facts.answer_share
    if not facts.from_outside:
        yield UNSOURCED_FIGURES, _log(facts.new_facts, 3.0)
        for word_class, feature in _WORDS.items():
            yield feature, _log(facts.word_counts[word_class], 2.0)
        if context.facts.has_task_facts and role is Role.WORKER:
            yield _TASK_FACTS_MISSING, 1 - facts.task_facts


def _actions(context: RunContext, index: int) -> _Values:
    code = context.facts.steps[index].code
    if context.signals.code[index]:
        after = index if index in context.failed else index + 1
        ran = after < len(context) and context.roles[after] is Role.EXECUTOR
        yield CODE, 1.0
        yield CODE_LINES, _log(code.lines, 5.0)
        yield BROKEN_CODE, code.broken > 0
        yield HARD_CODED_DATA, _log(max(code.literals - _DEFAULT_LITERALS, 0), 4.0)
        yield UNFILLED_PLACEHOLDER, code.unfilled
        yield FAILURE_FOLLOWS, after in context.failed
        yield _SUCCESS_FOLLOWS, ran and after not in context.failed
    elif context.roles[index] is Role.WORKER:
        yield _ONLY_TALKS, 1.0
    yield _FAILED, index in context.failed
    yield _FAILED_CALL, index in context.unrecovered
    yield _FAILURES_BEFORE, _log(context.failures_before[index], 3.0)
    yield _AFTER_FAILURE, index - 1 in context.failed
    yield _RAISED, context.run.steps[index].error is not None


def _findings(context: RunContext, index: int) -> _Values:
    for kind, finding in context.findings[index].items():
        yield kind, finding.amount


def _reception(context: RunContext, index: int) -> _Values:
    facts = context.facts.steps[index]
    yield _REPEATS_ITSELF, facts.like_before >= _SAME_TURN
    yield _LIKE_OWN_PREVIOUS_TURN, facts.like_before
    yield _OTHERS_COMPLAIN, _log(context.reactions[index], 2.0)
