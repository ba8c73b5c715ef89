"""Calls of the `openai` client: chat completions and responses.

    agentracer.instrument("openai")

    with agentracer.agent("planner"):
        plan = client.chat.completions.create(model=..., messages=...)

Without `agentracer.agent`, the agent is the function that calls: see `clients.callers`.
"""

from __future__ import annotations

from typing import Final

from agentracer.adapters.clients.chat_completions import ChatCompletions
from agentracer.adapters.clients.client import ClientAdapter
from agentracer.adapters.clients.responses import Responses

__all__ = ["adapter"]

adapter: Final = ClientAdapter("openai", "openai._base_client", (ChatCompletions(), Responses()))
