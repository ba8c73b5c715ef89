"""The report in a real browser: nothing of a trace is executed, and the page works."""

import json
import time

import pytest
from chromium import selected, texts
from samples import HOSTILE, agent_as_tool, curved, failed_run, hostile_trace, long_run

from agentracer.escaping import escape_control_chars
from agentracer.trace import Observed, Step, ToolCall, Trace
from agentracer.verdict import Evidence


class TestAgentsAsTools:
    def test_the_result_stands_after_the_steps_that_made_it(self, shown):
        page, _ = shown(agent_as_tool())
        assert texts(page, "[data-step='0'] .call-result") == ["returned after step 2"]
        assert texts(page, "[data-step='2'] .call-name") == [
            "ask_desk returns to supervisor, step 0"
        ]
        assert texts(page, "[data-step='2'] .call-result") == ["EUR 95.90"]
        assert texts(page, "[data-step='1'] .step-facts a") == ["step 0"]


class TestUntrusted:
    def test_the_corpus_executes_nothing(self, shown):
        trace, verdict = hostile_trace()
        page, _ = shown(trace, verdict)
        for index in range(len(HOSTILE)):
            page.run(f"location.hash = '#step-{index}'")
            page.settle()
            page.press("Enter")
            page.press("r")
        for details in range(page.run("document.querySelectorAll('details').length")):
            page.run(f"document.querySelectorAll('details')[{details}].open = true")
        page.press("/")
        page.call("Input.insertText", text="<script>")
        time.sleep(0.2)
        page.settle()
        assert page.complaints() == []
        assert (
            page.run("document.querySelectorAll('img,iframe,object,embed,form[action]').length")
            == 0
        )
        assert (
            page.run("document.querySelectorAll('#steps script,#verdict script,base').length") == 0
        )
        assert page.run("({}).polluted") is None

    def test_every_link_leads_to_a_step(self, shown):
        page, _ = shown(*hostile_trace())
        links = page.run("[...document.links].map(link => link.getAttribute('href'))")
        assert links
        assert {link.rstrip("0123456789") for link in links} == {"#step-"}

    def test_the_policy_stops_what_the_scripts_would_miss(self, shown):
        page, _ = shown(*failed_run())
        with pytest.raises(RuntimeError, match="TrustedHTML"):
            page.run("document.body.innerHTML = '<img src=x onerror=alert(1)>'")
        page.run(
            "(() => { const s = document.createElement('img'); s.src = 'https://evil.example/x';"
            " document.body.append(s); })()"
        )
        page.settle()
        assert any("Content Security Policy" in found for found in page.complaints())

    def test_text_is_shown_as_python_shows_it(self, page, shown):
        # every character of Unicode, the script's escaping against Python's
        shown(*failed_run())
        every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
        expected = {c: escape_control_chars(c) for c in every if escape_control_chars(c) != c}
        script = (
            "(() => { const found = {}; for (let code = 0; code < 0x110000; code++) {"
            " if (code >= 0xd800 && code < 0xe000) continue; const c = String.fromCodePoint(code);"
            " if (escapeControlChars(c) !== c) found[c] = escapeControlChars(c); }"
            " return JSON.stringify(found); })()"
        )
        assert json.loads(page.run(script)) == expected
        assert page.run(r"escapeControlChars('\ud800')") == r"\ud800"

    def test_hidden_characters_are_seen(self, shown):
        text = "\x1b[31m \u202egnp.exe zero\u200bwidth"
        page, _ = shown(
            Trace(id="t", observed=Observed(steps=(Step(index=0, agent="a", content=text),)))
        )
        assert texts(page, ".step-text") == [escape_control_chars(text)]


