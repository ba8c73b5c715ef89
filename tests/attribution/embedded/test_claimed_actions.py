"""What a step claims to have done, compared with what it did."""

from agentracer.attribution.embedded.model.features import Features
from agentracer.trace import Observed, Outcome, Step, ToolCall

from .findings import by_name

FIGURES = "12.5, 15.1, 14.2, 16.8 and 13.7"
TASK = "Which classes near the exchange are open after seven?"


def findings_of(*steps):
    made = tuple(Step(index=index, **step) for index, step in enumerate(steps))
    run = Observed(task=TASK, steps=made, outcome=Outcome(success=False))
    return by_name(Features(run).context.findings)


def said(content, agent="expert"):
    return {"agent": agent, "content": content}


def ran(output, code=0):
    return {"agent": "shell", "content": f"exitcode: {code} (done)\nCode output: {output}"}


def test_a_check_that_nobody_made_is_noted_with_the_words_that_claim_it():
    findings = findings_of(
        said("We should look."), said("I have verified the schedules: all are open.")
    )
    assert findings[1]["unsupported_action_claim"].detail == "I have verified"
    assert "unsupported_action_claim" not in findings[0]


def test_a_check_that_was_made_by_code_or_whose_result_stands_before_is_not():
    code = "I have verified it with:\n```python\nprint(1)\n```"
    findings = findings_of(said(code), ran("1"), said("I have verified that it is 1.", "other"))
    assert not any("unsupported_action_claim" in noted for noted in findings)


def test_a_result_of_a_failed_run_is_none():
    code = said("```python\nlook()\n```")
    findings = findings_of(code, ran("Traceback", code=1), said("I have checked the page: open."))
    assert "unsupported_action_claim" in findings[2]


def test_a_tool_call_of_the_step_itself_is_a_deed():
    call = ToolCall(name="search", arguments={"query": "classes"}, result={"hits": 2})
    step = {"agent": "expert", "content": "I have searched the site.", "tool_calls": (call,)}
    assert "unsupported_action_claim" not in findings_of(step)[0]


def test_a_conclusion_before_any_look_is_noted_and_one_after_a_look_is_not():
    hasty = findings_of(said("Hello there, all."), said("Therefore the academy is open."))
    assert "concludes_without_lookup" in hasty[1]
    looked = findings_of(said("```python\nlook()\n```"), ran("open"), said("Therefore it is open."))
    assert "concludes" in looked[2]
    assert "concludes_without_lookup" not in looked[2]


def test_words_count_from_their_start_only():
    findings = findings_of(
        said("She will disagree with a boxer; hi have verified nothing of the kind.")
    )
    assert "agrees" not in findings[0]
    assert "unsupported_action_claim" not in findings[0]
    assert "concludes" not in findings[0]


def test_agreement_announcements_and_closings_are_told_apart():
    findings = findings_of(
        said("The academy is open until nine, and so are both of the other ones."),
        said("I agree with this; the list is correct."),
        said("Let me look at the schedule next. I will report back; please hold on for it."),
        said("TERMINATE"),
    )
    kinds = [["agrees"], ["only_announces"], ["only_closes"]]
    assert [sorted(noted) for noted in findings[1:]] == kinds


def test_there_is_nothing_to_agree_with_before_somebody_has_brought_something():
    sure = said("I confirm that it is open: the list is correct.", "checker")
    task = said(f"# Task\n{TASK}")
    given = said(f"# Task\n{TASK}\nSo far we have {FIGURES}.")
    assert "agrees" not in findings_of(sure)[0]
    assert "agrees" not in findings_of(task, sure)[1]
    assert "agrees" in findings_of(given, sure)[1]
    assert (
        "agrees"
        in findings_of(task, said("It opens at nine or so, I think, and never before."), sure)[2]
    )


def test_facts_that_a_step_says_it_assumed_are_noted_with_its_word():
    findings = findings_of(
        said("The page cannot be read."),
        said(f"Let us assume the following readings for now: {FIGURES}."),
        said("I assume that the page is down."),
    )
    assert findings[1]["admits_assumed_facts"].detail == "assume"
    assert "admits_assumed_facts" not in findings[2]  # it assumes, and brings nothing


def test_what_was_found_by_hand_is_noted_where_something_came_of_it():
    findings = findings_of(
        said(f"I went through the pages manually; they say {FIGURES}."),
        said("You could check that manually."),
    )
    assert findings[0]["admits_manual_work"].detail == "manually"
    assert "admits_manual_work" not in findings[1]


def test_words_of_the_task_give_nothing_away():
    task = "What is the sample deviation of the red numbers?"
    text = f"The sample deviation of {FIGURES} is 1.62."
    steps = (Step(index=0, agent="expert", content=text),)
    features = Features(Observed(task=task, steps=steps, outcome=Outcome(success=False)))
    assert "admits_assumed_facts" not in by_name(features.context.findings)[0]
    assert "invents" not in features.row(0)
    assert "admits_assumed_facts" in findings_of(said(text))[0]


def test_who_drives_a_browser_did_what_it_reports_and_did_not_write_the_page():
    page = f"I clicked 'Readings'.\n\nHere is the text of the page: we assume {FIGURES}."
    findings = findings_of(said(page, "surfer"), said("Therefore the first is 12.5."))
    assert findings[0] == {}
    assert "concludes_without_lookup" not in findings[1]
