"""Calls of the `anthropic` client: messages.

    agentracer.instrument("anthropic")

    with agentracer.agent("planner"):
        plan = client.messages.create(model=..., max_tokens=..., messages=...)

Without `agentracer.agent`, the agent is the function that calls: see `clients.callers`.
"""

from __future__ import annotations

from typing import Final

from agentracer.adapters.clients.client import ClientAdapter
from agentracer.adapters.clients.messages import Messages

__all__ = ["adapter"]

adapter: Final = ClientAdapter("anthropic", "anthropic._base_client", (Messages(),))