class TestPage:
    def test_the_decisive_step_is_marked(self, shown):
        page, _ = shown(*failed_run())
        assert page.run(
            "[...document.querySelectorAll('[data-decisive]')].map(e => e.dataset.step)"
        ) == ["2"]
        assert texts(page, ".blamed") == ["researcher step 2"]
        assert texts(page, ".confidence") == ["uncalibrated score 0.81"]
        assert texts(page, "[data-step='2'] mark.quote") == ["took the figures from memory"]
        assert page.run("getComputedStyle(document.querySelector('.blamed')).color") == page.run(
            "getComputedStyle(document.querySelector('[data-decisive] .step-agent')).color"
        )
        assert page.complaints() == []

    def test_evidence_leads_to_its_step(self, shown):
        page, _ = shown(*failed_run())
        page.run("document.querySelectorAll('.evidence a')[1].click()")
        page.settle()
        assert selected(page) == "3"

    def test_notes_and_likely_steps(self, shown):
        trace, verdict = failed_run()
        told = verdict.model_copy(update={"likely_steps": (2, 3), "notes": ("read in 3 windows",)})
        page, _ = shown(trace, told)
        words = "With a probability of 80 %, the decisive step is one of 2, 3"
        assert texts(page, ".likely") == [words]
        assert texts(page, ".notes li") == ["read in 3 windows"]
        page.run("document.querySelectorAll('.likely a')[1].click()")
        page.settle()
        assert selected(page) == "3"

    def test_evidence_beyond_the_first_three_is_counted(self, shown):
        trace, verdict = failed_run()
        pieces = tuple(Evidence(step=2, says=f"sign {n}") for n in range(5))
        first = verdict.candidates[0].model_copy(update={"evidence": pieces})
        page, _ = shown(trace, verdict.model_copy(update={"candidates": (first,)}))
        assert texts(page, ".evidence") == ["sign 0 ", "sign 1 ", "sign 2 "]
        assert texts(page, ".candidate .more") == ["… 2 more"]
        page.run("document.querySelector('.candidate .more').click()")
        assert len(texts(page, ".evidence")) == 5

    def test_code_between_fences_is_set_as_code(self, shown):
        content = "Here it is:\n```python\ndef f():\n    return 1\n```\nDone. <b>`x`</b>"
        step = Step(index=0, agent="a", content=content)
        page, _ = shown(Trace(id="t", observed=Observed(steps=(step,))))
        assert texts(page, ".fenced") == ["def f():\n    return 1"]
        assert texts(page, ".step-text") == ["Here it is:def f():\n    return 1Done. <b>`x`</b>"]

    def test_deep_link(self, shown):
        page, _ = shown(long_run(2000), fragment="#step-1700")
        assert selected(page) == "1700"
        top = page.run("document.querySelector('[aria-current]').getBoundingClientRect().top")
        assert 0 < top < 400

    def test_keys(self, shown):
        page, _ = shown(*failed_run())
        for key in "jjjk":
            page.press(key)
        assert selected(page) == "1"
        page.press("d")
        assert selected(page) == "2"
        page.press("j")
        page.press("r")
        assert "Globex: 9.2 to 9.9" in texts(page, "[data-step='3'] .reads")[0]
        page.run("location.hash = '#step-4'")
        page.settle()
        assert "line 29" not in texts(page, "[data-step='4'] .step-text")[0]
        assert texts(page, "[data-step='4'] .more") == ["… 20 more lines"]
        page.press("Enter")
        assert "line 29" in texts(page, "[data-step='4'] .step-text")[0]
        page.press("?")
        assert page.run("document.querySelector('dialog').open")

    def test_reads_known_to_the_agent_are_folded(self, shown):
        page, _ = shown(*failed_run(), fragment="#step-3")
        page.press("r")
        assert texts(page, "[data-step='3'] .reads > button") == [
            "1 message already read at step 0: show"
        ]
        assert len(texts(page, "[data-step='3'] .message")) == 1

    def test_search_and_filters(self, shown):
        page, _ = shown(*failed_run())
        page.press("/")
        page.call("Input.insertText", text="MEMORY")
        time.sleep(0.2)
        page.settle()
        assert texts(page, "#count") == ["1 of 6 steps"]
        assert texts(page, "mark.hit, mark.quote") == ["took the figures from memory"]
        page.press("Escape")
        assert texts(page, "#count") == ["6 steps"]
        page.run("document.querySelector('.lanes-label').click()")
        page.settle()
        assert texts(page, "#count") == ["3 of 6 steps"]
        page.run("document.querySelector('.lanes-label').click()")
        page.run("document.querySelector('#errors').click()")
        page.settle()
        assert page.run("[...document.querySelectorAll('.step')].map(e => e.dataset.step)") == ["2"]

    def test_a_link_to_a_filtered_step_clears_the_filters(self, shown):
        page, _ = shown(*failed_run())
        page.run("document.querySelector('#errors').click()")
        page.run("location.hash = '#step-5'")
        page.settle()
        assert selected(page) == "5"
        assert texts(page, "#count") == ["6 steps"]

    def test_light_and_dark(self, shown):
        page, _ = shown(*failed_run())
        paper = "getComputedStyle(document.body).backgroundColor"
        try:
            page.prefer("dark")
            dark = page.run(paper)
            page.prefer("light")
            light = page.run(paper)
            page.press("t")
            assert (page.run(paper), dark == light) == (dark, False)
        finally:
            page.run("localStorage.clear()")

    @pytest.mark.parametrize("width", [360, 1000])
    def test_nothing_sticks_out(self, shown, width):
        page, _ = shown(*hostile_trace(), width=width)
        assert page.run("document.documentElement.scrollWidth") <= width

    def test_copied_json_is_the_trace(self, shown):
        trace, verdict = hostile_trace()
        page, _ = shown(trace, verdict)
        copied = page.run("safeJson({trace: agentracerReport.data.trace}, 1)")
        assert Trace.model_validate(json.loads(copied)["trace"]) == trace
        assert "\u202e" not in copied

    def test_integers_keep_every_digit(self, shown):
        call = ToolCall(name="f", arguments={"id": 12345678901234567890}, result=2**80)
        step = Step(index=0, agent="a", tool_calls=(call,))
        page, _ = shown(Trace(id="t", observed=Observed(steps=(step,))))
        assert "12345678901234567890" in texts(page, ".call")[0]
        assert str(2**80) in texts(page, ".call")[0]

    def test_an_empty_trace(self, shown):
        page, _ = shown(Trace(id="t", observed=Observed()))
        assert page.complaints() == []
        page.press("j")
        assert texts(page, "#count") == ["0 steps"]


