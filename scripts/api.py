"""The public API as text, and what changed in it since a release.

    python -m scripts.api check            # against the newest snapshot (`make api-check`)
    python -m scripts.api write 0.2.0      # the snapshot of a release (`make api-snapshot`)

Public is what `agentracer`, `agentracer.replay` and `agentracer.evolution` export in `__all__`, and
what `docs/api.md` shows. A snapshot, `tests/compat/api/<version>.txt`, has one line for each name:

    function agentracer.record(task=None, *, check=None)

The check reads the source with griffe and imports nothing. It fails where a name was removed, or a
signature changed so that a call that was right may be wrong or mean something else, unless the part
of CHANGELOG.md that is newer than the release names it in backticks. Additions are listed only.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
SNAPSHOTS = ROOT / "tests" / "compat" / "api"
PACKAGES = ("agentracer", "agentracer.replay", "agentracer.evolution")

_DIRECTIVE = re.compile(r"^::: ([\w.]+)\n(?:    options: \{members: \[([^]]*)\])?", re.MULTILINE)
_LINE = re.compile(r"(class|function|attribute|module) ([\w.]+)(\(.*\))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One public name.

    Attributes:
        kind: class, function or attribute.
        name: qualified, such as `agentracer.Trace.steps`.
        signature: of a function, or of a class's constructor where that is written out; without
            annotations, in brackets.
    """

    kind: str
    name: str
    signature: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}{self.signature}"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a public name, in words."""

    name: str
    problem: str

    def is_named_in(self, text: str) -> bool:
        """Whether a code span of the text has the name, or its last part."""
        last = self.name.rpartition(".")[2]
        return any(re.search(rf"\b{last}\b", span) for span in re.findall(r"`([^`]+)`", text))


def main() -> None:
    """Check the source against the newest snapshot, or write a snapshot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    commands.add_parser("write").add_argument("version")
    options = parser.parse_args()
    entries = public_api(ROOT)
    if options.command == "write":
        SNAPSHOTS.mkdir(parents=True, exist_ok=True)
        target = SNAPSHOTS / f"{options.version}.txt"
        target.write_text("".join(f"{entry}\n" for entry in entries.values()), encoding="utf-8")
        print(f"{len(entries)} public names written to {target.relative_to(ROOT)}")
        return
    sys.exit(check(entries))


def check(entries: Mapping[str, Entry]) -> int:
    """Print what changed since the newest snapshot; the exit status of the command."""
    snapshot = max(SNAPSHOTS.glob("*.txt"), key=lambda path: version_of(path.stem), default=None)
    if snapshot is None:
        print(f"{SNAPSHOTS}: there is no snapshot\n  remedy: make api-snapshot VERSION=…")
        return 1
    before = parse(snapshot.read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    news = newer_than(changelog, snapshot.stem)
    if news is None:
        print(f"CHANGELOG.md: there is no heading `## [{snapshot.stem}]`, so it cannot be told")
        print("which of its lines are newer than that release\n  remedy: add the heading")
        return 1
    changes = list(compare(before, entries))
    missing = [change for change in changes if not change.is_named_in(news)]
    added = [name for name in entries if name not in before]
    print(
        f"since {snapshot.stem}: {len(added)} public names are new, {len(changes)} changed "
        f"incompatibly, of which CHANGELOG.md names {len(changes) - len(missing)}"
    )
    for change in missing:
        print(f"  {change.name}: {change.problem}")
    if missing:
        print("remedy: keep the old name or signature for as long as CONTRIBUTING.md promises, or")
        print("name each in CHANGELOG.md above that release, in backticks, with what replaces it")
    return 1 if missing else 0


def public_api(root: Path) -> dict[str, Entry]:
    """The public names of a checkout, sorted."""
    package = griffe.load("agentracer", search_paths=[root / "src"], resolve_aliases=True)
    entries: dict[str, Entry] = {}
    for path, names in public_modules(root / "docs" / "api.md").items():
        module = package if path == "agentracer" else package[path.removeprefix("agentracer.")]
        for name in names or exports(module):
            for entry in described(module[name], f"{path}.{name}"):
                entries[entry.name] = entry
    return dict(sorted(entries.items()))


def public_modules(reference: Path) -> dict[str, list[str] | None]:
    """Modules by path, with the names that are public in each; None: all that it exports."""
    modules: dict[str, list[str] | None] = dict.fromkeys(PACKAGES)
    for path, members in _DIRECTIVE.findall(reference.read_text(encoding="utf-8")):
        if path not in modules:
            modules[path] = [name.strip() for name in members.split(",")] if members else None
    return modules


def exports(module: griffe.Object | griffe.Alias) -> list[str]:
    """What a module's `__all__` lists."""
    return [str(name) for name in module.exports or ()]


