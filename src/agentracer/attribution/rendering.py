"""A run as a judge reads it: indexed, grouped by speaker, and unable to speak for us.

Everything that comes from a trace is data. Three things keep it from steering a judge:

- every line of it begins with a gutter (`| `), so that it cannot forge a line of ours;
- tags, chat-template tokens and invisible characters in it are replaced, in *every* slot (task,
  answer, names, prompts, steps): a slot that is left out is the one that gets used;
- steps are named by labels drawn per call. A trace cannot name a step, because it was written
  before its labels were. They are drawn from a key made of the seed and the run, so that the same
  call draws the same ones; whoever fears an author who can compute them sets a seed of his own.

All replacements keep the length, so that a quote found in rendered text is found in the trace.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentracer.attribution import prompts
from agentracer.trace import GroundTruth, Observed

__all__ = ["ABSTAIN", "LETTERS", "Part", "TraceView", "neutralise"]

ABSTAIN = "none"
"""What a judge answers in place of an agent and a label if nobody is to blame."""

LETTERS = "bcdfghjklmnpqrstvwxz"
"""What labels are made of. No vowels: a label is never a word."""

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
_LONGEST_NAME = 80
_LONGEST_PROMPT = 400
_QUOTABLE = 6  # characters; less than that proves nothing


def neutralise(text: str, forbidden: Iterable[str] = ()) -> str:
    """`text` without the power to act as structure; of the same length.

    Args:
        text: from a trace.
        forbidden: the special tokens of the judge's own tokenizer.
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
    # A special token without brackets, such as `[PAD]`'s cousin `PAD_`: its first letter goes.
    return changed if changed != token else "\u00b7" + token[1:]


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    if character == "\r":
        return " "
    return "\ufffd" if unicodedata.category(character) in _HIDDEN else character


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a step: characters `start` to `end` of its text; `number` of `count`."""

    step: int
    start: int
    end: int
    number: int = 1
    count: int = 1


class TraceView:
    """One run under the labels of one call.

    Args:
        run: to be judged.
        truth: the right answer, in the setting w/ G.
        key: what the labels are drawn from, such as the seed.
        defended: False renders as the papers do: plain indices, text as it is. For measuring.
        forbidden: special tokens of the judge's tokenizer.
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
        self.texts = tuple(self._safe(run.text(step)) for step in run.steps)
        count = len(run.steps)
        self.labels = self._draw(key) if defended else tuple(map(str, range(count)))
        self.step_of = {label: index for index, label in enumerate(self.labels)}
        self.names = self._names()
        self.agent_of = {alias: agent for agent, alias in self.names.items()}

    def _safe(self, text: str) -> str:
        return neutralise(text, self._forbidden) if self.defended else text

    def _draw(self, key: str) -> tuple[str, ...]:
        """Distinct labels, none of which stands in brackets anywhere in the run."""
        digest = hashlib.blake2b(digest_size=16, key=key.encode()[:64])
        for step, text in zip(self.run.steps, self.texts, strict=True):
            digest.update(f"{step.agent}\0{text}\0".encode(errors="surrogatepass"))
        draw = random.Random(digest.digest())  # noqa: S311 - the key decides, not the generator
        length = 2 if len(self.texts) <= 100 else 3
        taken = set(re.findall(rf"\[([{LETTERS}]{{{length}}})\]", "\n".join(self.texts)))
        labels: dict[str, None] = {}
        while len(labels) < len(self.texts):
            label = "".join(draw.choices(LETTERS, k=length))
            # Where the run brackets nearly every label there is, longer ones are still free.
            if len(labels) + len(taken) > len(LETTERS) ** length // 2:
                label += draw.choice(LETTERS)
            if label not in taken:
                labels[label] = None
        return tuple(labels)

    def _names(self) -> dict[str, str]:
        """What each agent is called here: its name on one line, without our separators."""
        aliases: dict[str, str] = {}
        for agent in self.run.agent_names:
            plain = " ".join(self._safe(agent).replace("|", "\u00a6").split())[
                :_LONGEST_NAME
            ].strip()
            alias, number = plain or "agent", 1
            while alias in aliases.values() or alias == ABSTAIN:
                number += 1
                alias = f"{plain} ({number})"
            aliases[agent] = alias
        return aliases

    def quoted(self, text: str) -> str:
        """Text of the trace as lines with the gutter."""
        return "\n".join(f"{self._gutter}{line}" for line in text.split("\n"))

    def agent_at(self, step: int) -> str:
        """The agent of a step under the trace's own name."""
        return self.run.steps[step].agent

    def speaker(self, step: int) -> str:
        """The agent of a step under its name here."""
        return self.names[self.run.steps[step].agent]

    def slots(self, *, room: int | None = None) -> dict[str, str]:
        """Task, outcome and agents for a prompt.

        Args:
            room: characters that each of them may have; what is cut says so.
        """
        return {
            "task": self._cut(self.quoted(self._safe(self.run.task)), room),
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
        said = {True: "The run succeeded.", False: "The run failed.", None: "Nobody checked it."}
        lines = [said[outcome.success]]
        if outcome.ending != "finished":
            lines.append(f"It ended in this way: {outcome.ending}.")
        if outcome.answer is not None:
            lines += ["Its answer:", self.quoted(self._safe(outcome.answer))]
        if outcome.error is not None:
            error = f"{outcome.error.type}: {outcome.error.message}"
            lines += ["It raised:", self.quoted(self._safe(error))]
        if self.truth is not None and self.truth.answer is not None:
            lines += ["The right answer:", self.quoted(self._safe(str(self.truth.answer)))]
        if self.truth is not None and self.truth.feedback is not None:
            lines += ["The checker says:", self.quoted(self._safe(self.truth.feedback))]
        return "\n".join(lines)

    def _agents(self) -> str:
        prompts_of = {info.name: info.role or info.system_prompt for info in self.run.agents}
        lines = []
        for agent, alias in self.names.items():
            lines.append(f"{alias}: {self._steps_of(agent)}")
            prompt = self._safe(prompts_of.get(agent) or "")
            if len(prompt) > _LONGEST_PROMPT:
                more = len(prompt) - _LONGEST_PROMPT
                prompt = f"{prompt[:_LONGEST_PROMPT]} ({more:,} more characters are not shown)"
            if prompt:
                lines.append(self.quoted(prompt))
        return "\n".join(lines)

    def _steps_of(self, agent: str) -> str:
        steps = self.run.steps
        return " ".join(self.labels[step.index] for step in steps if step.agent == agent)

    def parts(self) -> list[Part]:
        """Every step as one part."""
        return [Part(index, 0, len(text)) for index, text in enumerate(self.texts)]

    def steps(self, parts: Sequence[Part] | None = None) -> str:
        """Steps in order, under a heading a speaker; gaps between them are said."""
        parts = self.parts() if parts is None else parts
        lines, before = [], None
        for part in parts:
            if before is not None and part.step > before + 1:
                lines.append(f"({part.step - before - 1} steps are not shown here)")
                before = None
            step = self.run.steps[part.step]
            if before is None or self.run.steps[before].agent != step.agent:
                lines.append(f"## {self.speaker(part.step)}")
            lines.append(self.block(part))
            before = part.step
        return "\n".join(lines)

    def block(self, part: Part) -> str:
        """One step: its label, whom it addresses, what it wrote, what it raised."""
        step = self.run.steps[part.step]
        head = f"[{self.labels[part.step]}]"
        if part.count > 1:
            head += f" piece {part.number} of {part.count}"
        if step.to is not None:
            head += f" to {' '.join(self._safe(step.to).split())[:_LONGEST_NAME]}"
        lines = [head, self.quoted(self.texts[part.step][part.start : part.end])]
        if step.error is not None and part.number == part.count:
            raised = f"raised {step.error.type}: {step.error.message}"
            lines.append(self.quoted(self._safe(raised)))
        return "\n".join(lines)

    def verbatim(self, quote: str, step: int) -> str:
        """What `step` really says where a judge quotes it; empty if it says no such thing.

        Gutters, line breaks and runs of blanks do not count, nor does what was neutralised.
        """
        words = [word for word in quote.replace("| ", " ").split() if word != "|"]
        if sum(map(len, words)) < _QUOTABLE:
            return ""
        pattern = r"\s+".join(map(re.escape, words[:200]))
        found = re.search(pattern, self.texts[step])
        return self.run.text(step)[found.start() : found.end()] if found else ""

    def prompt(self, template: str = "trace", *, room: int | None = None, steps: str) -> str:
        """The run in the frame of a prompt file."""
        return prompts.fill(template, steps=steps, **self.slots(room=room))
