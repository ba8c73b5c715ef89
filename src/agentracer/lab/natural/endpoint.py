"""Say which model the teams talk to, and how long its replies may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Endpoint"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible chat endpoint and the sampling of its model.

    Attributes:
        base_url: where it is, `/v1` included.
        model: the name of the model there.
        temperature: 0 makes replays of one prefix all alike; see the page on proof.
        max_tokens: the longest reply of one call. With 300, ten replies of full length take a
            minute and a half at 35 tokens per second; most replies are much shorter.
        api_key: its key; local servers take any text.
        seed: sent with each call; None lets the server choose.
        timeout: seconds to wait for one reply.
    """

    base_url: str
    model: str
    temperature: float = 0.7
    max_tokens: int = 300
    api_key: str = "none"
    seed: int | None = None
    timeout: float = 300.0
