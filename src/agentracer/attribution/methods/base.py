"""The base of all methods: the context of one run, its requests, and how answers are ranked.

A method is a generator: it yields requests and is sent the replies. It does no input or output of
its own, so that one driver can run many of them at a time, in batches or against a server.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agentracer.attribution import answers, prompts
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.backends import Judgement
from agentracer.attribution.language_models.base import (
    ChatMessage,
    Completion,
    LanguageModel,
    OutputGrammar,
    Prompt,
    Reply,
    Request,
    Sampling,
)
from agentracer.attribution.rendering import StepPiece, TraceView
from agentracer.errors import BackendError
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Evidence

__all__ = ["JudgeContext", "JudgeOptions", "Method", "RequestFlow"]

RequestFlow = Generator[list[Request], list[Reply], Judgement]
"""Yields requests, is sent one reply for each, and returns the judgement."""

T = TypeVar("T")

Method = Callable[["JudgeContext"], RequestFlow]

_MAX_RAW_CHARS = 4_000  # characters of an unusable answer that are sent back, or kept
_QUOTATION = re.compile(r"[\"“”`']([^\"“”`'\n]{8,300})[\"“”`']")
_TEMPLATE_TOKENS = 48  # tokens for the chat template
_MIN_SLOT_CHARS = 200  # of each slot, however small the budget is


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Options of a judge; see `Tracer`.

    `defended` is False only to measure the defences. `abstain` says whether the judge may blame no
    step; None: unless the run is known to have failed.
    """

    method: str = "all-at-once"
    samples: int = 1
    token_budget: int | None = None
    seed: int = 0
    temperature: float | None = None
    defended: bool = True
    answer_tokens: int = 2_048
    abstain: bool | None = None


