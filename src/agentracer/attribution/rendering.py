"""Render a run for the prompt of a judge, with defences against prompt injection.

Everything that comes from a trace is data. Three measures keep it from steering a judge:

- every line of it begins with a gutter (`| `), so that it cannot imitate a line of the prompt;
- tags, chat-template tokens and invisible characters are replaced in *every* slot (task, answer,
  names, prompts, steps);
- steps are named by random labels. A trace cannot name a step, because it was written before its
  labels were drawn. They are drawn from the seed and the run, so that the same call draws the same
  labels. Set a secret seed where the author of a trace could compute them.

All replacements keep the length, so that a quote found in rendered text is found in the trace.

What an agent that was used as a tool returned is shown after its steps, which made it, and not with
the call: there a judge would read it before anyone in the run could.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentracer.attribution import prompts
from agentracer.call_nesting import CallNesting
from agentracer.trace import GroundTruth, Observed, Step, ToolCall

__all__ = ["ABSTAIN", "LETTERS", "StepPiece", "TraceView", "neutralize"]

ABSTAIN = "none"
"""The answer of a judge, instead of agent and label, that blames no step."""

LETTERS = "bcdfghjklmnpqrstvwxz"
"""The letters of labels. Without vowels, so that a label is never a word."""

_TAGS = (
    r"think(?:ing)?|answer|s|bos|eos|pad|unk|tool_?calls?|tool_?response|tools?|system|user"
    r"|assistant|human|instructions?|start_of_turn|end_of_turn|begin_of_text|end_of_text|trace"
)
_STRUCTURE = re.compile(
    rf"<\s*/?\s*(?:{_TAGS})\b[^<>\n]{{0,80}}>"  # our tags and those of chat templates
    r"|<\s*[|\uff5c][^<>\n]{0,80}[|\uff5c]\s*>"  # <|im_start|>, and DeepSeek's fullwidth bars
    r"|<<\s*/?\s*SYS\s*>>|\[\s*/?\s*INST\s*\]"
    r"|\[(?:/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT))\]",
    re.IGNORECASE,
)
_LOOKALIKE = {
    "<": "\u2039",
    ">": "\u203a",
    "[": "\u2045",
    "]": "\u2046",
    "|": "\u00a6",
    "{": "\u2774",
    "}": "\u2775",
}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_NAME_CHARS = 80
_MAX_PROMPT_CHARS = 400
_MIN_QUOTE_CHARS = 6  # a shorter quote is no evidence


def neutralize(text: str, forbidden: Iterable[str] = ()) -> str:
    """Replace tags, special tokens and invisible characters; the length stays the same.

    Args:
        text: from a trace.
        forbidden: the special tokens of the tokenizer of the judge.
    """
    text = _STRUCTURE.sub(_disarm, text)
    for token in forbidden:
        if token in text:
            text = text.replace(token, _disarmed(token))
    # By distinct character: a log has few of them, however long it is.
    return text.translate({ord(character): _shown(character) for character in set(text)})


def _disarm(match: re.Match[str]) -> str:
    return _disarmed(match.group())


def _disarmed(token: str) -> str:
    changed = "".join(_LOOKALIKE.get(character, character) for character in token)
    # A special token without brackets, such as `PAD_`, loses its first letter.
    return changed if changed != token else "\u00b7" + token[1:]


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    if character == "\r":
        return " "
    return "\ufffd" if unicodedata.category(character) in _HIDDEN else character


@dataclass(frozen=True, slots=True)
class StepPiece:
    """Characters `start` to `end` of the text of a step: piece `number` of `count`."""

    step: int
    start: int
    end: int
    number: int = 1
    count: int = 1


class TraceView:
    """One run with the labels of its steps, as prompts show it.

    Args:
        run: the run to judge.
        truth: the right answer, in the setting w/ G.
        key: the labels are drawn from it, such as the seed.
        defended: False renders plain indices and unchanged text, as published methods do; to
            measure the defences.
        forbidden: special tokens of the tokenizer of the judge.
    """

    def __init__(
        self,
        run: Observed,
        truth: GroundTruth | None = None,
        *,
        key: str = "0",
        defended: bool = True,
        forbidden: Iterable[str] = (),
    ) -> None:
        self.run, self.truth, self.defended = run, truth, defended
        self._forbidden = tuple(sorted(filter(None, forbidden), key=lambda t: (-len(t), t)))
        self._gutter = "| " if defended else ""
        self._nesting = CallNesting(run)
        self.texts = tuple(self._safe(self._text(step)) for step in run.steps)
        count = len(run.steps)
        self.labels = self._draw(key) if defended else tuple(map(str, range(count)))
        self.step_of = {label: index for index, label in enumerate(self.labels)}
        self.names = self._names()
        self.agent_of = {alias: agent for agent, alias in self.names.items()}

    def _text(self, step: Step) -> str:
        """What a step wrote and what it was returned by then, then what its end returned."""
        texts = [self.run.text(self._nesting.as_it_ended(step))]
        for ref, call in self._nesting.results_after(step.index):
            if ref.step != step.index:
                caller = self.run.steps[ref.step].agent
                result = _result_text(call)
                returns = f"({call.name}, called by {caller}, returns"
                same = result.strip() == step.content.strip()
                texts.append(f"{returns} this text)" if same else f"{returns}:)\n{result}")
        return "\n".join(texts)

    def _safe(self, text: str) -> str:
        return neutralize(text, self._forbidden) if self.defended else text

    def _draw(self, key: str) -> tuple[str, ...]:
        """Draw distinct labels, none of which occurs in brackets in the run."""
        digest = hashlib.blake2b(digest_size=16, key=key.encode()[:64])
        for step, text in zip(self.run.steps, self.texts, strict=True):
            digest.update(f"{step.agent}\0{text}\0".encode(errors="surrogatepass"))
        draw = random.Random(digest.digest())  # noqa: S311 - the key decides, not the generator
        length = 2 if len(self.texts) <= 100 else 3
        taken = set(re.findall(rf"\[([{LETTERS}]{{{length}}})\]", "\n".join(self.texts)))
        labels: dict[str, None] = {}
        while len(labels) < len(self.texts):
            label = "".join(draw.choices(LETTERS, k=length))
            # If the run contains nearly every label of this length, take longer ones.
            if len(labels) + len(taken) > len(LETTERS) ** length // 2:
                label += draw.choice(LETTERS)
            if label not in taken:
                labels[label] = None
        return tuple(labels)

    def _names(self) -> dict[str, str]:
        """Name the agents for the prompt: on one line, without our separators, all distinct."""
        aliases: dict[str, str] = {}
        for agent in self.run.agent_names:
            plain = " ".join(self._safe(agent).replace("|", "\u00a6").split())[
                :_MAX_NAME_CHARS
            ].strip()
            alias, number = plain or "agent", 1
            while alias in aliases.values() or alias == ABSTAIN:
                number += 1
                alias = f"{plain} ({number})"
            aliases[agent] = alias
        return aliases

    def quoted(self, text: str) -> str:
        """Return text of the trace with the gutter before each line."""
        return "\n".join(f"{self._gutter}{line}" for line in text.split("\n"))

    def untrusted(self, text: str) -> str:
        """Return text from anywhere for a prompt: neutralised, and with the gutter."""
        return self.quoted(self._safe(text))

    def agent_at(self, step: int) -> str:
        """Return the agent of a step, by its name in the trace."""
        return self.run.steps[step].agent

    def speaker(self, step: int) -> str:
        """Return the agent of a step, by its name in the prompt."""
        return self.names[self.run.steps[step].agent]

    def slots(self, *, room: int | None = None) -> dict[str, str]:
        """Return task, outcome and agents for a prompt.

        Args:
            room: characters that each of them may have; a shortened text says so.
        """
        return {
            "task": self._cut(self.untrusted(self.run.task), room),
            "outcome": self._cut(self._outcome(), room),
            "agents": self._cut(self._agents(), room),
        }

    def _cut(self, text: str, room: int | None) -> str:
        if room is None or len(text) <= room:
            return text
        head = text[: max(room - 60, 0)]
        return f"{head}\n({len(text) - len(head):,} more characters are not shown)"

    def _outcome(self) -> str:
        outcome = self.run.outcome
        result = {True: "The run succeeded.", False: "The run failed.", None: "Nobody checked it."}
        lines = [result[outcome.success]]
        if outcome.ending != "finished":
            lines.append(f"It ended in this way: {outcome.ending}.")
        if outcome.answer is not None:
            lines += ["Its answer:", self.untrusted(outcome.answer)]
        if outcome.error is not None:
            error = f"{outcome.error.type}: {outcome.error.message}"
            lines += ["It raised:", self.untrusted(error)]
        if self.truth is not None and self.truth.answer is not None:
            lines += ["The right answer:", self.untrusted(str(self.truth.answer))]
        if self.truth is not None and self.truth.feedback is not None:
            lines += ["The checker says:", self.untrusted(self.truth.feedback)]
        return "\n".join(lines)

    def _agents(self) -> str:
        prompts_of = {info.name: info.role or info.system_prompt for info in self.run.agents}
        lines = []
        for agent, alias in self.names.items():
            lines.append(f"{alias}: {self._steps_of(agent)}")
            prompt = self._safe(prompts_of.get(agent) or "")
            if len(prompt) > _MAX_PROMPT_CHARS:
                more = len(prompt) - _MAX_PROMPT_CHARS
                prompt = f"{prompt[:_MAX_PROMPT_CHARS]} ({more:,} more characters are not shown)"
            if prompt:
                lines.append(self.quoted(prompt))
        return "\n".join(lines)

    def _steps_of(self, agent: str) -> str:
        steps = self.run.steps
        return " ".join(self.labels[step.index] for step in steps if step.agent == agent)

    def pieces(self) -> list[StepPiece]:
        """Return every step as one piece."""
        return [StepPiece(index, 0, len(text)) for index, text in enumerate(self.texts)]

    def steps(self, pieces: Sequence[StepPiece] | None = None) -> str:
        """Render steps in order, with a heading for each change of speaker; gaps are stated."""
        pieces = self.pieces() if pieces is None else pieces
        lines, before = [], None
        for piece in pieces:
            if before is not None and piece.step > before + 1:
                lines.append(f"({piece.step - before - 1} steps are not shown here)")
                before = None
            step = self.run.steps[piece.step]
            if before is None or self.run.steps[before].agent != step.agent:
                lines.append(f"## {self.speaker(piece.step)}")
            lines.append(self.block(piece))
            before = piece.step
        return "\n".join(lines)

    def block(self, piece: StepPiece) -> str:
        """Render one step: its label, addressee, content and error."""
        step = self.run.steps[piece.step]
        head = f"[{self.labels[piece.step]}]"
        if piece.count > 1:
            head += f" piece {piece.number} of {piece.count}"
        if step.to is not None:
            head += f" to {self._name(step.to)}"
        if (ref := self._nesting.enclosing.get(piece.step)) is not None:
            name = self._name(self._nesting.call(ref).name)
            head += f" inside {name}, called in [{self.labels[ref.step]}]"
        lines = [head, self.quoted(self.texts[piece.step][piece.start : piece.end])]
        if step.error is not None and piece.number == piece.count:
            raised = f"raised {step.error.type}: {step.error.message}"
            lines.append(self.quoted(self._safe(raised)))
        return "\n".join(lines)

    def _name(self, name: str) -> str:
        return " ".join(self._safe(name).split())[:_MAX_NAME_CHARS]

    def verbatim(self, quote: str, step: int) -> str:
        """Return the text of `step` that a judge quotes; empty if the step does not contain it.

        Gutters, line breaks, runs of blanks and replaced characters make no difference.
        """
        words = [word for word in quote.replace("| ", " ").split() if word != "|"]
        if sum(map(len, words)) < _MIN_QUOTE_CHARS:
            return ""
        pattern = r"\s+".join(map(re.escape, words[:200]))
        text = self.run.text(step)
        match = re.search(pattern, self._safe(text))
        return text[match.start() : match.end()] if match else ""

    def prompt(self, template: str = "trace", *, room: int | None = None, steps: str) -> str:
        """Return the run in the frame of a prompt file."""
        return prompts.fill(template, steps=steps, **self.slots(room=room))


def _result_text(call: ToolCall) -> str:
    if call.error is not None:
        return f"{call.error.type}: {call.error.message}"
    result = call.result
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
