import io
import re
import time
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from samples import agent_as_tool, curved, failed_run, hostile_trace

from agentracer.escaping import escape_control_chars
from agentracer.report.terminal import TraceRow, print_trace, print_traces, print_verdict
from agentracer.report.terminal.console_writer import ConsoleWriter
from agentracer.trace import ErrorInfo, Label, Observed, Outcome, Step, ToolCall, Trace
from agentracer.verdict import Provenance, Verdict, Verification


def printed(show, *args, width=80, color=False):
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="truecolor" if color else None
    )
    show(*args, console)
    return out.getvalue()


def verdict_text(verdict, trace, **kwargs):
    return printed(print_verdict, verdict, trace, **kwargs)


def test_the_result_of_an_agents_call_stands_after_the_steps_that_made_it():
    text = printed(print_trace, agent_as_tool())
    places = ["returned after step 2", "I look it up.", "It is 95.90.", "-> EUR 95.90", "The trip"]
    assert [text.index(place) for place in places] == sorted(text.index(p) for p in places)
    assert "ask_desk returns to supervisor, step 0" in text
    assert text.count("EUR 95.90") == 1


class TestVerdict:
    def test_agent_and_step_come_first(self):
        trace, verdict = failed_run()
        first = verdict_text(verdict, trace).splitlines()[0]
        assert first == "researcher, step 2 is suspected of making this run fail"

    def test_a_calibrated_likely_verdict_is_a_suspicion_until_it_is_proved(self):
        trace, verdict = failed_run()
        verdict = verdict.model_copy(update={"calibrated": True})
        first = verdict_text(verdict, trace).splitlines()[0]
        assert first == "researcher, step 2 is suspected of making this run fail"

    def test_reads_from_the_decisive_step_to_the_failure(self):
        trace, verdict = failed_run()
        text = verdict_text(verdict, trace)
        parts = ["“took the figures from memory”", "step 3, planner", "… 1 step", "step 5, planner"]
        parts += ["end, failed", "answer: Acme", "expected: Globex", "Shortlist"]
        places = [text.index(part) for part in parts]
        assert places == sorted(places)

    @pytest.mark.parametrize(
        ("calibrated", "words"),
        [(False, "confidence: uncalibrated score 0.81\n"), (True, "likely, 81 %\n")],
    )
    def test_confidence_in_words_and_number(self, calibrated, words):
        trace, verdict = failed_run()
        verdict = verdict.model_copy(update={"calibrated": calibrated})
        assert words in verdict_text(verdict, trace)

    def test_says_whether_the_ground_truth_was_seen(self):
        trace, verdict = failed_run()
        assert "embedded · rules · w/o G · 0.4 s" in verdict_text(verdict, trace)

    def test_verification_with_its_control(self):
        trace, verdict = failed_run()
        proof = Verification(
            status="refuted", flips=1, replays=5, control_flips=1, control_replays=5, note="luck"
        )
        text = verdict_text(verdict.model_copy(update={"verification": proof}), trace, width=200)
        assert "Refuted, by 10 replays: succeeded in 1 of 5 reruns" in text
        assert "in 1 of 5 without" in text
        assert "luck" in text

    def test_only_a_confirmed_verdict_is_said_to_be_confirmed(self):
        trace, verdict = curved()
        text = verdict_text(verdict, trace, width=200)
        assert "Confirmed by 16 replays: succeeded in 5 of 8 reruns that kept only" in text
        likely = verdict.verification.model_copy(update={"status": "likely", "control_replays": 1})
        text = verdict_text(verdict.model_copy(update={"verification": likely}), trace, width=200)
        assert "Likely, by 9 replays: succeeded in 5 of 8 reruns that kept only" in text
        assert "onfirmed" not in text

    def test_each_step_of_the_chain_is_one_line_with_agent_and_quote(self):
        lines = verdict_text(*reversed(failed_run())).splitlines()
        assert "  step 2, researcher  “took the figures from memory”" in lines
        assert "  step 3, planner     “9.9 / 9.2”" in lines

    def test_a_narrow_terminal_puts_the_quote_below(self):
        lines = verdict_text(*reversed(failed_run()), width=50).splitlines()
        place = lines.index("  step 2, researcher")
        assert lines[place + 1] == "    “took the figures from memory”"

    def test_notes_and_likely_steps(self):
        trace, verdict = failed_run()
        told = {"likely_steps": tuple(range(14)), "notes": ("read in 3 windows",)}
        text = verdict_text(verdict.model_copy(update=told), trace)
        first = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
        words = f"with a probability of 80 %, the decisive step is one of {first}"
        assert words in " ".join(text.split())
        assert "\n- read in 3 windows\n" in text

    def test_abstention_says_why_and_names_nobody(self):
        trace, _ = failed_run()
        verdict = Verdict(
            trace_id=trace.id,
            abstained=True,
            abstain_reason="The run succeeded.",
            provenance=Provenance(model="embedded", method="rules"),
        )
        text = verdict_text(verdict, trace)
        assert text.startswith("No step is blamed.\n  The run succeeded.")
        assert "made this run fail" not in text

    def test_a_verdict_about_another_trace_is_said(self):
        trace, verdict = failed_run()
        verdict = verdict.model_copy(update={"trace_id": "other", "step": 99})
        text = verdict_text(verdict, trace)
        assert "another trace: other" in text
        assert "step 99 is not in this trace" in text