class TestSuccessCurve:
    POINTS = "[...document.querySelectorAll('.curve-point')]"

    def test_points_stand_at_the_end_of_the_last_step_kept(self, shown):
        page, _ = shown(*curved())
        share = (
            f"{self.POINTS}.map(p => Math.round(100 * parseFloat(p.style.left)"
            " / document.querySelector('.lanes-canvas').getBoundingClientRect().width))"
        )
        assert page.run(share) == [0, 17, 33, 50, 67, 100]
        assert texts(page, ".curve-count") == [
            *("5 of 8", "6 of 9", "5 of 8", "0 of 12", "not measured", "0 of 3"),
        ]
        assert page.run("document.querySelectorAll('.curve-line-gap').length") == 1
        assert page.complaints() == []

    def test_the_loss_is_marked_and_said(self, shown):
        page, _ = shown(*curved())
        assert texts(page, ".curve-lost .curve-count") == ["5 of 8", "0 of 12"]
        assert page.run("document.querySelectorAll('.curve-line-lost').length") == 1
        spoken = page.run(f"{self.POINTS}[3].getAttribute('aria-label')")
        assert spoken == (
            "Kept through step 2: 0 of 12 replays succeed, 95 % interval 0 to 24 %, researcher."
            " The decisive step: success is lost here"
        )

    def test_a_point_leads_to_its_step_by_click_and_by_key(self, shown):
        page, _ = shown(*curved())
        page.run(f"{self.POINTS}[2].click()")
        page.settle()
        assert selected(page) == "1"
        page.run(f"{self.POINTS}[3].focus()")
        page.press("Enter")
        assert selected(page) == "2"

    def test_a_phone_has_room_for_it(self, shown):
        page, _ = shown(*curved(), width=360)
        assert page.run("document.documentElement.scrollWidth") <= 360
        assert page.run("document.querySelector('.curve').clientWidth") > 150


class TestLongTrace:
    @pytest.mark.slow
    def test_fifty_thousand_steps(self, shown):
        trace = long_run(50_000)
        page, seconds = shown(trace)
        for _ in range(2):  # again, for a machine that was busy with something else
            if seconds >= 3:
                page, seconds = shown(trace)
        assert seconds < 3
        assert texts(page, "#count") == ["50,000 steps"]
        assert page.run("document.querySelectorAll('.step').length") < 60
        page.run("location.hash = '#step-49999'")
        page.settle()
        assert selected(page) == "49999"
        assert page.complaints() == []

    @pytest.mark.slow
    def test_a_run_of_two_hundred_megabytes_shows_its_first_step_and_what_is_cut(self, shown):
        content = "The quick brown fox jumps over the lazy dog, 42 times. " * 1_800
        steps = tuple(Step(index=i, agent="ab"[i % 2], content=content) for i in range(2_000))
        page, seconds = shown(Trace(id="large", observed=Observed(steps=steps)))
        assert seconds < 7
        assert texts(page, ".step")
        note = page.run("document.getElementById('cut-texts').innerText")
        assert note.startswith("This run has 198,000,000 characters of text.")
        assert "`agentracer export large` writes all of it" in note
        assert page.complaints() == []

    def test_a_run_that_fits_has_no_such_note(self, shown):
        page, _ = shown(*failed_run())
        assert page.run("document.getElementById('cut-texts').hidden") is True

    @pytest.mark.slow
    def test_scrolls_smoothly(self, shown):
        page, _ = shown(long_run(50_000))
        script = (
            "(async () => { const gaps = []; let last = performance.now();"
            " for (let i = 0; i < 120; i++) { window.scrollBy(0, i % 10 ? 240 : 20000);"
            " await new Promise(requestAnimationFrame); const now = performance.now();"
            " gaps.push(now - last); last = now; } return gaps.sort((a, b) => a - b); })()"
        )
        for _ in range(3):  # for a machine that is busy with something else
            gaps = page.run(script)
            if gaps[len(gaps) // 2] < 34:  # 60 frames a second leave 17 ms
                break
        assert gaps[len(gaps) // 2] < 34
        positions = page.run("[...document.querySelectorAll('.step')].map(e => +e.dataset.step)")
        assert positions == list(range(positions[0], positions[0] + len(positions)))

    def test_what_does_not_fit_is_said_and_reachable(self, shown):
        page, _ = shown(long_run(3000))
        page.run("agentracerReport.showFrom(1000)")
        page.settle()
        assert texts(page, "#cut-before") == ["1,000 earlier steps not in this list. Show them"]
        page.run("location.hash = '#step-3'")
        page.settle()
        assert selected(page) == "3"
