"""The suites: where their tests are, and what they need."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["SUITES", "Suite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The tests of one distribution.

    Attributes:
        distribution: on PyPI.
        environment: the environment in which it runs; suites of one framework share theirs.
        tests: the folder of the tests, relative to the source.
        quick: what `--quick` runs, relative to the source.
        in_sdist: whether the source distribution carries the tests.
        omit: names of test requirements that are not needed: services, tools of the developers.
        requirements: test requirements that the source does not name in a dependency group.
        ignore: files that need a service (Docker, PostgreSQL) even to be collected, and benchmarks.
        variables: of the environment of the process.
        handler_lists: tests that compare the list of callback handlers with the one that they
            expect: they fail because a handler of ours is there, and change nothing for a program.
    """

    distribution: str
    environment: str
    tests: str = "tests"
    quick: tuple[str, ...] = ()
    in_sdist: bool = True
    omit: frozenset[str] = frozenset()
    requirements: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    handler_lists: frozenset[str] = frozenset()


_TOOLS = frozenset(
    {
        "langgraph-cli",
        "py-spy",
        "pyperf",
        "pytest-codspeed",
        "pytest-cov",
        "pytest-dotenv",
        "pytest-repeat",
        "pytest-watcher",
        "pytest-xdist",
        # Of the environment's own framework: pinned to the installed versions.
        "langchain",
        "langchain-core",
        "langgraph",
        "langgraph-checkpoint",
        "langgraph-prebuilt",
        "langgraph-sdk",
    }
)

SUITES = {
    suite.distribution: suite
    for suite in (
        Suite(
            distribution="langgraph",
            environment="langgraph",
            quick=(
                "tests/test_graph_callbacks.py",
                "tests/test_messages_state.py",
                "tests/test_parent_command.py",
                "tests/test_runnable.py",
                "tests/test_stream_messages_transformer.py",
                "tests/test_tool_stream_handler.py",
                "tests/test_trace_policy.py",
                "tests/test_tracing_interops.py",
            ),
            omit=_TOOLS,
            ignore=("tests/test_prune_postgres.py",),
            variables={"NO_DOCKER": "true"},
        ),
        Suite(
            distribution="langgraph-prebuilt",
            environment="langgraph",
            quick=("tests/test_react_agent.py", "tests/test_tool_node.py"),
            omit=_TOOLS,
            variables={"LANGGRAPH_TEST_FAST": "true"},
        ),
        Suite(
            distribution="langchain-core",
            environment="langgraph",
            tests="tests/unit_tests",
            quick=(
                "tests/unit_tests/callbacks",
                "tests/unit_tests/fake",
                "tests/unit_tests/language_models",
                "tests/unit_tests/tracers",
            ),
            omit=_TOOLS,
            ignore=("tests/unit_tests/language_models/chat_models/test_benchmark.py",),
        ),
        Suite(
            distribution="langchain",
            environment="langgraph",
            tests="tests/unit_tests",
            quick=(
                "tests/unit_tests/agents/middleware/core",
                "tests/unit_tests/agents/test_agent_name.py",
                "tests/unit_tests/agents/test_injected_runtime_create_agent.py",
                "tests/unit_tests/agents/test_invalid_tool_calls.py",
                "tests/unit_tests/agents/test_response_format.py",
                "tests/unit_tests/agents/test_subagent_streaming.py",
            ),
            omit=_TOOLS,
        ),
        Suite(
            distribution="autogen-agentchat",
            environment="autogen",
            in_sdist=False,
            requirements=("pytest", "pytest-asyncio", "autogen-ext[openai]"),
        ),
        Suite(
            distribution="camel-ai",
            environment="camel",
            tests="test",
            in_sdist=False,
            requirements=("pytest", "pytest-asyncio", "mcp<2"),
        ),
    )
}