class TestTrace:
    def test_header_and_steps(self):
        trace, verdict = failed_run()
        text = printed(lambda t, c: print_trace(t, c, verdict), trace)
        assert text.startswith("run-1  failed\n")
        assert "6 steps · 3 agents · 1 min 12 s · langgraph" in text
        assert "3 events lost (queue_full 3)" in " ".join(text.split())
        assert "   2  researcher  llm  decisive step" in text
        assert 'fetch(url="https://globex.test")' in text
        assert "TimeoutError: no answer within 5 s" in text
        assert "   3  planner  llm  shortlist 2" in text
        assert "inside step 0" in text

    def test_the_success_curve_stands_beside_the_steps(self):
        trace, verdict = curved()
        lines = printed(lambda t, c: print_trace(t, c, verdict), trace).splitlines()
        heads = [line for line in lines if re.match(r"[▁-█·] +\d  \w", line)]
        assert [line[:12].rstrip() for line in heads] == [
            *("▆  0  planne", "▅  1  reader", "▁  2  resear"),
            *("·  3  planne", "·  4  reader", "▁  5  planne"),
        ]
        assert "▅      nothing kept: 5 of 8 succeed" in lines
        assert "decisive step" in heads[2]

    def test_what_is_cut_is_counted(self):
        trace, _ = failed_run()
        assert "line 4\n      … 25 more lines\n" in printed(print_trace, trace)

    def test_no_line_ends_in_blanks_and_none_is_too_wide(self):
        trace, verdict = failed_run()
        for width in (40, 80, 120):
            text = printed(print_trace, trace, width=width)
            text += verdict_text(verdict, trace, width=width)
            assert not [line for line in text.splitlines() if line != line.rstrip()]
            assert max(map(len, text.splitlines())) <= width

    def test_a_trace_without_anything(self):
        text = printed(print_trace, Trace(id="empty", observed=Observed()))
        assert text.startswith("empty  outcome unknown\n0 steps · 0 agents")

    def test_a_call_without_result_is_said(self):
        call = ToolCall(name="f", arguments=None)
        step = Step(index=0, agent="a", tool_calls=(call,))
        trace = Trace(id="t", observed=Observed(steps=(step,)))
        text = printed(print_trace, trace)
        assert "f()\n        -> no result recorded" in text


class TestTraces:
    ROWS: ClassVar = [
        TraceRow("01JAAAAAAAAAAAAAAAAAAAAAAA", 1.795e9, "autogen", 1204, "failed", "A\ntask " * 60),
        TraceRow("b", None, None, 3, "outcome unknown: cancelled", "[red]x[/red]"),
    ]

    def test_ids_stay_whole_and_tasks_give_way(self):
        text = printed(print_traces, self.ROWS, width=100, color=True)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        assert lines[1].startswith("01JAAAAAAAAAAAAAAAAAAAAAAA  2026-11-18 11:06 UTC  1,204  ")
        assert lines[1].endswith("…")
        assert max(map(len, lines)) <= 100
        assert lines[2].endswith("3  outcome unknown  [red]x[/red]")

    def test_a_pipe_gets_every_column(self):
        text = printed(print_traces, self.ROWS)
        assert "  2026-11-18 11:06 UTC  autogen    1,204  failed           A task A" in text

    def test_none(self):
        assert printed(print_traces, []) == "no traces\n"

    def test_of_a_trace(self):
        trace, _ = failed_run()
        row = TraceRow.of(trace)
        assert (row.id, row.steps, row.outcome) == ("run-1", 6, "failed")


