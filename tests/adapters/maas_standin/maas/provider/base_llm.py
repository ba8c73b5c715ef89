"""The one place where operators ask a model."""

from __future__ import annotations

from abc import ABC, abstractmethod

from maas.utils.cost_manager import CostManager


class BaseLLM(ABC):
    use_system_prompt = True
    system_prompt = "You are a helpful assistant."
    model = "scripted"

    def __init__(self):
        self.cost_manager = CostManager()

    async def aask(
        self,
        msg,
        system_msgs=None,
        format_msgs=None,
        images=None,
        timeout=0,  # noqa: ASYNC109 - MaAS's signature
        stream=None,
    ):
        systems = system_msgs or [self.system_prompt]
        messages = [{"role": "system", "content": text} for text in systems]
        messages = messages if self.use_system_prompt else []
        messages += format_msgs or []
        messages += [{"role": "user", "content": msg}] if isinstance(msg, str) else msg
        return await self.acompletion_text(messages, stream=stream, timeout=timeout)

    @abstractmethod
    async def acompletion_text(self, messages, **options): ...
