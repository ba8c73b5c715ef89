"""Collect prompts as `Observed.messages` and `Observed.contexts`, for readers of other formats.

Prompts are stored as a tree of prefixes, so that a conversation of n steps in which each re-reads
the whole history costs O(n) links (see `agentracer.trace`).
"""

from __future__ import annotations

from collections.abc import Iterable

from agentracer.trace import ContextLink, Message, message_id

__all__ = ["PromptTree"]


class PromptTree:
    """The messages and the prompt prefixes of one run, each stored once.

    Attributes:
        messages: by content address, for `Observed.messages`.
        contexts: the prefix tree, for `Observed.contexts`.
    """

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.contexts: list[ContextLink] = []
        self._links: dict[tuple[int | None, str], int] = {}

    def add(self, prompt: Iterable[Message]) -> int | None:
        """Store a prompt.

        Returns:
            What `Step.reads` must be; None for an empty prompt.
        """
        position: int | None = None
        for message in prompt:
            position = self._link(position, self._store(message))
        return position

    def _store(self, message: Message) -> str:
        # Defaults are left out as the recorder does: an absent field and an empty one are the same.
        identity = message_id(message.model_dump(mode="json", exclude_defaults=True))
        self.messages.setdefault(identity, message)
        return identity

    def _link(self, parent: int | None, message: str) -> int:
        link = self._links.get((parent, message))
        if link is None:
            link = self._links[parent, message] = len(self.contexts)
            self.contexts.append(ContextLink(parent=parent, message=message))
        return link
