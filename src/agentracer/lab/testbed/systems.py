"""Build and run the systems of the testbed: domain x topology x framework.

A `TeamHost` holds one model server and the teams that talk to it; `TeamHost.set_policy` gives it
the model of one run.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from agentracer.errors import MissingExtra
from agentracer.lab.testbed.problems import Domain, Problem
from agentracer.lab.testbed.rosters import Roster, Topology, roster
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer
from agentracer.lab.testbed.team_policy import TeamPolicy

__all__ = [
    "DOMAINS",
    "FRAMEWORKS",
    "OTHER_DOMAINS",
    "BuiltTeam",
    "TeamHost",
    "load_domain",
]

DOMAINS = ("math", "qa", "coding")
OTHER_DOMAINS = ("sums",)
"""Domains that are collected only where they are asked for by name."""
FRAMEWORKS = ("langgraph", "autogen", "camel")

_DOMAIN_CLASSES = {
    "math": ("math_domain", "MathDomain"),
    "qa": ("qa_domain", "QaDomain"),
    "coding": ("coding_domain", "CodingDomain"),
    "sums": ("small_sums", "SmallSums"),
}
_TEAM_CLASSES = {
    "langgraph": ("langgraph_teams", "LangGraphTeam", "demo"),
    "autogen": ("autogen_teams", "AutoGenTeam", "autogen"),
    "camel": ("camel_teams", "CamelTeam", "camel"),
}


class BuiltTeam(Protocol):
    """A built team; one object serves any number of runs, one after the other."""

    def solve(self, problem: Problem) -> str:
        """Give the team a task; returns its answer, or "" when it gave none."""


class _PlaceholderModel:
    """The model of a server before `TeamHost.set_policy`."""

    def reply(self, _request: ChatRequest, /) -> ChatReply:
        return ChatReply("...")


def load_domain(name: str, data: Path | None = None) -> Domain:
    """A domain; `data` is the folder of `gsm8k/` and `mbppplus/`, where they are wanted."""
    module, cls = _DOMAIN_CLASSES[name]
    domain: Domain = getattr(importlib.import_module(f"agentracer.lab.testbed.{module}"), cls)(data)
    return domain


class TeamHost:
    """One model server, and the teams that talk to it.

    Args:
        domain: what the teams work on.
        framework: what they are built with.
        base_url: a real endpoint in place of the scripted one.
        model: the name of the model there.
        api_key: its key.
    """

    def __init__(
        self,
        domain: Domain,
        framework: str,
        *,
        base_url: str | None = None,
        model: str = "scripted",
        api_key: str = "none",
    ) -> None:
        self.domain, self.framework = domain, framework
        self._model, self._api_key, self._base_url = model, api_key, base_url
        self._server: ModelServer | None = None
        self._teams: dict[tuple[Topology, int], BuiltTeam] = {}

    def __enter__(self) -> Self:
        if self._base_url is None:
            self._server = ModelServer(_PlaceholderModel())
            self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.__exit__(kind, error, trace)

    @property
    def base_url(self) -> str:
        """Where the model is."""
        if self._server is not None:
            return self._server.base_url
        if self._base_url is None:
            raise RuntimeError("a Bench is used in a `with` block")
        return self._base_url

    def set_policy(self, policy: TeamPolicy) -> None:
        """Let this model answer from now on."""
        if self._server is not None:
            self._server.model = policy
            self._server.clear()

    def team(self, topology: Topology, naming: int = 0) -> BuiltTeam:
        """A team, built at most once."""
        if (topology, naming) not in self._teams:
            self._teams[topology, naming] = self._build(roster(self.domain, topology, naming))
        return self._teams[topology, naming]

    def _build(self, members: Roster) -> BuiltTeam:
        module, cls, extra = _TEAM_CLASSES[self.framework]
        try:
            team_class: Any = getattr(
                importlib.import_module(f"agentracer.lab.testbed.{module}"), cls
            )
        except ModuleNotFoundError as error:
            purpose = f"teams of {self.framework} (no module {error.name!r})"
            raise MissingExtra(extra, needed_for=purpose) from error
        team: BuiltTeam = team_class(
            self.domain, members, self.base_url, self._model, self._api_key
        )
        return team
