import copy

import pytest
from chromium import texts
from samples import ROUNDS, hostile_rounds

from agentracer.errors import FormatError
from agentracer.evolution import EvolutionRecord
from agentracer.report import evolution


def test_what_an_evolution_reports_is_what_the_page_reads():
    from agentracer.evolution import AppliedChange, Change, Effect, EvolutionReport, Round, Usage
    from agentracer.statistics import Rate

    change = Change(id="1", agent="solver", says="exact -> rounded", why="It rounds.")
    done = AppliedChange(change, Effect(wins=3, losses=1, ties=2), kept=True)
    some = Rate(3, 6)
    one = Round(1, some, some, some, (done,), 3, 1, Usage(runs=6))
    report = EvolutionReport(
        session="s", tracer="t", strategy="v", first=some, rounds=(one,), final=some,
        unchanged=some, effect=done.effect, kept=(change,), cost=Usage(runs=18),
    )  # fmt: skip
    read = EvolutionRecord.of(report.to_json())
    assert (read.first.successes, read.first.runs) == (3, 6)
    assert (read.first.low, read.first.high) == some.interval
    assert read.rounds[0].changes[0].agent == "solver"
    assert read.rounds[0].changes[0].effect.wins == 3
    assert read.cost.runs == 18


def test_other_data_is_refused_with_the_place():
    broken = copy.deepcopy(ROUNDS)
    del broken["rounds"][1]["success"]["runs"]
    with pytest.raises(FormatError, match=r"rounds\.1\.success\.runs: Field required"):
        evolution.render(broken)


class TestInTheBrowser:
    @pytest.fixture
    def opened(self, page, tmp_path):
        def show(rounds, **size):
            page.open(evolution.write(tmp_path / "evolution.html", rounds), **size)
            return page

        return show

    def test_success_with_its_interval_beside_the_control(self, opened):
        page = opened(ROUNDS)
        assert texts(page, "h1") == ["40 % to 75 % success in 2 rounds"]
        facts = texts(page, ".run-ends dd")
        assert facts[1] == "75 % (15 of 20, 95 % interval 10 % to 90 %)"
        assert facts[2] == "40 % (8 of 20, 95 % interval 10 % to 90 %)"
        assert page.run("document.querySelectorAll('circle.chart-success').length") == 4
        assert page.run("document.querySelectorAll('circle.chart-control').length") == 3
        assert page.complaints() == []

    def test_what_changed_why_and_what_it_did(self, opened):
        page = opened(ROUNDS)
        (change,) = texts(page, ".change")
        assert change == (
            "solverKeptexact -> roundedIt rounds too early."
            "helps: 7 better, 0 worse, 13 as before, p = 0.0078"
            "seen in run-1, run-2, run-3 and 1 more"
        )
        assert "Nothing was changed." in texts(page, "#round-2")[0]
        assert "12 failures attributed, 2 without a verdict · 20 runs" in texts(page, "#round-1")[0]

    @pytest.mark.parametrize("width", [360, 1000])
    def test_nothing_sticks_out(self, opened, width):
        page = opened(hostile_rounds(), width=width)
        assert page.run("document.documentElement.scrollWidth") <= width

    def test_the_corpus_executes_nothing(self, opened):
        page = opened(hostile_rounds())
        assert page.complaints() == []
        assert page.run("document.querySelectorAll('img, iframe, #rounds script').length") == 0
