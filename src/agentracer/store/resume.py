"""What an interrupted attempt had finished, by the journal that it left.

A journal of attempts has a `begin` line with the settings of each, lines for what was finished, and
an `end` line where it was completed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentracer.store.fold import read_events

__all__ = ["interrupted"]


def interrupted(path: Path, field: str, settings: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The events of the last attempt after its `begin`, if it can be gone on with.

    Args:
        path: the journal; it need not exist.
        field: where a `begin` line has its settings.
        settings: what the attempt must have had; they are compared as JSON data.

    Returns:
        None where there is no attempt, the last one was completed, or it had other settings.
    """
    if not path.exists():
        return None
    events, _torn = read_events(path)
    starts = [i for i, event in enumerate(events) if event.get("e") == "begin"]
    last = events[starts[-1] :] if starts else []
    finished = any(event.get("e") == "end" for event in last)
    if not last or finished or last[0].get(field) != json.loads(json.dumps(settings)):
        return None
    return last[1:]