def described(found: griffe.Object | griffe.Alias, name: str) -> Iterator[Entry]:
    """The entries of a name: itself, and the public members of a class."""
    if isinstance(found, griffe.Alias):
        found = found.final_target
    if isinstance(found, griffe.Function):
        yield Entry("function", name, signature(found.parameters))
    elif isinstance(found, griffe.Class):
        written = "__init__" in found.members or "dataclass" in found.labels
        yield Entry("class", name, signature(found.parameters) if written else "")
        for member in found.all_members.values():
            if not member.name.startswith("_") and member.name != "model_config":
                yield from described(member, f"{name}.{member.name}")
    else:
        yield Entry("attribute", name)


def signature(parameters: griffe.Parameters) -> str:
    """Parameters as Python writes them, without `self` and without annotations."""
    parts: list[str] = []
    previous: griffe.ParameterKind | None = None
    for parameter in parameters:
        if parameter.name in {"self", "cls"}:
            continue
        kind = parameter.kind
        if previous is griffe.ParameterKind.positional_only and kind is not previous:
            parts.append("/")
        starts_keywords = kind is griffe.ParameterKind.keyword_only and previous not in {
            griffe.ParameterKind.keyword_only,
            griffe.ParameterKind.var_positional,
        }
        if starts_keywords:
            parts.append("*")
        parts.append(_parameter(parameter))
        previous = kind
    if previous is griffe.ParameterKind.positional_only:
        parts.append("/")
    return f"({', '.join(parts)})"


def _parameter(parameter: griffe.Parameter) -> str:
    if parameter.kind is griffe.ParameterKind.var_positional:
        return f"*{parameter.name}"
    if parameter.kind is griffe.ParameterKind.var_keyword:
        return f"**{parameter.name}"
    return parameter.name if parameter.default is None else f"{parameter.name}={parameter.default}"


def parse(text: str) -> dict[str, Entry]:
    """The entries of a snapshot.

    Raises:
        ValueError: a line is none.
    """
    entries = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a line of a snapshot: {line!r}")
        entries[match[2]] = Entry(match[1], match[2], match[3] or "")
    return entries


def compare(before: Mapping[str, Entry], now: Mapping[str, Entry]) -> Iterator[Change]:
    """What is gone or changed so that a user may notice; nothing of the members of what is gone."""
    gone: set[str] = set()
    for name, entry in before.items():
        if any(name.startswith(f"{parent}.") for parent in gone):
            continue
        if name not in now:
            gone.add(name)
            yield Change(name, "is gone")
        elif now[name].kind != entry.kind:
            yield Change(name, f"was a {entry.kind} and is a {now[name].kind}")
        elif entry.signature and now[name].signature:
            problems = list(differences(entry.signature, now[name].signature))
            if problems:
                yield Change(name, "; ".join(problems))


@dataclass(frozen=True, slots=True)
class _Parameters:
    """A signature, taken apart: names by position, names by keyword, defaults as text."""

    positional: Sequence[str]
    keywords: frozenset[str]
    defaults: Mapping[str, str]
    any_positional: bool
    any_keyword: bool

    @classmethod
    def of(cls, text: str) -> _Parameters:
        (function,) = ast.parse(f"def f{text}: ...").body
        assert isinstance(function, ast.FunctionDef)  # noqa: S101 - it was written as one
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        with_default = positional[len(positional) - len(arguments.defaults) :]
        defaults = dict(zip((a.arg for a in with_default), arguments.defaults, strict=True))
        defaults |= {
            argument.arg: default
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        }
        return cls(
            [argument.arg for argument in positional],
            frozenset(argument.arg for argument in [*arguments.args, *arguments.kwonlyargs]),
            {name: ast.unparse(default) for name, default in defaults.items()},
            arguments.vararg is not None,
            arguments.kwarg is not None,
        )


def differences(before: str, now: str) -> Iterator[str]:
    """How calls that fitted one signature may not fit another, or mean something else."""
    old, new = _Parameters.of(before), _Parameters.of(now)
    for name in sorted(old.keywords - new.keywords):
        if not new.any_keyword:
            yield f"`{name}` cannot be given by keyword any more"
    for place, name in enumerate(old.positional):
        if list(new.positional[place : place + 1]) != [name] and not (
            new.any_positional and place >= len(new.positional)
        ):
            yield f"`{name}` is no longer parameter {place + 1} by position"
    known = {*old.positional, *old.keywords}
    for name in sorted({*new.positional, *new.keywords} - set(new.defaults)):
        if name not in known:
            yield f"`{name}` is new and has no default"
        elif name in old.defaults:
            yield f"`{name}` has no default any more"
    for name, default in old.defaults.items():
        if new.defaults.get(name, default) != default:
            yield f"the default of `{name}` was {default} and is {new.defaults[name]}"


def newer_than(changelog: str, version: str) -> str | None:
    """The part of a changelog above a release; None where that has no heading."""
    parts = re.split(rf"^## \[{re.escape(version)}\]", changelog, maxsplit=1, flags=re.MULTILINE)
    return parts[0] if len(parts) > 1 else None


def version_of(text: str) -> tuple[int, ...]:
    """A version as numbers, to be sorted by."""
    return tuple(map(int, re.findall(r"\d+", text)))


if __name__ == "__main__":
    main()
