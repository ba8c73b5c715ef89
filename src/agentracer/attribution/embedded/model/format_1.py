"""Read model files of format 1, which version 0.1.0 wrote, as those of the present format.

The numbers are the same; the names of features and of parts of the calibration have changed.
"""

from __future__ import annotations

from typing import Any

from agentracer.attribution.embedded.model.catalogue import is_of_one_system
from agentracer.attribution.embedded.model.features import FIRST, MANAGED
from agentracer.verdict import LIKELY_STEPS_COVERAGE

__all__ = ["feature_name", "upgraded"]

_MANAGED = "managed: "
_FIRST = "first "
_RENAMED = {
    "figures nobody gave": "unsourced_figures",
    "end rests on it": "conclusion_depends_on_it",
    "answer": "introduces_answer",
    "holds answer": "contains_answer",
    "briefing holds answer": "briefing_contains_answer",
    "invents": "invention_words",
    "fails": "failure_words",
    "manual": "manual_work_words",
    "hard-coded data": "hard_coded_data",
    "like own turn before": "similar_to_own_previous_turn",
    "wrong sum": "wrong_calculation",
    "misreads a result": "miscopied_result",
    "changes a value": "changed_value",
    "goes beyond the result": "beyond_result",
    "ignores the result": "ignores_result",
    "drops task facts": "task_facts_missing",
    "sets parts": "defines_parts",
    "states parts": "states_values",
    "changes own part": "redefines_own_part",
    "changes another's part": "redefines_other_agents_part",
    "part changed later": "redefined_later",
    "plan: unlike the task": "plan_unlike_task",
    "plan: words not of the task": "plan_words_not_in_task",
    "plan: figures left out": "plan_omits_figures",
    "plan: figures not of the task": "plan_figures_not_in_task",
    "plan: parts not used": "plan_unused_parts",
    "plan: parts that do nothing": "plan_idle_parts",
    "plan: broken results": "plan_implausible_results",
    "plan: requirements left out": "plan_omits_requirements",
    "another value": "contradicts_earlier_value",
    "no value": "missing_value",
    "off its formula": "differs_from_formula",
    "as its formula": "agrees_with_formula",
    "unlike its tool": "differs_from_tool",
    "as the tool said": "agrees_with_tool",
    "result is off": "wrong_tool_result",
    "sum not in the plan": "unplanned_calculation",
    "sum as planned": "planned_calculation",
    "concludes with parts open": "concludes_with_open_parts",
    "last part done of many": "last_solved_part",
    "concludes with all done": "concludes_with_all_parts",
    "answer is the last value": "answer_is_last_value",
    "answer is an earlier value": "answer_is_earlier_value",
    "answer is nobody's value": "answer_is_no_computed_value",
    "gets nothing": "empty_result",
    "result of another call": "same_result_as_other_call",
    "passes over the first hit": "skips_first_hit",
    "passes over a better hit": "skips_better_hit",
    "takes the best hit": "picks_best_hit",
    "result lacks what was asked": "result_lacks_queried_names",
    "claims without a look": "claim_without_lookup",
    "claim in a result": "claim_in_result",
    "claim of another sentence": "claim_from_unrelated_sentence",
    "claim answers the question": "claim_answers_query",
    "cuts a name short": "truncated_name",
    "first code of it": "first_version",
    "code never tried": "untested_code",
    "same code": "unchanged_code",
    "hands in what failed": "submits_failed_code",
    "other code than tried": "differs_from_tested_code",
    "other code than before": "differs_from_previous_code",
    "rewrites what worked": "rewrites_working_code",
    "tries code": "runs_code",
    "leaves out made code": "omits_written_functions",
    "ends without code": "lacks_requested_functions",
    "has all code": "has_requested_functions",
    "claims a deed nobody did": "unsupported_action_claim",
    "concludes without a look": "concludes_without_lookup",
    "makes facts up": "admits_assumed_facts",
    "works by hand": "admits_manual_work",
}
"""Old name of a feature -> its name, where more has changed than spaces to underscores."""

_COVERAGE = LIKELY_STEPS_COVERAGE  # of the likely steps; format 1 does not state it


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """The content of a file of format 1 in the present format.

    Raises:
        KeyError, TypeError, AttributeError: a field is missing, or is not what it should be.
    """
    calibration = dict(data["calibration"])
    calibration["distribution"] = calibration.pop("shapes")
    calibration["shrinkage"] = calibration.pop("trust")
    calibration["coverage"] = _COVERAGE
    weights = {feature_name(name): weight for name, weight in data["weights"].items()}
    return {**data, "weights": weights, "calibration": calibration}


def feature_name(name: str) -> str:
    """The present name of a feature, from that in format 1."""
    if is_of_one_system(name):
        return name
    if name.startswith(_MANAGED):
        return MANAGED + feature_name(name.removeprefix(_MANAGED))
    if name.startswith(_FIRST) and name not in _RENAMED:
        return FIRST + feature_name(name.removeprefix(_FIRST))
    return _RENAMED.get(name, name.replace(" ", "_"))
