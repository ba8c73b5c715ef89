"""A stronger model in the place of an agent's own, for one step: which agent needs it?"""

from __future__ import annotations

from agentracer.replay.oracles.language_model import ChatFunction
from agentracer.replay.override import Override
from agentracer.replay.system import Oracle
from agentracer.trace import Message, Trace
from agentracer.usage import Usage

__all__ = ["StrongerModel"]


class StrongerModel(Oracle):
    """Lets another model take one step: it reads what the agent read, and nothing else.

    Unlike `LLMOracle` it knows neither the outcome nor the right answer, so a step that it flips is
    one that a better model would have taken rightly. Steps that ask for tools, or that run one, are
    left as they are: the answer of a chat function is text.

    Args:
        ask: chat messages in, the answer's text out: `chat(...)` for an OpenAI-compatible server,
            or a function of your own.
    """

    def __init__(self, ask: ChatFunction) -> None:
        self._ask = ask

    @property
    def usage(self) -> Usage:
        """See `Oracle`; tokens are those that `ask` counts in an attribute `tokens`."""
        return Usage(unsplit_tokens=int(getattr(self._ask, "tokens", 0)))

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """Return what the stronger model writes; None for a step that is no text of a model."""
        taken = trace.steps[step]
        if taken.kind != "llm" or taken.tool_calls or taken.reads is None:
            return None
        answer = self._ask([_as_chat(message) for message in trace.observed.reads(taken)])
        if not answer.strip() or answer == taken.content:
            return None
        return Override(step=step, content=answer)


def _as_chat(message: Message) -> dict[str, str]:
    """A message as a chat function takes it: what tools returned is told by the user."""
    if message.role in ("system", "user", "assistant"):
        return {"role": message.role, "content": message.content}
    return {"role": "user", "content": f"Result of {message.name or 'a tool'}: {message.content}"}
