"""What agentracer knows of a framework without importing it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

__all__ = ["AdapterSpec", "GraphKeys", "TestedDistribution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphKeys:
    """Where the metadata of a graph framework's spans says which node acts.

    Attributes:
        node: the key of the node's name.
        agent: the key of the name that a user gave to a prebuilt agent.
        namespaces: keys of the node's place, outermost graph first: `outer:<id>|inner:<id>`.
        inner_nodes: nodes whose names say what happens, not who acts.
        inner_suffixes: endings of the names of such nodes.
        unnamed: names of graphs that no user chose.
    """

    node: str
    agent: str
    namespaces: tuple[str, ...]
    inner_nodes: frozenset[str] = frozenset()
    inner_suffixes: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of the metadata that say something about the node."""
        return (self.node, self.agent, *self.namespaces)

    def is_inner(self, node: str) -> bool:
        """Whether a node's name does not say who acts."""
        return node in self.inner_nodes or node.endswith(self.inner_suffixes)

    def node_names(self, metadata: Mapping[str, Any]) -> list[str]:
        """The names of the nodes around a call, outermost first, without run-specific ids."""
        place = next((str(metadata[key]) for key in self.namespaces if metadata.get(key)), "")
        names = [part.partition(":")[0] for part in place.split("|") if part]
        return names or [str(metadata.get(self.node) or "")]

    def agent_of(self, metadata: Mapping[str, Any], inherited: str | None = None) -> str | None:
        """Who acts at a node; None if the metadata does not say.

        The node itself, unless it is an inner node of a prebuilt agent: then the name given to that
        agent, else the node that holds it. (The agent's name is handed down to everything below, so
        it says nothing about nodes with names of their own, nor about agents inside.)

        Args:
            metadata: of the span.
            inherited: the agent's name in the metadata around the graph that the node is in.
        """
        *outer, node = self.node_names(metadata)
        if node and not self.is_inner(node):
            return node
        name = str(metadata.get(self.agent) or "") or None
        if name is not None and name != inherited:
            return name
        return next((held for held in reversed(outer) if held not in self.inner_nodes), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedDistribution:
    """A distribution whose runs are captured.

    Attributes:
        distribution: its name on PyPI; None where the framework is not on PyPI.
        tested: the oldest and the newest version that capture was tested with; a newest version of
            `1.2` includes every `1.2.x`.
        extra: agentracer's extra that installs it, if it has one.
    """

    distribution: str | None = None
    tested: tuple[str, str] | None = None
    extra: str | None = None

    def installed_version(self) -> str | None:
        """The installed version of the distribution; None if there is none."""
        if self.distribution is None:
            return None
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    def is_tested(self, version: str) -> bool:
        """Whether capture was tested with a version, or with one before and one after it."""
        if self.tested is None:
            return True
        oldest, newest = (_numbers(bound) for bound in self.tested)
        numbers = _numbers(version)
        return oldest <= numbers and numbers[: len(newest)] <= newest

    @property
    def tested_text(self) -> str:
        """The tested versions, for messages."""
        oldest, newest = self.tested or ("", "")
        return oldest if oldest == newest else f"{oldest} to {newest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec(TestedDistribution):
    """One framework: how it is recognised, and which module captures it.

    Attributes:
        name: as passed to `instrument()`.
        module: the adapter's module, imported only once the framework is; it has a module-level
            `adapter`, see `agentracer.frameworks.base.Adapter`.
        trigger: the module whose import means that the framework is in use. One that every use of
            the framework loads, and no other package has.
        packages: top-level packages of the framework's classes.
        graph: what the metadata of the framework's spans says, for frameworks of graphs.
        built_on_it: distributions that run on the framework, and are captured with it.
        model_packages: top-level packages, besides `packages`, that call models for the framework:
            the adapter records these calls itself.
        is_client: whether it captures the client of a model provider, whoever calls it, and no
            framework.
    """

    name: str
    module: str
    trigger: str
    packages: tuple[str, ...]
    graph: GraphKeys | None = None
    built_on_it: tuple[TestedDistribution, ...] = ()
    model_packages: tuple[str, ...] = ()
    is_client: bool = False


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version as numbers: `1.2.0rc1` gives (1, 2, 0)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()