class JudgeContext:
    """One run, the model that judges it, and the budget of its prompts.

    Args:
        view: the run as the prompt shows it.
        model: the judge.
        options: of the judge.
        budget: tokens of a prompt, without the answer.
        answer_tokens: tokens of an answer.

    Attributes:
        notes: remarks for the verdict.
        usage: model calls that a method made itself, outside its requests.
        prompt_names: names of the prompt files used.
        versions: further facts that the result depends on.
    """

    def __init__(
        self,
        view: TraceView,
        model: LanguageModel,
        options: JudgeOptions,
        *,
        budget: int,
        answer_tokens: int,
    ) -> None:
        self.view, self.model, self.options = view, model, options
        self.budget, self.answer_tokens = budget, answer_tokens
        self.style = model.answer_format
        self.notes: list[str] = []
        self.usage = Usage()
        self.prompt_names: set[str] = {"system"}
        self._room: int | None = None
        self._frames: dict[str, int] = {}
        self.versions: dict[str, str] = {}

    @property
    def all_steps(self) -> range:
        """The indices of all steps."""
        return range(len(self.view.run.steps))

    @property
    def may_abstain(self) -> bool:
        """Whether an answer about the whole run may blame no step."""
        if self.options.abstain is not None:
            return self.options.abstain
        return self.view.run.outcome.success is not False

    def body(self, template: str = "trace", pieces: Sequence[StepPiece] | None = None) -> str:
        """Return the run, or pieces of it, in the frame of a prompt file."""
        self.prompt_names.add(template)
        self._fit_frame(template)
        return self.view.prompt(template, room=self._room, steps=self.view.steps(pieces))

    def room(self, template: str = "trace") -> int:
        """Return the tokens left for steps beside the frame and the question."""
        self._fit_frame(template)
        return self.budget - self._frames[template]

    def _fit_frame(self, template: str) -> None:
        """Shorten task, answers and agents, visibly, where they alone would fill the budget."""
        if template in self._frames:
            return
        longest = max(map(len, self.view.slots().values()))
        while True:
            frame = self.view.prompt(template, room=self._room, steps="")
            taken = (
                self.model.count_tokens(f"{prompts.source('system')}\n{frame}")
                + self._question_tokens()
            )
            if taken <= self.budget // 2 or (self._room or longest) <= _MIN_SLOT_CHARS:
                break
            self._room = max((self._room or longest) // 2, _MIN_SLOT_CHARS)
        if self._room is not None:
            self.add_note(f"task, outcome and agents were cut to {self._room:,} characters each")
        if taken > self.budget - 64:
            raise BackendError(
                f"a budget of {self.budget} tokens leaves no room for the steps: the frame of the "
                f"prompt takes {taken}\n  remedy: raise token_budget, or use a model with more "
                "context"
            )
        self._frames[template] = taken

    def _question_tokens(self) -> int:
        longest = max((prompts.source(n) for n in prompts.names() if n[:4] == "ask_"), key=len)
        instruction, _ = answers.instruction(self.style)
        return self.model.count_tokens(f"{longest}\n{instruction}") + _TEMPLATE_TOKENS

    def fits(self, text: str) -> bool:
        """Whether a text of steps fits beside the frame."""
        # A token is at least one byte, so a short text needs no count.
        room = self.room()
        return len(text.encode(errors="replace")) <= room or self.model.count_tokens(text) <= room

    def longest_prompt(self, requests: Iterable[Request]) -> int:
        """Return the tokens of the longest of some prompts, without those of the chat template."""
        texts = ("\n".join(turn.content for turn in request.prompt) for request in requests)
        return max(map(self.model.count_tokens, texts), default=0)

    def add_note(self, text: str) -> None:
        """Add a remark on how the result was reached, once."""
        if text not in self.notes:
            self.notes.append(text)

    def question(self, name: str, **slots: str) -> str:
        """Return the question of a prompt file."""
        self.prompt_names.add(name)
        return prompts.fill(name, **slots)

    def prompt(self, body: str, question: str, instruction: str = "") -> Prompt:
        """Make the two messages; what differs between calls comes last, for prefix caches."""
        user = "\n".join(filter(None, (body, question, instruction)))
        return (ChatMessage("system", prompts.source("system")), ChatMessage("user", user))

    def blame_request(
        self,
        body: str,
        question: str,
        steps: Iterable[int],
        *,
        samples: int = 1,
        abstain: bool | None = None,
    ) -> Request:
        """Make the request that asks which of these steps is to blame.

        Args:
            body: the run, or a part of it.
            question: what is asked.
            steps: indices of the steps that may be named.
            samples: answers to draw.
            abstain: whether an answer may blame no step; as `may_abstain` says if None.
        """
        allowed = self.may_abstain if abstain is None else abstain
        instruction, names = answers.instruction(self.style, abstain=allowed)
        self.prompt_names.update(names)
        grammar = answers.blame_grammar(
            self.style, self.view, list(steps), room=self.answer_tokens, abstain=allowed
        )
        return Request(self.prompt(body, question, instruction), grammar, self._sampling(samples))

    def choice_request(self, body: str, question: str, choices: Sequence[str]) -> Request:
        """Make the request that asks for one of a few words."""
        instruction, names = answers.instruction(self.style, choices)
        self.prompt_names.update(names)
        grammar = answers.choice_grammar(self.style, choices, room=self.answer_tokens)
        return Request(self.prompt(body, question, instruction), grammar, self._sampling(1))

    def list_request(self, body: str, question: str, most: int) -> Request:
        """Make the request that asks for a list of at most `most` sentences."""
        instruction, names = answers.list_instruction(self.style)
        self.prompt_names.update(names)
        grammar = answers.list_grammar(self.style, most)
        return Request(self.prompt(body, question, instruction), grammar, self._sampling(1))

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

    def ask(
        self, requests: list[Request], read: Callable[[int, str], T | Unreadable]
    ) -> Generator[list[Request], list[Reply], list[list[T | Unreadable]]]:
        """Send requests, and parse the answers; an answer that cannot be parsed is asked for again.

        Args:
            requests: to be sent together.
            read: parses a text, given the position of its request.

        Raises:
            BackendError: the model failed on one of them.
        """
        replies = yield requests
        answers_of = [
            [read(i, completion.text) for completion in _completions(reply)]
            for i, reply in enumerate(replies)
        ]
        repairs: list[tuple[int, int, Request]] = []
        for i, group in enumerate(answers_of):
            for j, answer in enumerate(group):
                if isinstance(answer, Unreadable):
                    repairs.append((i, j, self._repair(requests[i], answer, j)))
        if repairs:
            replies = yield [request for _, _, request in repairs]
            for (i, j, _), reply in zip(repairs, replies, strict=True):
                # The first text is kept where the second try fails altogether.
                if isinstance(reply, list) and reply:
                    answers_of[i][j] = read(i, reply[0].text)
        return answers_of

    def _repair(self, request: Request, failed: Unreadable, sample: int) -> Request:
        self.prompt_names.add("repair")
        turns = (
            ChatMessage("assistant", failed.text[-_MAX_RAW_CHARS:]),
            ChatMessage("user", prompts.fill("repair", problem=failed.problem)),
        )
        sampling = replace(request.sampling, n=1, seed=request.sampling.seed + sample)
        return Request((*request.prompt, *turns), _without_reasoning(request.grammar), sampling)

    def ask_for_blame(
        self, body: str, question: str, steps: Iterable[int], *, samples: int = 1
    ) -> Generator[list[Request], list[Reply], list[Answer | Unreadable]]:
        """Ask once which step is to blame, and return the answers of all samples."""
        steps = list(steps)
        request = self.blame_request(body, question, steps, samples=samples)
        results = yield from self.ask(
            [request],
            lambda _, text: answers.parse_blame(
                self.style, text, self.view, steps, abstain=self.may_abstain
            ),
        )
        return results[0]

    def candidate(
        self,
        step: int,
        answer: Answer | None = None,
        *,
        reason: str = "",
        probability: float | None = None,
    ) -> Candidate:
        """Make the candidate for a step. The reason in the answer has priority over `reason`."""
        own = answer if answer is not None and answer.step == step else None
        return Candidate(
            agent=self.view.run.steps[step].agent,
            step=step,
            reason=(own.reason if own else "") or reason,
            evidence=self.evidence(own) if own else (),
            probability=probability,
        )

    def evidence(self, answer: Answer) -> tuple[Evidence, ...]:
        """Return what the answer quotes, if the step really contains it word by word."""
        assert answer.step is not None  # noqa: S101 - for the type checker
        quotes = [answer.quote] if answer.quote else _QUOTATION.findall(answer.reason)[:20]
        for quote in quotes:
            verbatim = self.view.verbatim(quote, answer.step)
            if verbatim:
                return (Evidence(step=answer.step, says="quoted by the judge", quote=verbatim),)
        if answer.quote:
            self.add_note("the judge's quote is not in the step that it blames, and was dropped")
        return ()

    def rank_votes(
        self, samples: Sequence[Answer | Unreadable], rest: Sequence[int] = (), why: str = ""
    ) -> Judgement:
        """Rank the steps by votes: most votes first, then further suspects, then `rest`.

        Args:
            samples: the answers to one question.
            rest: steps to list after those that an answer names.
            why: the reason given for the steps of `rest`.
        """
        readable = [answer for answer in samples if isinstance(answer, Answer)]
        if not readable:
            return self.abstain_unreadable([a for a in samples if isinstance(a, Unreadable)])
        votes = Counter(answer.step for answer in readable if answer.step is not None)
        abstentions = sum(answer.step is None for answer in readable)
        for answer in readable:
            if answer.note:
                self.add_note(answer.note)
        if not votes or abstentions > max(votes.values()):
            return Judgement(
                reason=next((answer.reason for answer in readable if answer.step is None), ""),
                abstain_reason="the judge blames no step",
            )
        first: dict[int, Answer] = {}
        for answer in readable:
            if answer.step is not None:
                first.setdefault(answer.step, answer)
        order = sorted(first, key=lambda step: (-votes[step], step))
        others = [step for answer in readable for step in answer.also]
        total, several = len(samples), len(samples) > 1
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
        return Judgement(
            candidates=candidates,
            agents={agent: count / total for agent, count in shares.items()} if several else {},
            confidence=votes[order[0]] / total if several else None,
        )

    def abstain_unreadable(self, failed: Sequence[Unreadable]) -> Judgement:
        """Abstain, and keep what the model wrote as the reason."""
        last = failed[-1] if failed else Unreadable("the model wrote nothing", "")
        text = last.text
        if len(text) > _MAX_RAW_CHARS:
            text = f"{text[:_MAX_RAW_CHARS]} ({len(text) - _MAX_RAW_CHARS:,} more characters)"
        return Judgement(
            reason=f"the model wrote: {text!r}",
            abstain_reason=f"the model's answer cannot be used, twice: {last.problem}",
        )


def _completions(reply: Reply) -> list[Completion]:
    if isinstance(reply, BackendError):
        raise reply
    return reply


def _without_reasoning(grammar: OutputGrammar) -> OutputGrammar:
    """Return the grammar of the answer alone: a repeated request leaves the reasoning out."""
    return OutputGrammar(choices=grammar.choices, json_schema=grammar.json_schema)
