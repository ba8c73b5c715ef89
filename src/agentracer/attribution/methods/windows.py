"""Runs that are longer than the context: read in overlapping windows, never cut.

Each window yields a shortlist; the shortlisted steps are then shown together, with what stands
around them, for a final judgement: in rounds, where they are too many for one prompt. A step that
is longer than a window is read in pieces.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.language_models.base import Reply, Request
from agentracer.attribution.methods.base import Case, Finding, Steps
from agentracer.attribution.rendering import Part

__all__ = ["plan", "surroundings", "windowed"]

_OVERLAP = 8  # one part in so many of a window is shown again in the next one
_PER_WINDOW = 3
_AROUND = 2  # steps before and after a suspect that are shown with it where there is room
_LEAST = 96  # tokens that a suspect is shown with; more suspects than that are judged in rounds


def windowed(case: Case) -> Steps:
    """A shortlist from each window, then a final judgement."""
    windows = plan(case)
    case.note(_told(windows, case.room()))
    steps_of = [sorted({part.step for part in window}) for window in windows]
    requests = []
    for number, window in enumerate(windows, start=1):
        question = case.question("ask_window", part=str(number), parts=str(len(windows)))
        body = case.body(parts=window)
        requests.append(case.blame_request(body, question, steps_of[number - 1]))
    said = yield from case.asked(
        requests,
        lambda i, text: answers.parse_blame(case.style, text, case.view, steps_of[i]),
    )
    answered = [one[0] for one in said]
    suspects = _suspects(windows, answered)
    unread = [str(i + 1) for i, one in enumerate(answered) if isinstance(one, Unreadable)]
    if unread:
        case.note(f"no usable answer for window {', '.join(unread)}")
    if not suspects:
        failed = [one for one in answered if isinstance(one, Unreadable)]
        if len(failed) == len(answered):
            return case.unreadable(failed)
        return Finding(abstain_reason="the judge blames no step in any window")
    blaming = [one for one in answered if isinstance(one, Answer) and one.step is not None]
    if len(suspects) == 1:
        return case.counted(blaming[:1])
    return (yield from _final(case, suspects, blaming))


def _final(case: Case, suspects: Mapping[int, Part], windows: Sequence[Answer]) -> Steps:
    left = yield from _heats(case, suspects)
    said = yield from case.blamed(*_shown(case, left), left, samples=case.options.samples)
    finding = case.counted(said, rest=[*left, *suspects], why="suspected in its window")
    if finding.candidates or not all(isinstance(one, Unreadable) for one in said):
        return finding
    # Without a final judgement the suspicion of the first window is as good as any.
    case.note("no usable final answer: ranked by the windows alone")
    return case.counted(windows[:1], rest=list(suspects), why="suspected in its window")


def _heats(
    case: Case, suspects: Mapping[int, Part]
) -> Generator[list[Request], list[Reply], dict[int, Part]]:
    """As many suspects as one prompt can show: of each group of that size, who is blamed."""
    size = max((case.room() - 48) // _LEAST, 2)
    left, rounds = dict(suspects), 0
    while len(left) > size:
        steps = sorted(left)
        groups = [steps[start : start + size] for start in range(0, len(steps), size)]
        requests = [
            case.blame_request(*_shown(case, {step: left[step] for step in group}), group)
            for group in groups
        ]
        said = yield from case.asked(requests, partial(_read, case, groups))
        blamed = {one[0].step for one in said if isinstance(one[0], Answer)}
        # A group of which nobody is blamed, or that got no usable answer, drops out, unless all do.
        left = {step: left[step] for step in steps if step in blamed} or {
            group[0]: left[group[0]] for group in groups
        }
        rounds += 1
    if rounds:
        case.note(f"{len(suspects)} suspects were narrowed down to {len(left)} in rounds: {rounds}")
    return left


def _read(
    case: Case, groups: Sequence[Sequence[int]], number: int, text: str
) -> Answer | str | Unreadable:
    return answers.parse_blame(case.style, text, case.view, groups[number])


def _shown(case: Case, suspects: Mapping[int, Part]) -> tuple[str, str]:
    """Body and question for a judgement between suspects."""
    labels = " ".join(case.view.labels[step] for step in sorted(suspects))
    body = case.body(parts=surroundings(case, suspects))
    return body, case.question("ask_final", labels=labels)


def plan(case: Case) -> list[list[Part]]:
    """Windows over the run: every character of every step is in at least one of them."""
    # A heading and a line about a gap may come on top of each part.
    room = case.room() - 48
    parts = [piece for part in case.view.parts() for piece in _pieces(case, part, room)]
    sizes = [_size(case, part) for part in parts]
    windows, start = [], 0
    while True:
        end, filled = start, 0
        while end < len(parts) and (end == start or filled + sizes[end] <= room):
            filled += sizes[end]
            end += 1
        windows.append(parts[start:end])
        if end == len(parts):
            return windows
        back, repeated = end, 0
        while back - 1 > start and repeated + sizes[back - 1] <= room // _OVERLAP:
            back -= 1
            repeated += sizes[back]
        start = back


def _size(case: Case, part: Part) -> int:
    heading = f"## {case.view.speaker(part.step)}\n"
    return case.model.count_tokens(f"{heading}{case.view.block(part)}\n")


def _pieces(case: Case, part: Part, room: int) -> Iterator[Part]:
    """A step, or pieces of it that each fit. Halving finds them without a count a character."""
    todo, done = [(part.start, part.end)], []
    while todo:
        start, end = todo.pop()
        piece = replace(part, start=start, end=end, number=1, count=2)
        if end - start > 1 and _size(case, piece) > room:
            middle = _seam(case.view.texts[part.step], start, end)
            todo += [(middle, end), (start, middle)]
        else:
            done.append((start, end))
    for number, (start, end) in enumerate(done, start=1):
        yield Part(part.step, start, end, number, len(done))


def _seam(text: str, start: int, end: int) -> int:
    """A line end near the middle, or a blank; else the middle."""
    middle = (start + end) // 2
    for seam in "\n ":
        found = text.rfind(seam, start + (end - start) // 4, middle)
        if found > start:
            return found + 1
    return middle


def _suspects(
    windows: Sequence[Sequence[Part]], answered: Sequence[Answer | str | Unreadable]
) -> dict[int, Part]:
    """Shortlisted steps, first choices of all windows first, with the part that was seen."""
    found: dict[int, Part] = {}
    for rank in range(_PER_WINDOW):
        for window, answer in zip(windows, answered, strict=True):
            if not isinstance(answer, Answer) or answer.step is None:
                continue
            listed = (answer.step, *answer.also)
            if rank < len(listed) and listed[rank] not in found:
                found[listed[rank]] = next(part for part in window if part.step == listed[rank])
    return found


def surroundings(case: Case, suspects: Mapping[int, Part]) -> list[Part]:
    """Suspected steps, and the steps around them as far as they fit.

    A suspect that is longer than its share is shown from its beginning, and says that it is a
    piece; all of it was read in a window before, or is the embedded ranker's business.
    """
    room = case.room() - 48
    share = max(room // max(len(suspects), 1), 32)
    chosen = {step: _shortened(case, part, share) for step, part in suspects.items()}
    left = room - sum(_size(case, part) for part in chosen.values())
    parts = case.view.parts()
    for distance in range(1, _AROUND + 1):
        for step in suspects:
            for near in (step - distance, step + distance):
                if 0 <= near < len(parts) and near not in chosen:
                    size = _size(case, parts[near])
                    if size <= left:
                        chosen[near] = parts[near]
                        left -= size
    return [chosen[step] for step in sorted(chosen)]


def _shortened(case: Case, part: Part, room: int) -> Part:
    while _size(case, part) > room and part.end - part.start > 1:
        part = replace(part, end=part.start + (part.end - part.start) // 2)
        part = replace(part, count=max(part.count, 2))
    return part


def _told(windows: Sequence[Sequence[Part]], room: int) -> str:
    seen = []
    for window in windows:
        first, last = (_named(window[i]) for i in (0, -1))
        seen.append(first if first == last else f"{first} to {last}")
    return (
        f"read in {len(windows)} overlapping windows of at most {room:,} tokens of steps: "
        f"{'; '.join(seen)}"
    )


def _named(part: Part) -> str:
    return str(part.step) + (f" ({part.number}/{part.count})" if part.count > 1 else "")
