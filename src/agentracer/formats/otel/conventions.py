"""Attribute names of all semantic conventions and emitters, as data.

The names are those that the emitters wrote in November 2026 (versions in `tests/formats`), and
those of the conventions that define them. All of it is still in development and its constants are
deprecated in the semantic-conventions package, so they are written out here:

    GenAI           https://github.com/open-telemetry/semantic-conventions-genai (and the names
                    of its earlier versions: gen_ai.system, gen_ai.prompt, events per message)
    OpenInference   https://github.com/Arize-ai/openinference/tree/main/spec
    LangSmith       langsmith/_internal/otel/_otel_exporter.py
    Traceloop       https://github.com/traceloop/openllmetry (traceloop.*, llm.request.*)

In each row the first name that a span carries wins. No other module names an
emitter's attributes.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AGENT",
    "ARGUMENTS",
    "CALL_ID",
    "ENVELOPE",
    "ERROR_TYPE",
    "FLATTENED",
    "INPUT",
    "INPUT_EVENTS",
    "INPUT_TOKENS",
    "INPUT_VALUE",
    "KIND",
    "KINDS",
    "LAST_RESORT_AGENT",
    "METADATA_JSON",
    "METADATA_PREFIXES",
    "MODEL",
    "NODE_LABEL",
    "NO_PARAMETERS",
    "OUTPUT",
    "OUTPUT_EVENT",
    "OUTPUT_TOKENS",
    "OUTPUT_VALUE",
    "PARAMETERS",
    "PARAMETER_PREFIX",
    "RESPONSE",
    "RESULT",
    "ROLE",
    "SERVICE",
    "SESSION",
    "SYSTEM",
    "TOOLS",
    "TOOL_NAME",
    "Kind",
]

Kind = Literal["llm", "tool", "agent", "setup", "other"]

KIND = (
    "openinference.span.kind",
    "gen_ai.operation.name",
    "langsmith.span.kind",
    "traceloop.span.kind",
    "llm.request.type",
)
KINDS: dict[str, Kind] = {
    "llm": "llm",
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "tool": "tool",
    "execute_tool": "tool",
    "retriever": "tool",
    "retrieval": "tool",
    "agent": "agent",
    "invoke_agent": "agent",
    "create_agent": "setup",
}
AGENT = ("agent.name", "gen_ai.agent.name", "graph.node.name", "graph.node.id")
# The class of AutoGen's group chat managers, whose own model calls no agent span encloses.
LAST_RESORT_AGENT = ("recipient_agent_class",)
ROLE = ("gen_ai.agent.description", "agent.description")
SESSION = (
    "gen_ai.conversation.id",
    "session.id",
    "langsmith.trace.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.session_id",
)
RESPONSE = ("gen_ai.response.id",)
SYSTEM = ("gen_ai.system_instructions",)
INPUT = (
    "gen_ai.input.messages",
    "llm.input_messages",
    "gen_ai.prompt",
    "llm.prompts",
    "input.value",
    "traceloop.entity.input",
)
OUTPUT = (
    "gen_ai.output.messages",
    "llm.output_messages",
    "gen_ai.completion",
    "llm.completions",
    "output.value",
    "traceloop.entity.output",
)
INPUT_VALUE = (
    "input.value",
    "gen_ai.task.input",
    "traceloop.entity.input",
    "gen_ai.prompt",
    "gen_ai.input.messages",
    "llm.input_messages",
)
OUTPUT_VALUE = (
    "output.value",
    "gen_ai.task.output",
    "traceloop.entity.output",
    "gen_ai.completion",
    "gen_ai.output.messages",
    "llm.output_messages",
)
INPUT_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
OUTPUT_EVENT = "gen_ai.choice"
FLATTENED = frozenset(
    {
        "llm.input_messages",
        "llm.output_messages",
        "llm.prompts",
        "llm.tools",
        "llm.completions",
        "llm.request.functions",
        "gen_ai.prompt",
        "gen_ai.completion",
        "retrieval.documents",
    }
)
INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
MODEL = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model")
PARAMETERS = ("llm.invocation_parameters",)
PARAMETER_PREFIX = "gen_ai.request."
NO_PARAMETERS = frozenset({"model", "messages", "tools", "functions", "input"})
TOOLS = ("gen_ai.tool.definitions", "llm.tools", "llm.request.functions")
TOOL_NAME = ("gen_ai.tool.name", "tool.name", "tool_call.function.name", "traceloop.entity.name")
CALL_ID = ("gen_ai.tool.call.id", "tool_call.id", "tool.id")
ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_call.function.arguments",
    "input.value",
    "traceloop.entity.input",
    "gen_ai.prompt",
    "tool.parameters",
)
RESULT = (
    "gen_ai.tool.call.result",
    "output.value",
    "traceloop.entity.output",
    "gen_ai.completion",
    "retrieval.documents",
)
ERROR_TYPE = ("error.type", "exception.type")
SERVICE = ("service.name",)

# The metadata of graph frameworks (`AdapterSpec.graph`), as a JSON attribute or behind a prefix.
METADATA_JSON = ("metadata",)
METADATA_PREFIXES = ("langsmith.metadata.", "traceloop.association.properties.")
NODE_LABEL = ("traceloop.entity.name",)
# Traceloop wraps a runnable's input with its callback's arguments.
ENVELOPE = frozenset({"input_str", "tags", "metadata", "inputs", "kwargs", "name"})
