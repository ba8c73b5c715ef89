"""The method for runs that are longer than the context: overlapping windows, nothing left out.

Each window gives a shortlist. The shortlisted steps are then shown together with their neighbours
for a final judgement, in rounds where they are too many for one prompt. A step that is longer than
a window is read in pieces.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.backends import Judgement
from agentracer.attribution.language_models.base import Reply, Request
from agentracer.attribution.methods.base import JudgeContext, RequestFlow
from agentracer.attribution.rendering import StepPiece

__all__ = ["plan_windows", "windowed", "with_neighbours"]

_OVERLAP = 8  # one eighth of a window is shown again in the next one
_PER_WINDOW = 3
_NEIGHBOURS = 2  # steps before and after a suspect that are shown with it where there is room
_MIN_TOKENS = 96  # for each suspect of a prompt; further suspects are judged in rounds


def windowed(context: JudgeContext) -> RequestFlow:
    """Get a shortlist from each window, then a final judgement."""
    windows = plan_windows(context)
    context.add_note(_windows_note(windows, context.room()))
    steps_of = [sorted({piece.step for piece in window}) for window in windows]
    requests = []
    for number, window in enumerate(windows, start=1):
        question = context.question("ask_window", part=str(number), parts=str(len(windows)))
        body = context.body(pieces=window)
        # The decisive error is in one window, so in each of the others nothing is to blame.
        requests.append(context.blame_request(body, question, steps_of[number - 1], abstain=True))
    results = yield from context.ask(requests, partial(_parse, context, steps_of))
    answers = [samples[0] for samples in results]
    suspects = _suspects(windows, answers)
    unusable = [str(i + 1) for i, answer in enumerate(answers) if isinstance(answer, Unreadable)]
    if unusable:
        context.add_note(f"no usable answer for window {', '.join(unusable)}")
    if not suspects:
        failed = [answer for answer in answers if isinstance(answer, Unreadable)]
        if len(failed) == len(answers):
            return context.abstain_unreadable(failed)
        return Judgement(abstain_reason="the judge blames no step in any window")
    accusations = [a for a in answers if isinstance(a, Answer) and a.step is not None]
    if len(suspects) == 1:
        return context.rank_votes(accusations[:1])
    return (yield from _final(context, suspects, accusations))


def _final(
    context: JudgeContext, suspects: Mapping[int, StepPiece], accusations: Sequence[Answer]
) -> RequestFlow:
    finalists = yield from _narrow_down(context, suspects)
    samples = yield from context.ask_for_blame(
        *_body_and_question(context, finalists), finalists, samples=context.options.samples
    )
    why = "suspected in its window"
    judgement = context.rank_votes(samples, rest=[*finalists, *suspects], why=why)
    if judgement.candidates or not all(isinstance(answer, Unreadable) for answer in samples):
        return judgement
    # Without a final judgement no window has priority: the first one is taken.
    context.add_note("no usable final answer: ranked by the windows alone")
    return context.rank_votes(accusations[:1], rest=list(suspects), why=why)


def _narrow_down(
    context: JudgeContext, suspects: Mapping[int, StepPiece]
) -> Generator[list[Request], list[Reply], dict[int, StepPiece]]:
    """Keep as many suspects as one prompt can show: those who are blamed in groups of that size."""
    size = max((context.room() - 48) // _MIN_TOKENS, 2)
    remaining, rounds = dict(suspects), 0
    while len(remaining) > size:
        steps = sorted(remaining)
        groups = [steps[start : start + size] for start in range(0, len(steps), size)]
        requests = [
            context.blame_request(
                *_body_and_question(context, {step: remaining[step] for step in group}),
                group,
                abstain=True,
            )
            for group in groups
        ]
        results = yield from context.ask(requests, partial(_parse, context, groups))
        blamed = {samples[0].step for samples in results if isinstance(samples[0], Answer)}
        # A group without a blamed step or a usable answer is dropped, unless all groups are.
        remaining = {step: remaining[step] for step in steps if step in blamed} or {
            group[0]: remaining[group[0]] for group in groups
        }
        rounds += 1
    if rounds:
        context.add_note(
            f"{len(suspects)} suspects were narrowed down to {len(remaining)} in rounds: {rounds}"
        )
    return remaining


def _parse(
    context: JudgeContext, groups: Sequence[Sequence[int]], number: int, text: str
) -> Answer | Unreadable:
    return answers.parse_blame(context.style, text, context.view, groups[number])


def _body_and_question(context: JudgeContext, suspects: Mapping[int, StepPiece]) -> tuple[str, str]:
    """Make body and question of a prompt that asks which of the suspects is to blame."""
    labels = " ".join(context.view.labels[step] for step in sorted(suspects))
    body = context.body(pieces=with_neighbours(context, suspects))
    return body, context.question("ask_final", labels=labels)


def plan_windows(context: JudgeContext) -> list[list[StepPiece]]:
    """Split the run into windows: every character of every step is in at least one of them."""
    # A heading and a line about a gap may come on top of each piece.
    room = context.room() - 48
    pieces = [piece for whole in context.view.pieces() for piece in _split(context, whole, room)]
    sizes = [_size(context, piece) for piece in pieces]
    windows, start = [], 0
    while True:
        end, filled = start, 0
        while end < len(pieces) and (end == start or filled + sizes[end] <= room):
            filled += sizes[end]
            end += 1
        windows.append(pieces[start:end])
        if end == len(pieces):
            return windows
        back, repeated = end, 0
        while back - 1 > start and repeated + sizes[back - 1] <= room // _OVERLAP:
            back -= 1
            repeated += sizes[back]
        start = back


def _size(context: JudgeContext, piece: StepPiece) -> int:
    heading = f"## {context.view.speaker(piece.step)}\n"
    return context.model.count_tokens(f"{heading}{context.view.block(piece)}\n")


def _split(context: JudgeContext, whole: StepPiece, room: int) -> Iterator[StepPiece]:
    """Yield a step whole if it fits, else pieces that fit, found by halving it."""
    todo, done = [(whole.start, whole.end)], []
    while todo:
        start, end = todo.pop()
        piece = replace(whole, start=start, end=end, number=1, count=2)
        if end - start > 1 and _size(context, piece) > room:
            middle = _break_point(context.view.texts[whole.step], start, end)
            todo += [(middle, end), (start, middle)]
        else:
            done.append((start, end))
    for number, (start, end) in enumerate(done, start=1):
        yield StepPiece(whole.step, start, end, number, len(done))


def _break_point(text: str, start: int, end: int) -> int:
    """Return the position after a line end near the middle, or after a blank; else the middle."""
    middle = (start + end) // 2
    for separator in "\n ":
        cut = text.rfind(separator, start + (end - start) // 4, middle)
        if cut > start:
            return cut + 1
    return middle


def _suspects(
    windows: Sequence[Sequence[StepPiece]], found: Sequence[Answer | Unreadable]
) -> dict[int, StepPiece]:
    """Return the suspects with the pieces shown, the first choices of all windows first."""
    suspects: dict[int, StepPiece] = {}
    for rank in range(_PER_WINDOW):
        for window, answer in zip(windows, found, strict=True):
            if not isinstance(answer, Answer) or answer.step is None:
                continue
            listed = (answer.step, *answer.also)
            if rank < len(listed) and listed[rank] not in suspects:
                suspects[listed[rank]] = next(
                    piece for piece in window if piece.step == listed[rank]
                )
    return suspects


def with_neighbours(context: JudgeContext, suspects: Mapping[int, StepPiece]) -> list[StepPiece]:
    """Return the pieces of suspected steps, and the steps around them as far as they fit.

    A suspect that is longer than its share is shown from its beginning, and marked as a piece.
    All of it was read before, in a window or by the embedded tracer.
    """
    room = context.room() - 48
    share = max(room // max(len(suspects), 1), 32)
    chosen = {step: _shortened(context, piece, share) for step, piece in suspects.items()}
    left = room - sum(_size(context, piece) for piece in chosen.values())
    pieces = context.view.pieces()
    for distance in range(1, _NEIGHBOURS + 1):
        for step in suspects:
            for near in (step - distance, step + distance):
                if 0 <= near < len(pieces) and near not in chosen:
                    size = _size(context, pieces[near])
                    if size <= left:
                        chosen[near] = pieces[near]
                        left -= size
    return [chosen[step] for step in sorted(chosen)]


def _shortened(context: JudgeContext, piece: StepPiece, room: int) -> StepPiece:
    while _size(context, piece) > room and piece.end - piece.start > 1:
        piece = replace(piece, end=piece.start + (piece.end - piece.start) // 2)
        piece = replace(piece, count=max(piece.count, 2))
    return piece


def _windows_note(windows: Sequence[Sequence[StepPiece]], room: int) -> str:
    names = []
    for window in windows:
        first, last = (_piece_name(window[i]) for i in (0, -1))
        names.append(first if first == last else f"{first} to {last}")
    return (
        f"read in {len(windows)} overlapping windows of at most {room:,} tokens of steps: "
        f"{'; '.join(names)}"
    )


def _piece_name(piece: StepPiece) -> str:
    return str(piece.step) + (f" ({piece.number}/{piece.count})" if piece.count > 1 else "")
