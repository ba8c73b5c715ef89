"""What a model call reads: the prompt's messages as ids, as they go over the wire.

A prompt is mostly what the same agent read before, so only what is new is converted: a call costs
next to nothing beyond comparing the messages, and their contents, by identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, is_
from typing import Any

from autogen_core.models import SystemMessage

from agentracer.adapters.autogen import shapes
from agentracer.adapters.autogen.frames import Root

__all__ = ["LastPrompt", "read_ids"]

_content = attrgetter("content")


class LastPrompt:
    """The prompt that an agent read last.

    Attributes:
        ids: of the messages on the wire.
        ends: how many ids there are up to each message, for one may become several.
    """

    __slots__ = ("contents", "ends", "ids", "messages")

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.contents: list[Any] = []
        self.ids: list[str] = []
        self.ends: list[int] = []

    def cut(self, messages: Sequence[Any], contents: Sequence[Any]) -> None:
        """Keep only what `messages` begins with, too."""
        same = len(self.messages)
        if (
            same > len(messages)
            or not all(map(is_, self.messages, messages))
            or not all(map(is_, self.contents, contents))
        ):
            pairs = zip(self.messages, messages, self.contents, contents, strict=False)
            same = 0
            for known, message, content, new_content in pairs:
                if known is not message or content is not new_content:
                    break
                same += 1
        del self.messages[same:], self.contents[same:], self.ends[same:]
        del self.ids[self.ends[-1] if self.ends else 0 :]


def read_ids(
    root: Root, client: Any, agent: str, messages: Sequence[Any], systems: Sequence[SystemMessage]
) -> list[str]:
    """The ids of a prompt's messages.

    Args:
        root: the run.
        client: the model client; some change what they send.
        agent: who reads.
        messages: the prompt.
        systems: the system messages in it.
    """
    messages = _joined(client, messages, systems)
    prefix = bool(getattr(client, "_add_name_prefixes", False))
    last = root.prompts.get((agent, prefix))
    if last is None:
        last = root.prompts[agent, prefix] = LastPrompt()
    contents = list(map(_content, messages))
    last.cut(messages, contents)
    for message, content in zip(
        messages[len(last.messages) :], contents[len(last.messages) :], strict=True
    ):
        fields = shapes.message_fields(message, prefix_names=prefix)
        last.ids += [root.recorder.message(**each) for each in fields]
        last.messages.append(message)
        last.contents.append(content)
        last.ends.append(len(last.ids))
    return list(last.ids)


def _joined(
    client: Any, messages: Sequence[Any], systems: Sequence[SystemMessage]
) -> Sequence[Any]:
    """The prompt with its system messages joined into one, stripped at its end.

    That is what clients do whose model takes only one.
    """
    if not systems or shapes.model_info(client).get("multiple_system_messages"):
        return messages
    text = "\n".join(message.content for message in systems).rstrip()
    if len(systems) == 1 and text == systems[0].content:
        return messages
    first = next(i for i, message in enumerate(messages) if isinstance(message, SystemMessage))
    rest = [message for message in messages if not isinstance(message, SystemMessage)]
    if text:
        rest.insert(first, SystemMessage(content=text))
    return rest