class TestUntrusted:
    def test_nothing_drives_the_terminal(self):
        trace, verdict = hostile_trace()
        text = printed(print_trace, trace) + verdict_text(verdict, trace)
        assert not set(text) & ({chr(c) for c in (*range(32), *range(127, 160))} - {"\n"})
        assert not set(text) & set("\u202e\u202c\u200b\ufeff\u2028\U000e0041")
        assert r"\x1b[2J" in text
        assert "[red]bold[/red] :bomb:" in text

    def test_colours_are_only_ours(self):
        trace, verdict = hostile_trace()
        text = printed(print_trace, trace, color=True) + verdict_text(verdict, trace, color=True)
        assert set(re.findall(r"\x1b.", text)) == {"\x1b["}
        assert set(re.findall(r"\x1b\[[0-9;]*([a-zA-Z])", text)) == {"m"}

    @given(st.text(), st.text(min_size=1))
    def test_any_text_prints(self, content, agent):
        error = ErrorInfo(type=content, message=content)
        call = ToolCall(name=content, arguments={content: content}, error=error)
        step = Step(index=0, agent=agent, content=content, tool_calls=(call,), error=error)
        outcome = Outcome(answer=content)
        trace = Trace(id="t", observed=Observed(task=content, steps=(step,), outcome=outcome))
        text = printed(print_trace, trace)
        assert "\x1b" not in text
        text.encode()


def test_plain_when_colours_are_off(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    trace, verdict = failed_run()
    out = io.StringIO()
    print_verdict(verdict, trace, Console(file=out, width=80, force_terminal=True))
    assert "\x1b[31m" not in out.getvalue()
    assert "\x1b[1;31m" not in out.getvalue()


def long_trace(count: int) -> Trace:
    steps = tuple(Step(index=i, agent="a", content=f"part {i}") for i in range(count))
    return Trace(id="long", observed=Observed(steps=steps))


def printed_steps(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^ *(\d+)  a  ", text, re.MULTILINE)]


class TestLongRuns:
    def test_up_to_two_thousand_steps_are_all_printed(self):
        text = printed(print_trace, long_trace(2_000))
        assert printed_steps(text) == list(range(2_000))
        assert "not shown" not in text

    def test_the_middle_of_a_longer_run_is_left_out_and_named(self):
        text = printed(print_trace, long_trace(5_000))
        assert printed_steps(text) == [*range(1_500), *range(4_500, 5_000)]
        assert "… steps 1500 to 4499 not shown; `agentracer show ID --steps 1500-4499`" in text

    def test_a_blamed_step_in_the_middle_is_printed_with_its_neighbours(self):
        trace = long_trace(5_000)
        label = Label(agent="a", step=3_000)
        text = printed(print_trace, trace.model_copy(update={"labels": (label,)}))
        steps = printed_steps(text)
        assert len(steps) == 2_000
        assert [step for step in steps if 2_000 < step < 4_000] == list(range(2_998, 3_003))
        assert text.count("not shown") == 2

    def test_a_range_prints_these_steps_alone(self):
        trace = long_trace(5_000)
        text = printed(lambda t, c: print_trace(t, c, steps=range(2_000, 2_003)), trace)
        assert printed_steps(text) == [2_000, 2_001, 2_002]
        assert "… steps 0 to 1999 not shown" in text
        assert "… steps 2003 to 4999 not shown" in text

    @pytest.mark.timing
    def test_the_cost_of_a_step_does_not_grow_with_its_text(self):
        def seconds(content: str) -> float:
            steps = tuple(Step(index=i, agent="a", content=content) for i in range(50))
            trace = Trace(id="t", observed=Observed(steps=steps))
            started = time.process_time()
            printed(print_trace, trace)
            return time.process_time() - started

        line = "The quick brown fox jumps over the lazy dog, 42 times. "
        short = min(seconds(line * 20) for _ in range(3))
        assert min(seconds(line * 20_000) for _ in range(3)) < 3 * short + 0.2  # was 100 times


def rows_of_whole_text(value: str, rows: int, width: int) -> str:
    """What `ConsoleWriter.text` printed when it escaped and wrapped the whole text."""
    lines = escape_control_chars(value).strip("\n").rstrip().split("\n")
    console = Console(width=width)
    out, left = [], rows
    for number, line in enumerate(lines):
        cut = len(line) > left * width
        wrapped = [row.plain.rstrip() for row in Text(line[: left * width]).wrap(console, width)]
        out += wrapped[:left]
        cut = cut or len(wrapped) > left
        left -= len(wrapped)
        if left > 0 and not cut:
            continue
        rest = len(lines) - number - 1
        if rest or cut:
            more = f"{rest:,} more line" + "s" * (rest != 1)
            out.append(f"… {more}" if rest else "… the rest of the line")
        break
    return "".join(f"{row}\n" for row in out)


@given(
    st.text(st.sampled_from("ab \n\r\t\x0b\x1b\x85\u2028\u3000字e\u0301"), max_size=300),
    st.integers(1, 5),
)
def test_text_is_cut_as_if_all_of_it_were_escaped_and_wrapped(value, rows):
    text = printed(lambda c: ConsoleWriter(c).text(value, rows=rows), width=20)
    assert text == rows_of_whole_text(value, rows, 20)
