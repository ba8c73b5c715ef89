"""OpenTelemetry spans of any emitter into traces: GenAI conventions, OpenInference and vendors'.

One trace id is one run, and so are trace ids whose spans link to each other: in systems whose
agents send messages (AutoGen without a team's root span) each turn starts a trace of its own that
links to the one before. What becomes a step, in order of start:

    llm      a model call, with the tool calls it asked for and what came of them
    tool     a tool run that no model call in the file asked for
    message  an agent that ran with no model call of its own in the file (a remote agent)
    node     a node of a graph that called no model, no tool and no other agent, and wrote something

One call may show as several spans (an instrumented client inside an instrumented agent): they are
one step, and its facts come from the innermost span that has them, as that is closest to what the
model was sent. Imported traces can be attributed and not replayed: no agent objects come with
them. `Step.attributes["otel"]` keeps the ids, for `otel.export.emit_verdict`.

Modules: `otlp` decodes OTLP JSON into spans; `conventions` lists the attribute names of every
emitter, `attributes` reads them and `messages` the chat messages in them; `span_tree` and `calls`
decide which spans are one call of which agent; `steps` makes steps of them, `trace_builder` the
trace, `reader` the list of traces; `export` sends verdicts out.
"""

from __future__ import annotations

from agentracer.formats.otel.otlp import is_otlp
from agentracer.formats.otel.reader import accepts, read, traces_in, traces_of

__all__ = ["accepts", "is_otlp", "read", "traces_in", "traces_of"]
