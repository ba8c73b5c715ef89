import pytest
from chromium import selected, texts
from samples import HOSTILE, failed_run, hostile_trace, replayed

from agentracer.report import replays
from agentracer.report.replays import Replay
from agentracer.store import Store
from agentracer.trace import Observed, Outcome, Step, Trace


@pytest.fixture
def stored(tmp_path):
    """A store that knows the replays under the ids that the verdict names."""
    _, _, again = replayed()

    class Known(Store):
        def load(self, trace_id):
            found = next((one for one in again if one.id == trace_id), None)
            return found if found is not None else super().load(trace_id)

    return Known(tmp_path)


def lettered(text, success=None):
    steps = tuple(Step(index=i, agent="a", content=letter) for i, letter in enumerate(text))
    return Trace(id=text, observed=Observed(steps=steps, outcome=Outcome(success=success)))


class TestWhereTheRunsPart:
    @pytest.mark.parametrize(
        ("run", "again", "parts"),
        [
            ("abcd", "abXY", 2),
            ("abcd", "Xbcd", 0),
            ("abcd", "abcd", None),
            ("abcd", "ab", 2),
            ("ab", "abcd", 2),
        ],
    )
    def test_at_the_first_step_that_differs(self, run, again, parts):
        assert replays.compare(lettered(run), lettered(again), 1).parts == parts

    def test_only_what_comes_after_is_kept(self):
        replay = replays.compare(lettered("abcd"), lettered("abXY"), 2)
        assert [step.content for step in replay.steps] == ["X", "Y"]

    def test_a_step_replayed_as_it_was_is_a_control_even_where_later_steps_differ(self):
        assert replays.compare(lettered("abcd"), lettered("abcX"), 2).control
        assert not replays.compare(lettered("abcd"), lettered("abXd"), 2).control


class TestFound:
    def test_corrections_come_before_their_control(self, stored):
        trace, verdict, _ = replayed()
        found = replays.load_replays(trace, verdict, stored)
        assert [(one.trace, one.control) for one in found] == [
            ("again-1", False),
            ("again-2", True),
        ]

    def test_a_replay_that_is_gone_says_so(self, tmp_path):
        trace, verdict, _ = replayed()
        (one, two) = replays.load_replays(trace, verdict, Store(tmp_path))
        assert one.missing == two.missing == "it is no longer in the store"

    def test_without_a_store_they_are_named(self):
        trace, verdict, _ = replayed()
        assert [one.trace for one in replays.load_replays(trace, verdict, None)] == [
            "again-2",
            "again-1",
        ]

    def test_without_a_verification_there_are_none(self):
        trace, verdict = failed_run()
        assert replays.load_replays(trace, verdict, None) == []
        assert replays.load_replays(trace, None, None) == []


class TestInTheBrowser:
    @pytest.fixture
    def compared(self, shown, stored):
        def show(fragment="#replay-0", **size):
            trace, verdict, _ = replayed()
            found = replays.load_replays(trace, verdict, stored)
            return shown(trace, verdict, fragment, found, **size)[0]

        return show

    def test_the_verdict_counts_both_kinds(self, compared):
        page = compared("")
        assert texts(page, ".proof-status") == ["confirmed by replay"]
        assert texts(page, ".tally") == ["step corrected1 of 1 succeed", "as it was0 of 1 succeed"]
        assert page.run("document.querySelectorAll('.dot-full').length") == 1

    def test_side_by_side_from_the_step_where_they_part(self, compared):
        page = compared()
        assert texts(page, ".compare-lead") == [
            "Steps 0 to 1 are the same. The runs part at step 2."
        ]
        heads = texts(page, ".pair .step-number")
        assert heads == ["2", "2", "3", "3", "4", "5"]
        assert texts(page, ".pair-none") == ["had ended", "had ended"]
        assert texts(page, ".pair-outcome") == ["failed", "succeeded"]
        assert texts(page, ".pair .badge-good") == ["Corrected"]
        assert page.complaints() == []

    def test_the_control_is_the_same_run_again(self, compared):
        page = compared("#replay-1")
        assert texts(page, ".compare-lead") == ["This replay is the same run again, step by step."]
        assert texts(page, ".pair-outcome") == ["failed", "failed"]

    def test_from_the_verdict_to_the_replays_and_back_to_a_step(self, compared):
        page = compared("")
        assert page.run("document.getElementById('replays').hidden")
        page.run("document.querySelector('.proof-link').click()")
        page.settle()
        assert not page.run("document.getElementById('replays').hidden")
        page.run("document.querySelector('.blamed a').click()")
        page.settle()
        assert page.run("document.getElementById('replays').hidden")
        assert selected(page) == "2"

    def test_keys(self, compared):
        page = compared("")
        page.press("v")
        assert page.run("document.getElementById('timeline').hidden")
        page.press("v")
        assert not page.run("document.getElementById('timeline').hidden")
        page.press("v")
        page.press("/")
        assert page.run("document.activeElement.id") == "search"

    def test_a_step_unfolds_beside_its_counterpart(self, compared):
        page = compared("#replay-1")
        page.run("location.hash = '#replay-0'")
        page.settle()
        page.run("document.querySelector('.pair .step-fold').click()")
        page.settle()
        assert page.run("document.querySelector('.pair .step-fold').ariaExpanded") == "true"

    @pytest.mark.parametrize("width", [360, 1000])
    def test_nothing_sticks_out(self, compared, width):
        page = compared(width=width)
        assert page.run("document.documentElement.scrollWidth") <= width

    def test_the_corpus_executes_nothing(self, shown):
        trace, verdict = hostile_trace()
        steps = trace.steps[5:]
        found = [
            Replay(text, bool(n % 2), 5, steps, trace.outcome) for n, text in enumerate(HOSTILE)
        ] + [Replay(HOSTILE[0], missing=HOSTILE[3])]
        page, _ = shown(trace, verdict, "", found, width=1000)
        for number in range(len(found)):
            page.run(f"location.hash = '#replay-{number}'")
            page.settle()
        page.run("[...document.querySelectorAll('.pair .step-fold')].forEach(b => b.click())")
        page.settle()
        assert page.complaints() == []
        assert page.run("document.querySelectorAll('#replays script, img, iframe').length") == 0
        assert page.run("document.documentElement.scrollWidth") <= 1000

    def test_a_replay_of_many_steps_shows_the_first_and_counts_the_rest(self, shown):
        run, again = lettered("a" * 300), lettered("b" * 300)
        page, _ = shown(run, None, "#replay-0", [replays.compare(run, again, 0)])
        assert texts(page, ".pair-more") == ["200 more steps: show"]
        page.run("document.querySelector('.pair-more').click()")
        assert texts(page, ".pair-more") == ["100 more steps: show"]
