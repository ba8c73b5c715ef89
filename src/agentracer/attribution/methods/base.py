"""What the methods share: a case to judge, how it asks, and what it finds.

A method is a generator: it yields requests and is sent the replies. It therefore knows nothing of
threads, batches and servers, and many cases can be driven side by side, each at its own pace.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field

from agentracer.attribution import answers, prompts
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.language_models.base import (
    Completion,
    Form,
    LanguageModel,
    Prompt,
    Reply,
    Request,
    Sampling,
    Turn,
)
from agentracer.attribution.rendering import Part, TraceView
from agentracer.errors import BackendError
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Evidence

__all__ = ["Case", "Finding", "Method", "Options", "Steps"]

Steps = Generator[list[Request], list[Reply], "Finding"]
Method = Callable[["Case"], Steps]

_LONGEST_RAW = 4_000  # characters of an unusable answer that are sent back, or kept
_QUOTED = re.compile(r"[\"“”`']([^\"“”`'\n]{8,300})[\"“”`']")
_SPARE = 48  # tokens for the chat template
_CHARACTERS_KEPT = 200  # of each slot, however small the budget is


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a judge works; see `Tracer`. `answer_tokens` bounds one answer with its reasoning."""

    method: str = "all-at-once"
    samples: int = 1
    token_budget: int | None = None
    seed: int = 0
    temperature: float | None = None
    defended: bool = True
    answer_tokens: int = 2_048


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a method found; empty candidates need a reason to abstain."""

    candidates: tuple[Candidate, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    reason: str = ""
    abstain_reason: str | None = None


class Case:
    """One run, the model that judges it, and the budget.

    Args:
        view: the run as it is shown.
        model: the judge.
        options: how it works.
        budget: tokens of a prompt, without the answer.
        answer_tokens: tokens of an answer.
    """

    def __init__(
        self,
        view: TraceView,
        model: LanguageModel,
        options: Options,
        *,
        budget: int,
        answer_tokens: int,
    ) -> None:
        self.view, self.model, self.options = view, model, options
        self.budget, self.answer_tokens = budget, answer_tokens
        self.style = model.answer_format
        self.notes: list[str] = []
        self.usage = Usage()
        self.used: set[str] = {"system"}
        self._room: int | None = None
        self._frames: dict[str, int] = {}
        self.versions: dict[str, str] = {}

    @property
    def all_steps(self) -> range:
        """Every step of the run."""
        return range(len(self.view.run.steps))

    def body(self, template: str = "trace", parts: Sequence[Part] | None = None) -> str:
        """The run, or parts of it, in the frame of a prompt file."""
        self.used.add(template)
        self._fit_frame(template)
        return self.view.prompt(template, room=self._room, steps=self.view.steps(parts))

    def room(self, template: str = "trace") -> int:
        """Tokens left for steps beside the frame and the question."""
        self._fit_frame(template)
        return self.budget - self._frames[template]

    def _fit_frame(self, template: str) -> None:
        """Shorten task, answers and agents, visibly, where they alone would fill the budget."""
        if template in self._frames:
            return
        longest = max(map(len, self.view.slots().values()))
        while True:
            frame = self.view.prompt(template, room=self._room, steps="")
            taken = self.model.count_tokens(f"{prompts.source('system')}\n{frame}") + self._asked()
            if taken <= self.budget // 2 or (self._room or longest) <= _CHARACTERS_KEPT:
                break
            self._room = max((self._room or longest) // 2, _CHARACTERS_KEPT)
        if self._room is not None:
            self.note(f"task, outcome and agents were cut to {self._room:,} characters each")
        if taken > self.budget - 64:
            raise BackendError(
                f"a budget of {self.budget} tokens leaves no room for the steps: the frame of the "
                f"prompt takes {taken}\n  remedy: raise token_budget, or use a model with more "
                "context"
            )
        self._frames[template] = taken

    def _asked(self) -> int:
        longest = max((prompts.source(n) for n in prompts.names() if n[:4] == "ask_"), key=len)
        told, _ = answers.instruction(self.style)
        return self.model.count_tokens(f"{longest}\n{told}") + _SPARE

    def fits(self, text: str) -> bool:
        """Whether a text of steps fits beside the frame. Counts only where bytes do not tell."""
        room = self.room()
        return len(text.encode(errors="replace")) <= room or self.model.count_tokens(text) <= room

    def longest(self, requests: Iterable[Request]) -> int:
        """Tokens of the longest of some prompts, without what the chat template adds."""
        texts = ("\n".join(turn.content for turn in request.prompt) for request in requests)
        return max(map(self.model.count_tokens, texts), default=0)

    def note(self, what: str) -> None:
        """Something that the verdict has to say about how it came about."""
        if what not in self.notes:
            self.notes.append(what)

    def question(self, name: str, **slots: str) -> str:
        """The question of a prompt file."""
        self.used.add(name)
        return prompts.fill(name, **slots)

    def prompt(self, body: str, question: str, told: str = "") -> Prompt:
        """System and user turn; what changes from call to call comes last, for prefix caches."""
        user = "\n".join(filter(None, (body, question, told)))
        return (Turn("system", prompts.source("system")), Turn("user", user))

    def blame_request(
        self, body: str, question: str, steps: Iterable[int], *, samples: int = 1
    ) -> Request:
        """Who is to blame, out of these steps?"""
        told, name = answers.instruction(self.style)
        self.used.add(name)
        form = answers.blame_form(self.style, self.view, list(steps), room=self.answer_tokens)
        return Request(self.prompt(body, question, told), form, self._sampling(samples))

    def choice_request(self, body: str, question: str, choices: Sequence[str]) -> Request:
        """Which of a few words?"""
        told, name = answers.instruction(self.style, choices)
        self.used.add(name)
        form = answers.choice_form(self.style, choices, room=self.answer_tokens)
        return Request(self.prompt(body, question, told), form, self._sampling(1))

    def _sampling(self, samples: int) -> Sampling:
        temperature = self.options.temperature
        if temperature is None:
            temperature = 0.7 if samples > 1 else 0.0
        return Sampling(
            n=samples,
            temperature=temperature,
            seed=self.options.seed,
            max_tokens=self.answer_tokens,
        )

    def asked(
        self, requests: list[Request], read: Callable[[int, str], Answer | str | Unreadable]
    ) -> Generator[list[Request], list[Reply], list[list[Answer | str | Unreadable]]]:
        """Answers to requests, each unusable one asked for once more.

        Args:
            requests: to be sent together.
            read: parses a text, given the position of its request.

        Raises:
            BackendError: the model failed on one of them.
        """
        replies = yield requests
        said = [[read(i, one.text) for one in _good(reply)] for i, reply in enumerate(replies)]
        again: list[tuple[int, int, Request]] = []
        for i, group in enumerate(said):
            for j, one in enumerate(group):
                if isinstance(one, Unreadable):
                    again.append((i, j, self._repair(requests[i], one, j)))
        if again:
            replies = yield [request for _, _, request in again]
            for (i, j, _), reply in zip(again, replies, strict=True):
                # The first text is kept where the second try fails altogether.
                if isinstance(reply, list) and reply:
                    said[i][j] = read(i, reply[0].text)
        return said

    def _repair(self, request: Request, failed: Unreadable, sample: int) -> Request:
        self.used.add("repair")
        turns = (
            Turn("assistant", failed.text[-_LONGEST_RAW:]),
            Turn("user", prompts.fill("repair", problem=failed.problem)),
        )
        drawn = request.sampling
        once = Sampling(
            n=1,
            temperature=drawn.temperature,
            seed=drawn.seed + sample,
            max_tokens=drawn.max_tokens,
        )
        return Request((*request.prompt, *turns), _without_reasoning(request.form), once)

    def blamed(
        self, body: str, question: str, steps: Iterable[int], *, samples: int = 1
    ) -> Generator[list[Request], list[Reply], list[Answer | Unreadable]]:
        """The answers of n samples to one question of blame."""
        steps = list(steps)
        request = self.blame_request(body, question, steps, samples=samples)
        said = yield from self.asked(
            [request], lambda _, text: answers.parse_blame(self.style, text, self.view, steps)
        )
        return [one for one in said[0] if not isinstance(one, str)]

    def candidate(
        self,
        step: int,
        answer: Answer | None = None,
        *,
        reason: str = "",
        probability: float | None = None,
    ) -> Candidate:
        """A step with what speaks for it; what the judge says of it goes before `reason`."""
        said = answer if answer is not None and answer.step == step else None
        return Candidate(
            agent=self.view.run.steps[step].agent,
            step=step,
            reason=(said.reason if said else "") or reason,
            evidence=self.evidence(said) if said else (),
            probability=probability,
        )

    def evidence(self, answer: Answer) -> tuple[Evidence, ...]:
        """What the answer quotes and the step really says, word by word."""
        assert answer.step is not None  # noqa: S101 - for the type checker
        quotes = [answer.quote] if answer.quote else _QUOTED.findall(answer.reason)[:20]
        for quote in quotes:
            found = self.view.verbatim(quote, answer.step)
            if found:
                return (Evidence(step=answer.step, says="quoted by the judge", quote=found),)
        if answer.quote:
            self.note("the judge's quote is not in the step that it blames, and was dropped")
        return ()

    def counted(
        self, said: Sequence[Answer | Unreadable], rest: Sequence[int] = (), why: str = ""
    ) -> Finding:
        """Votes into a ranking: most votes first, then other suspicions, then `rest`."""
        readable = [one for one in said if isinstance(one, Answer)]
        if not readable:
            return self.unreadable([one for one in said if isinstance(one, Unreadable)])
        votes = Counter(one.step for one in readable if one.step is not None)
        nobody = sum(one.step is None for one in readable)
        for one in readable:
            if one.note:
                self.note(one.note)
        if not votes or nobody > max(votes.values()):
            return Finding(
                reason=next((one.reason for one in readable if one.step is None), ""),
                abstain_reason="the judge blames no step",
            )
        first: dict[int, Answer] = {}
        for one in readable:
            if one.step is not None:
                first.setdefault(one.step, one)
        order = sorted(first, key=lambda step: (-votes[step], step))
        others = [step for one in readable for step in one.also]
        total, several = len(said), len(said) > 1
        ranked = dict.fromkeys([*order, *others, *rest])
        candidates = tuple(
            self.candidate(
                step,
                first.get(step),
                probability=votes[step] / total if several and step in votes else None,
                reason=why if step in rest else "also suspected by the judge",
            )
            for step in ranked
        )
        shares: Counter[str] = Counter()
        for step, count in votes.items():
            shares[self.view.run.steps[step].agent] += count
        return Finding(
            candidates=candidates,
            shares={agent: count / total for agent, count in shares.items()} if several else {},
            confidence=votes[order[0]] / total if several else None,
        )

    def unreadable(self, failed: Sequence[Unreadable]) -> Finding:
        """An abstention that keeps what the model wrote."""
        last = failed[-1] if failed else Unreadable("the model wrote nothing", "")
        text = last.text
        if len(text) > _LONGEST_RAW:
            text = f"{text[:_LONGEST_RAW]} ({len(text) - _LONGEST_RAW:,} more characters)"
        return Finding(
            reason=f"the model wrote: {text!r}",
            abstain_reason=f"the model's answer cannot be used, twice: {last.problem}",
        )


def _good(reply: Reply) -> list[Completion]:
    if isinstance(reply, BackendError):
        raise reply
    return reply


def _without_reasoning(form: Form) -> Form:
    """The second time only the answer is wanted: reasoning is what went on for too long."""
    return Form(slots=form.slots, schema=form.schema)
