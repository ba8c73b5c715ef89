"""Every exception that agentracer raises on purpose.

    AgentracerError                  catch this one to catch them all
    ├── FormatError (ValueError)     a file or a value is not what its format promises
    │   └── TrainingError            a config, data or a model that training cannot begin with
    ├── TraceNotFound (LookupError)  the store has no such trace
    ├── StoreError (OSError)         the store itself cannot be used
    ├── MissingExtra (ImportError)   an optional dependency is not installed
    ├── MissingLaboratory (ImportError) agentracer.lab is not installed
    ├── UnknownModel (ValueError)    a model spec that no backend answers to
    ├── BackendError                 a backend broke, or broke its contract
    ├── ReplayDiverged               a rerun asked for what the record does not have
    ├── InvalidSystem                a `System` cannot be run or checked at all
    ├── ToolRefused                  a replay's policy does not let a tool run
    ├── BudgetSpent                  the next replay would cost more than the budget allows
    ├── OracleFailed                 an oracle raised, or proposed what does not fit the trace
    │   └── CorrectionDeclined       it corrected what is no action of the step
    ├── ContainerUnavailable (OSError) Docker was asked for, and does not answer
    ├── SandboxUnavailable (OSError) bubblewrap was asked for, and cannot run here
    ├── CollectionMismatch           a folder holds another collection, or is in use
    └── WorkerLost                   a process that makes a collection ended too early

Each message names the place and the remedy. None of them ever reaches a host program
through `instrument()`: see `agentracer._guard`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

if TYPE_CHECKING:
    from agentracer.replay.divergence import Divergence

__all__ = [
    "AgentracerError",
    "BackendError",
    "BudgetSpent",
    "CollectionMismatch",
    "ContainerUnavailable",
    "CorrectionDeclined",
    "FormatError",
    "InvalidSystem",
    "MissingExtra",
    "MissingLaboratory",
    "OracleFailed",
    "ReplayDiverged",
    "SandboxUnavailable",
    "StoreError",
    "ToolRefused",
    "TraceNotFound",
    "TrainingError",
    "UnknownModel",
    "WorkerLost",
]

_DISTRIBUTION = "agentracer-mas"


class AgentracerError(Exception):
    """The root of the tree."""


class FormatError(AgentracerError, ValueError):
    """A file or value that does not follow its format.

    Args:
        problem: what is wrong, in one sentence.
        source: the file (or `-` for standard input).
        place: where in it: a line, a field such as `history[3].content`.
        remedy: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | Path | None = None,
        place: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem, self.source, self.place, self.remedy = problem, source, place, remedy
        where = ": ".join(str(part) for part in (source, place) if part is not None)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}\n  remedy: {remedy}" if remedy else text)


class TrainingError(FormatError):
    """What training was given cannot be trained on; found before the first step."""


class TraceNotFound(AgentracerError, LookupError):
    """The store holds no trace under this id or prefix."""


class StoreError(AgentracerError, OSError):
    """The store's directory cannot be read or written."""


class MissingExtra(AgentracerError, ImportError):
    """An optional dependency is missing; the message is the exact pip line that adds it."""

    def __init__(self, extra: str, *, needed_for: str) -> None:
        self.extra = extra
        super().__init__(
            f"{needed_for} needs the extra [{extra}], which is not installed\n"
            f"  remedy: {pip_line(extra)}"
        )


class MissingLaboratory(AgentracerError, ImportError):
    """`agentracer.lab` is not part of this installation; the message names what needs it."""

    def __init__(self, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs agentracer.lab, which this installation does not have\n"
            f"  remedy: install the whole package: pip install --force-reinstall {_DISTRIBUTION}"
        )


class UnknownModel(AgentracerError, ValueError):
    """`Tracer(model=...)` was given a spec that no backend answers to."""


class BackendError(AgentracerError):
    """An attribution backend failed, or returned what the trace does not contain."""


class ReplayDiverged(AgentracerError):
    """A forced-prefix replay left its record before the overridden step.

    Attributes:
        trace_id: the trace of the rerun, as far as it came.
        divergences: where the rerun left the record (`agentracer.replay.Divergence`).
    """

    def __init__(self, trace_id: str, divergences: Sequence[Divergence]) -> None:
        self.trace_id, self.divergences = trace_id, list(divergences)
        listed = "\n".join(f"  - {item}" for item in divergences[:5])
        more = f"\n  and {len(divergences) - 5} more" if len(divergences) > 5 else ""
        super().__init__(
            f"the rerun (trace {trace_id}) does not follow the record:\n{listed}{more}\n"
            "  remedy: the system is not deterministic before this step (time, random ids, files); "
            "make that part repeatable, or pass on_divergence='report' to get the trace anyway"
        )


class InvalidSystem(AgentracerError):
    """A `System` cannot be run or checked at all, whatever is corrected."""


class ToolRefused(AgentracerError):
    """A replay asked for a tool that its policy does not let run."""


class BudgetSpent(AgentracerError):
    """The next replay would be over the budget; the search ends with what it has."""


class ContainerUnavailable(AgentracerError, OSError):
    """Code was to run in a Docker container, and Docker does not do it.

    Args:
        problem: what docker said.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"cannot run code in a container: {problem}\n"
            "  remedy: start Docker and pull the image, or ask for no container"
        )


class SandboxUnavailable(AgentracerError, OSError):
    """Code was to run inside bubblewrap, which cannot run here. The code was not run.

    Args:
        problem: what is missing, or what bwrap said.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"cannot run code inside bubblewrap: {problem}\n"
            "  remedy: install bubblewrap (Debian, Fedora: package bubblewrap) and allow "
            "unprivileged user namespaces, or ask for a container or no boundary"
        )


class OracleFailed(AgentracerError):
    """The oracle raised, or proposed what does not fit the trace; the search skips that step."""


class CorrectionDeclined(OracleFailed):
    """The oracle corrected the result of a call in which recorded steps ran, unasked."""


class CollectionMismatch(AgentracerError):
    """The folder holds another collection, or another process is at work in it."""


class WorkerLost(AgentracerError):
    """A process that makes items of a collection ended before it was done."""

    def __init__(self) -> None:
        super().__init__(
            "a process that makes runs ended too early; what is finished is kept, and the same "
            "call goes on from it\n"
            '  remedy: call collect in a file, under `if __name__ == "__main__":`, for processes '
            "import it, or with workers=0; if memory ran out, with fewer workers"
        )


def pip_line(extra: str) -> str:
    """The pip command that installs `extra` for the copy of agentracer that is running."""
    try:
        url = metadata.distribution(_DISTRIBUTION).read_text("direct_url.json")
        info = json.loads(url or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        info = {}
    location = urlparse(info.get("url", ""))
    if location.scheme != "file":
        return f'pip install "{_DISTRIBUTION}[{extra}]"'
    editable = "-e " if info.get("dir_info", {}).get("editable") else ""
    return f'pip install {editable}"{unquote(location.path)}[{extra}]"'
