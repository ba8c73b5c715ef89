"""`instrument()` and `uninstrument()`."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import pytest

import agentracer
from agentracer import instrumentation

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")


def patched_objects():
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool
    from langchain_core.tracers import context

    seams = ("_generate_with_cache", "_agenerate_with_cache", "stream", "astream")
    return [
        *(BaseChatModel.__dict__[name] for name in seams),
        *(BaseTool.__dict__[name] for name in ("run", "arun")),
        *context._configure_hooks,
    ]


def test_uninstrument_restores_the_very_same_objects():
    import langgraph.pregel  # noqa: F401

    before = patched_objects()
    for _ in range(3):
        agentracer.instrument("langgraph")
        agentracer.instrument()
        agentracer.uninstrument()
    after = patched_objects()
    assert len(after) == len(before)
    assert all(new is old for new, old in zip(after, before, strict=True))


def test_instrumenting_twice_captures_once(captured):
    agentracer.instrument()
    agentracer.instrument("langgraph")
    run_a_graph()
    assert len(agentracer.Store().ids()) == 1


def run_a_graph():
    from langgraph.graph import START, MessagesState, StateGraph

    graph = StateGraph(MessagesState)
    graph.add_node("speaker", lambda state: {"messages": [("ai", "hello")]})
    graph.add_edge(START, "speaker")
    return graph.compile().invoke({"messages": [("user", "hi")]})


def test_after_uninstrument_nothing_is_captured(captured):
    agentracer.uninstrument()
    run_a_graph()
    assert agentracer.Store().ids() == []


def test_unknown_frameworks_are_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown framework 'nonsense'[\s\S]*langgraph"):
        agentracer.instrument("nonsense")


@pytest.mark.parametrize("order", ["before", "after", "never"])
def test_it_works_whether_called_before_or_after_the_import(home, order):
    imports = "from langgraph.graph import START, MessagesState, StateGraph"
    calls = {"before": "agentracer.instrument()", "after": "", "never": ""}
    later = {"before": "", "after": "agentracer.instrument()", "never": ""}
    code = f"""
        import sys, agentracer
        {calls[order]}
        assert "langgraph" not in sys.modules
        {imports}
        {later[order]}
        graph = StateGraph(MessagesState)
        graph.add_node("speaker", lambda state: {{"messages": [("ai", "hello")]}})
        graph.add_edge(START, "speaker")
        graph.compile().invoke({{"messages": [("user", "hi")]}})
        print([step.agent for id in agentracer.Store().ids()
               for step in agentracer.Store().load(id).steps])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ("[]" if order == "never" else "['speaker']")


def test_a_framework_that_has_changed_only_costs_the_capture(monkeypatch, caplog):
    class Broken:
        def install(self):
            raise AttributeError("module 'langgraph' has no attribute 'pregel'")

        def uninstall(self):
            pass

    from agentracer.adapters import langgraph as module

    monkeypatch.setattr(module, "adapter", Broken())
    with caplog.at_level(logging.WARNING):
        agentracer.instrument("langgraph")
    assert "cannot capture langgraph here" in caplog.text
    assert "langgraph" not in instrumentation.installed
    assert run_a_graph()["messages"][-1].content == "hello"
    agentracer.uninstrument()


@pytest.mark.usefixtures("internal_errors")
def test_an_error_of_ours_leaves_the_run_untouched_and_warns_once(captured, monkeypatch, caplog):
    from agentracer.adapters.langgraph.callbacks import CaptureHandler

    def broken(*args, **kwargs):
        raise RuntimeError("our own bug")

    monkeypatch.setattr(CaptureHandler, "_open", broken)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert run_a_graph()["messages"][-1].content == "hello"
        agentracer._guard.report_swallowed()
    ours = [record for record in caplog.records if "our own bug" in record.getMessage()]
    assert len(ours) <= 1


def test_exactly_one_warning_with_a_count_is_shown_in_a_fresh_process(home):
    code = """
        import agentracer
        from langgraph.graph import START, MessagesState, StateGraph
        agentracer.instrument()
        from agentracer.adapters.langgraph.callbacks import CaptureHandler
        CaptureHandler._open = lambda *a, **k: 1 / 0
        graph = StateGraph(MessagesState)
        graph.add_node("speaker", lambda state: {"messages": [("ai", "hello")]})
        graph.add_edge(START, "speaker")
        compiled = graph.compile()
        for _ in range(5):
            print(compiled.invoke({"messages": [("user", "hi")]})["messages"][-1].content)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "hello\n" * 5
    assert result.stderr.count("could not record everything") == 1
    assert "10 internal error(s)" in result.stderr
