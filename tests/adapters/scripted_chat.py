"""A chat model for LangGraph tests that gives prepared answers, in order, and starts again."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class ScriptedChat(BaseChatModel):
    """Answers in order; streams its words, and breaks after some of them if told to."""

    answers: list[Any]
    position: int = 0
    breaks_after: int | None = None

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        answer = self.answers[self.position % len(self.answers)]
        self.position += 1
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message)])


class WordStream(ScriptedChat):
    """As `ScriptedChat`, word by word."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for count, word in enumerate(self.answers[0].split(" ")):
            if self.breaks_after == count:
                raise ConnectionError("closed by the server")
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
            await asyncio.sleep(0.01)


def asks(*calls):
    """An answer that asks for tools: name, arguments and id each."""
    requests = [{"name": name, "args": args, "id": id_} for name, args, id_ in calls]
    return AIMessage("", tool_calls=requests)
