"""Work that the run does not get: lost code, cut answers, calls that nothing runs, loops.

Each finding is read from the run alone: the task names a function that one step defines and the
answer lacks; the answer has as many tokens as its model was allowed to write; a message is nothing
but tool calls written as text; agents say word for word what they said before. Linear in the text
of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.history import Mention, line_around
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.system_conventions import CHAT_END
from agentracer.attribution.embedded.text.unwrap import as_text
from agentracer.trace import Observed, Step, ToolCall

__all__ = ["KINDS", "check_lost_work"]

KINDS = FindingKinds()
"""What this check reports."""

_DROPS_CODE = KINDS.decisive(
    "drops_code",
    "hands in an answer without the function that the task asks for",
    detail="{place} defines {name}; here it is missing",
)
_RUNS_WITHOUT_DEFINITION = KINDS.decisive(
    "runs_without_definition",
    "runs code without the function that its message defines, and the function is lost",
    detail="{tool} returned NameError for {name}; step {end} hands in an answer without it",
)
_CUT_AT_LIMIT = KINDS.decisive(
    "cut_at_limit",
    "hands in an answer that was cut",
    detail="it has {tokens} tokens, as many as the model was allowed to write",
)
_CALL_AS_TEXT = KINDS.decisive(
    "call_as_text",
    "writes tool calls as text, which ran nothing",
    detail="{name}{remark}",
)
_STARTS_LOOP = KINDS.decisive(
    "starts_loop",
    "says what is then said again, word for word, and brings nothing new",
    detail="again at {places}",
)
_REPEATS_CALL = KINDS.decisive(
    "repeats_call",
    "makes a tool call that is then made again and again, with the same outcome, to the end",
    detail="{tool} again at {places}",
)

_ASKED_FUNCTION = re.compile(
    r"`(?:def )?([A-Za-z_]\w{2,})\(|\bfunction (?:called |named )?`(\w{3,})`"
)
_WRITES_FILES = re.compile(
    r"write|save|create|edit|patch|append|file|submit|str_replace", re.IGNORECASE
)
_FENCES = re.compile(
    r"```(?:json|tool_call|tool)?|</?tool_calls?>|<\|?tool_call\|?>", re.IGNORECASE
)
_BEGUN_CALL = re.compile(r'\{\s*"name"\s*:\s*"([\w.-]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*\{')
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
_TOKEN_LIMITS = (
    *("max_tokens", "max_completion_tokens", "max_output_tokens"),
    *("max_new_tokens", "num_predict"),
)
_LONGEST_CALL = 20_000  # characters of a message that is read as calls
_FEWEST_REPETITIONS = 3  # of one message of an agent, the first one among them
_SHOWN_PLACES = 3


def check_lost_work(signals: Signals) -> FindingLog:
    """Look for work that the run does not get.

    Args:
        signals: of the run.
    """
    findings = FindingLog(KINDS, len(signals.run.steps))
    steps = [step for step in signals.run.steps if step.index not in signals.quoting]
    answer = _answer(signals.run)
    last = next((step for step in reversed(steps) if _handed_in(step, answer)), None)
    if last is not None:
        asked_functions = _asked_functions(signals.run.task)
        _check_code(signals.run, steps, last, asked_functions, findings)
        _check_length(last, asked_functions, findings)
    _check_calls(signals.run, steps, findings)
    _check_repetition(steps, findings)
    return findings


# -- code that is not handed in


def _asked_functions(task: str) -> list[str]:
    """The names of the functions that a task asks for."""
    return list(dict.fromkeys(match[1] or match[2] for match in _ASKED_FUNCTION.finditer(task)))


def _answer(run: Observed) -> str:
    return (run.outcome.answer or "").strip()


def _check_code(
    run: Observed,
    steps: Sequence[Step],
    last: Step,
    asked_functions: Sequence[str],
    findings: FindingLog,
) -> None:
    """Report the message that becomes the answer and lacks the function that an earlier one has."""
    for name in asked_functions:
        defines = re.compile(rf"\bdef\s+{re.escape(name)}\s*\(|\b{re.escape(name)}\s*=\s*lambda\b")
        if defines.search(_answer(run) or last.content) or defines.search(last.content):
            continue
        if any(_writes_file(step, defines) for step in run.steps):
            return
        source = next((s for s in steps[: steps.index(last)] if defines.search(s.content)), None)
        if source is not None:
            match = defines.search(source.content)
            start = match.start() if match else 0
            mention = Mention(source.index, False, name, line_around(source.content, start))
            findings.add(
                last.index,
                _DROPS_CODE,
                quote=line_around(last.content.strip(), 0),
                source=mention,
                place=f"step {source.index}",
                name=f"`{name}`",
            )
            _report_run_without_definition(source, name, last, findings)
            return


def _report_run_without_definition(
    source: Step, name: str, last: Step, findings: FindingLog
) -> None:
    failure = f"NameError: name '{name}' is not defined"
    for call in source.tool_calls:
        if failure in as_text(call.result) or failure in _outcome(call):
            findings.add(
                source.index,
                _RUNS_WITHOUT_DEFINITION,
                quote=line_around(as_text(call.arguments), 0),
                tool=call.name,
                name=f"`{name}`",
                end=last.index,
            )


def _handed_in(step: Step, answer: str) -> bool:
    """Whether a step's message is the answer of the run; any message, if the answer is unknown."""
    text = CHAT_END.sub("", step.content).strip()
    if not text or step.tool_calls:
        return False
    return not answer or text == answer or (len(text) > len(answer) // 2 and text in answer)


def _writes_file(step: Step, defines: re.Pattern[str]) -> bool:
    return any(
        _WRITES_FILES.search(call.name)
        and defines.search(as_text(call.arguments).replace("\\n", "\n"))
        for call in step.tool_calls
    )


def _check_length(last: Step, asked_functions: Sequence[str], findings: FindingLog) -> None:
    """Report the message that becomes the answer if it ends where its model had to stop."""
    if last.model is None or last.usage is None or not isinstance(last.model.parameters, dict):
        return
    parameters = last.model.parameters
    limits = [limit for key in _TOKEN_LIMITS if isinstance(limit := parameters.get(key), int)]
    tokens = last.usage.output_tokens or 0
    text = last.content.strip()
    if limits and 0 < min(limits) <= tokens and _lacks_its_end(text, asked_functions):
        findings.add(
            last.index, _CUT_AT_LIMIT, quote=line_around(text, len(text) - 1), tokens=tokens
        )


def _lacks_its_end(text: str, asked_functions: Sequence[str]) -> bool:
    """Whether a text that was cut lacks more than remarks: its last code block, or any end.

    Behind a complete block of code there are mostly explanations.
    """
    blocks = text.split("```")
    if len(blocks) % 2:
        return len(blocks) == 1
    complete = "".join(blocks[1:-1:2])
    return not any(
        f"def {name}" in complete or _ends_before(name, blocks[-1]) for name in asked_functions
    )


def _ends_before(name: str, code: str) -> bool:
    """Whether a function is followed by something else in code that was cut."""
    _, found, rest = code.partition(f"def {name}")
    return bool(found) and any(line[:1].strip() for line in rest.split("\n")[1:])


# -- calls as text


def _check_calls(run: Observed, steps: Sequence[Step], findings: FindingLog) -> None:
    """Report messages of agents with tools that are calls in their form, and called nothing."""
    tools = {agent.name: {tool.name for tool in agent.tools} for agent in run.agents}
    for step in steps:
        offered = tools.get(step.agent)
        if not offered or step.kind != "llm" or step.tool_calls:
            continue
        names = _calls(step.content)
        if names:
            unknown = next((name for name in names if name not in offered), None)
            remark = "" if unknown is None else ", no tool that it was offered"
            findings.add(
                step.index,
                _CALL_AS_TEXT,
                quote=line_around(step.content, step.content.find(names[0])),
                name=f"`{unknown or names[0]}`",
                remark=remark,
            )


def _calls(text: str) -> list[str]:
    """The names of the calls of a text that consists of calls, and perhaps of their results."""
    text = _FENCES.sub(" ", text.strip()).strip() if len(text) <= _LONGEST_CALL else ""
    if not text.startswith(("{", "[")):
        return []
    decoder, position = json.JSONDecoder(), 0
    names: list[str] = []
    while position < len(text):
        try:
            item, position = decoder.raw_decode(text, position)
        except ValueError:  # no JSON, or a call that is not well-formed: nothing could run it
            if begun := _BEGUN_CALL.match(text, position):
                return [*names, begun[1]]
            return []
        for entry in item if isinstance(item, list) else [item]:
            if not isinstance(entry, dict):
                return []
            name = entry.get("name")
            if isinstance(name, str) and any(key in entry for key in _ARGUMENT_KEYS):
                names.append(name)
            elif not names:
                return []
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
    return names


# -- loops


def _check_repetition(steps: Sequence[Step], findings: FindingLog) -> None:
    """Report the first of the messages that an agent writes again and again in a row.

    What others do in between has to repeat, too: an agent may give the same answer to different
    questions.
    """
    acting = [step for step in steps if step.kind != "node"]  # others count and pass on
    actions = [_action(step) for step in acting]
    own: dict[str, list[int]] = {}
    for position, step in enumerate(acting):
        own.setdefault(step.agent, []).append(position)
    loops = [
        loop
        for positions in own.values()
        for loop in _loops(positions, actions)
        if not acting[loop[0]].tool_calls or loop[-1] == positions[-1]  # others were left
    ]
    if not loops:
        return
    first = [acting[position] for position in min(loops)]
    names = [f"step {step.index}" for step in first[1 : 1 + _SHOWN_PLACES]]
    more = len(first) - 1 - len(names)
    places = ", ".join(names) + (f" and {more} more" if more else "")
    start = first[0]
    if start.tool_calls:
        call = start.tool_calls[0]
        quote = line_around(as_text(call.arguments), 0)
        findings.add(start.index, _REPEATS_CALL, quote=quote, tool=call.name, places=places)
    else:
        quote = line_around(start.content.strip(), 0)
        findings.add(start.index, _STARTS_LOOP, quote=quote, places=places)


_Action = tuple[str, tuple[tuple[str, str, str], ...]]


def _loops(positions: Sequence[int], actions: Sequence[_Action | None]) -> Iterator[list[int]]:
    """Where an agent repeats its action, and all that was done since then repeats as well."""
    loop: list[int] = []
    for position in positions:
        if loop and _goes_on(loop, position, actions):
            loop.append(position)
            continue
        if len(loop) >= _FEWEST_REPETITIONS:
            yield loop
        loop = [position] if actions[position] is not None else []
    if len(loop) >= _FEWEST_REPETITIONS:
        yield loop


def _goes_on(loop: Sequence[int], position: int, actions: Sequence[_Action | None]) -> bool:
    if actions[position] != actions[loop[0]]:
        return False
    between = actions[loop[-1] + 1 : position]
    return len(loop) == 1 or between == actions[loop[-2] + 1 : loop[-1]]


def _action(step: Step) -> _Action | None:
    """What a step says, and its calls with their results; None if that is nothing."""
    text = " ".join(CHAT_END.sub("", step.content).split())
    calls = tuple(
        (call.name, as_text(call.arguments), _outcome(call)[:_LONGEST_CALL])
        for call in step.tool_calls
    )
    return (text, calls) if (text and not step.tool_calls) or calls else None


def _outcome(call: ToolCall) -> str:
    return call.error.message if call.error is not None else as_text(call.result)
