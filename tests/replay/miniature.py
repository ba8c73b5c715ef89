"""A framework in miniature: agents in a row, each a function of what was said before it.

It records and replays through the same recorder and session as the real adapters, so a search on it
is a real one, at a millisecond per run.

The team writes a *document* line by line. Each turn says `<name>: <word>`, and the words decide:

    ok         a turn without error
    bad        an error of its own; the run fails if one is left at the end
    slip/fixed an error that a later turn of the team repairs, by saying `fixed`
    after      says `bad-after` as long as a `bad` was said before, else `ok`: a consequence
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import agentracer
from agentracer.recording import current_run
from agentracer.replay import Override, System
from agentracer.replay.session import UNSET, recorded_error
from agentracer.store import Store

Answer = Callable[[str, list[str]], str]
"""What an agent says, given its name and the lines before it."""


@dataclass
class Miniature:
    """A team of one turn for each name.

    Attributes:
        names: who speaks, in order; a name may come again.
        answer: what they say.
        tool: called after each line of the form `CALL x`, as a tool of that agent.
        model_calls: how many really ran.
        tool_calls: arguments of the tool calls that really ran.
    """

    names: Sequence[str]
    answer: Answer
    tool: Callable[[str], str] = str.upper
    model_calls: int = 0
    tool_calls: list[str] = field(default_factory=list)

    def run(self, task: str = "write") -> list[str]:
        lines: list[str] = [task]
        for turn, name in enumerate(self.names):
            lines.append(self._speak(name, lines))
            if lines[-1].startswith("CALL "):
                lines.append(self._call(name, lines[-1][5:], f"call-{turn}"))
        run = current_run()
        if run is not None:
            run.framework_ended(lines, lines[-1])
        return lines

    async def arun(self, task: str = "write") -> list[str]:
        return self.run(task)

    def _speak(self, name: str, lines: list[str]) -> str:
        run = current_run()
        assert run is not None
        recorder = run.recorder
        reads = [recorder.message("user", line) for line in lines]
        recorder.agent(name)
        usage = {"input_tokens": 10 * len(lines), "output_tokens": 5}
        step = recorder.begin_step(name, reads=reads, attributes={"path": name})
        answer = None
        if run.replay is not None:
            answer = run.replay.model_call(name, recorder.shapes(reads), path=name)
            mode = answer.mode if answer is not None else "live"
            recorder.update_step(step, attributes={"replay": mode})
        if answer is not None:
            if answer.error is not None:
                raise recorded_error(answer.error)
            content, calls = answer.content, answer.tool_calls
        else:
            self.model_calls += 1
            content, calls = self.answer(name, lines), ()
        if content.startswith("CALL ") and not calls:
            calls = ()
            asked = [{"id": f"call-{len(lines)}", "name": "shout", "arguments": content[5:]}]
        else:
            asked = [call.model_dump(mode="json") for call in calls]
        recorder.end_step(step, content=content, usage=usage, tool_calls=asked)
        if asked:
            self._asked = asked[0]
            return f"CALL {asked[0]['arguments']}"
        return content

    def _call(self, name: str, argument: str, _turn: str) -> str:
        run = current_run()
        assert run is not None
        call_id = self._asked["id"]
        answer = None
        if run.replay is not None:
            answer = run.replay.tool_call(
                name, "shout", argument, call_id=call_id, path=name, rewrites=True
            )
        if answer is not None and answer.error is not None:
            step = run.recorder.caller(call_id)
            run.recorder.tool_call(step, id=call_id, error=answer.error.model_dump())
            raise recorded_error(answer.error)
        if answer is None or answer.arguments is not UNSET:
            argument = argument if answer is None else answer.arguments
            self.tool_calls.append(argument)
            result = self.tool(argument)
        else:
            result = answer.result
        step = run.recorder.caller(call_id)
        assert step is not None
        run.recorder.tool_call(step, id=call_id, result=result, ended_at=1.0)
        return str(result)


def record(team: Miniature, check: Any, store: Store | None = None) -> Any:
    """Run the team once, recorded."""
    with agentracer.record("write", check=check, store=store) as run:
        run.result = team.run()
    return run.trace


# -- teams whose truth is planted


@dataclass
class Planted:
    """A pipeline with errors at known places.

    Attributes:
        words: what each turn says: see the module.
    """

    words: Sequence[str]

    def answer(self, name: str, lines: list[str]) -> str:
        turn = int(name.rpartition("-")[2])
        word = self.words[turn]
        said = [line.rpartition(": ")[2] for line in lines]
        if word == "after":
            word = "bad-after" if "bad" in said else "ok"
        if word == "fixed" and "slip" not in said:
            word = "ok"
        return f"{name}: {word}"

    @property
    def names(self) -> list[str]:
        return [f"agent-{turn}" for turn in range(len(self.words))]

    def team(self) -> Miniature:
        return Miniature(self.names, self.answer)

    def correct(self, trace: Any, step: int) -> Override | None:
        """The oracle that knows which turns are errors of their own; consequences it leaves."""
        name, _, word = trace.steps[step].content.partition(": ")
        if word in ("bad", "slip"):
            return Override(step=step, content=f"{name}: ok")
        return None

    def correct_all(self, trace: Any, step: int) -> Override | None:
        """An oracle with something to say about every turn, as a language model's is."""
        name, _, word = trace.steps[step].content.partition(": ")
        return Override(step=step, content=f"{name}: {'fine' if word == 'ok' else 'ok'}")

    def system(self, team: Miniature | None = None, **settings: Any) -> System:
        return System(run=(team or self.team()).run, check=is_good, **settings)


def is_good(lines: Any) -> bool:
    """Whether no error is left."""
    said = [line.rpartition(": ")[2] for line in lines]
    return "bad" not in said and ("slip" not in said or "fixed" in said)
