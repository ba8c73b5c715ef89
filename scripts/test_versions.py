"""Run the adapters' tests with other versions of their frameworks, in environments of their own.

    python -m scripts.test_versions                    all environments
    python -m scripts.test_versions camel-0.2.84 ...   some of them
    python -m scripts.test_versions --list

For each framework: the oldest version that the extra claims, the newest, and one between. What is
claimed in `pyproject.toml` and in the registry has to be in the list: see `tests/test_versions.py`.
Environments are kept in `build/versions`; a result is a line of `build/versions/results.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("build/versions")
TEST_TOOLS = (
    *("pytest>=8.3", "pytest-asyncio>=0.24", "pytest-timeout>=2.3", "hypothesis>=6.120"),
    *("blockbuster>=1.5", "numpy>=1.26", "pyyaml>=6.0"),
)
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|deselected)")


@dataclass(frozen=True, slots=True)
class Environment:
    """One set of versions.

    Attributes:
        framework: name of the adapter.
        version: of its main distribution.
        packages: what is installed beside agentracer and the test tools.
    """

    framework: str
    version: str
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        """As on the command line, such as `camel-0.2.84`."""
        return f"{self.framework}-{self.version}"

    @property
    def tests(self) -> list[str]:
        """The files with the adapter's tests."""
        return [str(path) for path in sorted(Path("tests/adapters").glob(self._pattern))]

    @property
    def _pattern(self) -> str:
        return f"test_{self.framework}_*.py"


def _autogen(version: str) -> Environment:
    names = ("autogen-agentchat", "autogen-core", "autogen-ext[openai]")
    return Environment("autogen", version, tuple(f"{name}=={version}" for name in names))


def _camel(version: str) -> Environment:
    return Environment("camel", version, (f"camel-ai=={version}", "mcp<2"))


def _langgraph(version: str, langchain: str) -> Environment:
    packages = (
        *(f"langgraph=={version}", f"langchain{langchain}", "langchain-openai>=1.0,<2"),
        *("langgraph-supervisor>=0.0.31", "langgraph-swarm>=0.1"),
    )
    return Environment("langgraph", version, packages)


def _client(name: str, version: str) -> Environment:
    return Environment(name, version, (f"{name}=={version}",))


ENVIRONMENTS = (
    *(_client("anthropic", version) for version in ("0.40.0", "1.0.0", "2.14.0")),
    *(_autogen("0.7.0"), _autogen("0.7.3"), _autogen("0.7.5")),
    *(_camel("0.2.84"), _camel("0.2.87"), _camel("0.2.90")),
    *(_client("openai", version) for version in ("2.0.0", "3.0.0", "3.57.0")),
    _langgraph("1.1.10", "==1.2.18"),
    _langgraph("1.2.10", ">=1.3,<1.5"),
    _langgraph("1.2.24", "==1.5.2"),
)


def prepare(environment: Environment) -> Path:
    """Make the environment, unless it is there; return its Python."""
    folder = FOLDER / environment.name
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--editable", "."]
        command = [*install, *TEST_TOOLS, *environment.packages]
        subprocess.run(command, check=True)  # noqa: S603 - the packages of this file
        ready.touch()
    return python


def run_tests(environment: Environment, python: Path) -> dict[str, int]:
    """Run the adapter's tests; return the counts of pytest's last line."""
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    finished = subprocess.run(  # noqa: S603 - our own tests
        [*command, *environment.tests], capture_output=True, text=True, check=False
    )
    lines = finished.stdout.strip().splitlines()
    print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR"))))
    counts = {word.rstrip("s"): int(count) for count, word in _COUNT.findall(lines[-1])}
    if not counts:
        raise RuntimeError(f"{environment.name}: pytest said {finished.stdout[-2000:]}")
    return counts


def note(environment: Environment, counts: dict[str, int]) -> None:
    """Keep a result beside those of other environments."""
    path = FOLDER / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[environment.name] = counts
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    """Prepare and run what is asked for; the exit status is 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    known = {environment.name: environment for environment in ENVIRONMENTS}
    if options.list:
        print("\n".join(known))
        return 0
    if unknown := set(options.names) - set(known):
        parser.error(f"there is no environment {min(unknown)}; --list shows them")
    failed = False
    for name in options.names or known:
        counts = run_tests(known[name], prepare(known[name]))
        note(known[name], counts)
        print(f"{name}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
        failed |= bool(counts.get("failed") or counts.get("error"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
