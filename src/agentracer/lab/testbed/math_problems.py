"""Word problems of our own, and the reader of GSM8K's, as `Problem`s.

GSM8K (MIT) is read from a folder at run time and is not part of this package. Its calculator
annotations (`<<48/2=24>>24`) give every step and every intermediate value. Problems whose
annotations do not add up to the stated answer are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentracer.lab.testbed.arithmetic import calculate, same_number, substituted
from agentracer.lab.testbed.problems import Goal, Problem

__all__ = ["combined", "gsm8k", "own_problems"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")
# `48/2 = $<<48/2=24>>24`, of which a description keeps only the letter
_EQUATION = re.compile(r"[$(\d.][\d\s.,$%+\-*/x×()]*=\s*\$?<<[^<>]*>>\s*\$?-?[\d.,/]*\d")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")


def own_problems() -> list[Problem]:
    """The problems that come with the package."""
    problems = []
    for number, block in enumerate(_OWN.split("\n\n")):
        question, *steps = block.split("\n= ")
        parts = (step.partition(" | ") for step in steps)
        goals = tuple(
            Goal(letter, spec, about)
            for letter, (spec, _, about) in zip(LETTERS, parts, strict=False)
        )
        text = question.replace("\n", " ")
        problems.append(Problem(f"own-{number:02d}", text, goals, _answer(goals)))
    return problems


def gsm8k(folder: Path) -> list[Problem]:
    """The usable problems of `train_2000.jsonl` and `test.jsonl` in a folder; [] without it."""
    problems = []
    for name in ("train_2000", "test"):
        path = folder / f"{name}.jsonl"
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                problem = _read(f"gsm8k-{name.partition('_')[0]}-{number}", json.loads(line))
                if problem is not None:
                    problems.append(problem)
    return problems


def combined(first: Problem, second: Problem) -> Problem:
    """A longer problem: both, and the sum of their answers."""
    shift = len(first.goals)
    moved = {goal.key: LETTERS[shift + i] for i, goal in enumerate(second.goals)}
    later = [
        Goal(moved[goal.key], _renamed(goal.spec, moved), _renamed(goal.about, moved))
        for goal in second.goals
    ]
    key = LETTERS[shift + len(later)]
    ends = f"{first.goals[-1].key} + {later[-1].key}"
    goals = (*first.goals, *later, Goal(key, ends, f"The two answers add up to {key}"))
    question = (
        "Solve both problems and add up their answers.\n\n"
        f"First problem: {first.question}\n\nSecond problem: {second.question}"
    )
    parts = (first.id, second.id)
    return Problem("+".join(parts), question, goals, _answer(goals), parts)


def _renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Z]\b", lambda found: names.get(found[0], found[0]), text)


def _answer(goals: Sequence[Goal]) -> str:
    values: dict[str, str] = {}
    for goal in goals:
        values[goal.key] = calculate(substituted(goal.spec, values))
    return values[goals[-1].key]


def _read(name: str, record: dict[str, str]) -> Problem | None:
    """A record as a problem; None where its annotations do not give its answer."""
    reasoning, _, stated = record["answer"].partition("####")
    answer = stated.strip().replace(",", "")
    goals = tuple(_goals(record["question"], reasoning))
    if not 2 <= len(goals) <= 10 or not same_number(_answer(goals), answer):
        return None
    return Problem(name, record["question"].strip(), goals, answer)


def _goals(question: str, reasoning: str) -> Iterator[Goal]:
    given = {calculate(number) for number in _NUMBER.findall(question.replace(",", ""))}
    values: dict[str, str] = {}
    for line in reasoning.splitlines():
        for expression, stated in _ANNOTATION.findall(line):
            spec = _with_letters(_clean(expression), values, given)
            result = calculate(substituted(spec, values))
            if not same_number(result, stated) or len(values) >= 20:
                return
            key = LETTERS[len(values)]
            values[key] = result
            yield Goal(key, spec, _about(line, key, expression, given))


def _with_letters(expression: str, values: dict[str, str], given: set[str]) -> str:
    """The expression with numbers that are earlier results, not in the task, as letters."""

    def letter(found: re.Match[str]) -> str:
        number = calculate(found[0])
        keys = [key for key, value in values.items() if value == number and value not in given]
        return keys[-1] if keys else found[0]

    return _NUMBER.sub(letter, expression)


def _clean(expression: str) -> str:
    plain = expression.replace("$", "").replace(",", "").replace("x", "*").replace("×", "*")
    plain = re.sub(r"(\d+(?:\.\d+)?)%", r"\1/100", plain)
    return re.sub(r"\s*([+\-*/])\s*", r" \1 ", plain).strip()


def _about(line: str, key: str, expression: str, given: set[str]) -> str:
    """What a step finds, from the sentence that holds it: `Natalia sold A clips in May`."""
    sentences = re.split(r"(?<=[a-z>)\d])\. ", line)
    sentence = next((s for s in sentences if f"<<{expression}=" in s), line)
    text = _EQUATION.sub(key, sentence) if sentence.count("<<") == 1 else ""
    text = _ANNOTATION.sub("", text).strip().rstrip(".")
    tells = any(calculate(n) not in given for n in _NUMBER.findall(text.replace(",", "")))
    return "" if tells or re.search(r"=|--|\||\n", text) or not 8 <= len(text) <= 160 else text


_OWN = """\
A bakery bakes 12 trays with 24 rolls each in the morning. It sells 175 rolls before noon and
bakes 3 more trays in the afternoon. How many rolls does it have then?
= 12 * 24 | The bakery bakes A rolls in the morning
= A - 175 | B rolls are left at noon
= 3 * 24 | The afternoon adds C rolls
= B + C | Altogether there are D rolls

Lena rides 18 km to work and the same way back, 5 days a week. On Saturdays she rides 42 km. How
many km does she ride in 4 weeks?
= 18 * 2 | One working day makes A km
= A * 5 | The working week makes B km
= B + 42 | With Saturday it is C km a week
= C * 4 | Four weeks make D km

A tank holds 960 litres. It is three quarters full when 145 litres are taken out. Then rain adds
60 litres. How many litres are missing until it is full?
= 960 * 3 / 4 | At first the tank holds A litres
= A - 145 | B litres are left
= B + 60 | After the rain there are C litres
= 960 - C | D litres are missing

A school orders 15 packs of 40 pencils and 8 packs of 25 pens. A quarter of the pencils and 20
pens are given away. How many pencils and pens are left in all?
= 15 * 40 | There are A pencils
= 8 * 25 | There are B pens
= A / 4 | C pencils are given away
= A - C | D pencils are left
= B - 20 | E pens are left
= D + E | In all F are left

Omar earns 21 euros an hour and works 38 hours a week. Of each week's pay he saves one sixth. How
much does he save in 9 weeks?
= 21 * 38 | He earns A euros a week
= A / 6 | He saves B euros a week
= B * 9 | In nine weeks he saves C euros

A theatre has 26 rows of 34 seats. For a concert 5 rows are taken out, and 587 tickets are sold.
How many seats stay empty?
= 26 - 5 | There are A rows at the concert
= A * 34 | That makes B seats
= B - 587 | C seats stay empty

A farmer picks 486 apples. He puts them into bags of 9, keeps 6 bags, and sells the other bags for
4 euros each. His stall costs 35 euros. What does he earn?
= 486 / 9 | There are A bags
= A - 6 | He sells B bags
= B * 4 | He takes C euros
= C - 35 | After the stall he has D euros

A printer prints 32 pages a minute. It prints for 15 minutes, pauses, and prints for 11 minutes
more. A book has 208 pages. How many whole books can be bound from the pages?
= 15 + 11 | It prints for A minutes
= 32 * A | It prints B pages
= B / 208 | The pages make C books

Two classes collect paper: 6a has 27 children with 14 kg each, 6b has 24 children with 16 kg each.
The school pays 3 euros for each 6 kg. How many euros do they get?
= 27 * 14 | 6a collects A kg
= 24 * 16 | 6b collects B kg
= A + B | Together they have C kg
= C / 6 | That is D times 6 kg
= D * 3 | They get E euros

A train leaves with 312 passengers. At the first stop a third of them leave and 47 get on. At the
second stop 68 leave and 90 get on. How many passengers are there now?
= 312 / 3 | A passengers leave at the first stop
= 312 - A + 47 | B passengers ride on
= B - 68 + 90 | C passengers are on the train now

A garden is 36 m long and 22 m wide. A pond of 58 square metres and a shed of 34 square metres
stand in it. Each square metre of lawn needs 3 litres of water. How many litres?
= 36 * 22 | The garden has A square metres
= 58 + 34 | Pond and shed take B square metres
= A - B | The lawn has C square metres
= C * 3 | It needs D litres

Ida reads 28 pages a day from Monday to Friday and 45 pages a day at the weekend. Her book has
1150 pages. How many pages are left after 4 weeks?
= 28 * 5 | She reads A pages on working days
= 45 * 2 | At the weekend it is B pages
= A + B | A week makes C pages
= C * 4 | Four weeks make D pages
= 1150 - D | E pages are left

A shop buys 64 lamps for 17 euros each. It sells 48 of them for 29 euros and the others for 20
euros each. What is its profit?
= 64 * 17 | The lamps cost A euros
= 48 * 29 | The first sales bring B euros
= 64 - 48 | C lamps are sold for less
= C * 20 | They bring D euros
= B + D | All sales bring E euros
= E - A | The profit is F euros

A cyclist covers 84 km in 4 hours. She rides 3 hours more at a speed that is 5 km per hour lower.
How many km is her whole ride?
= 84 / 4 | At first she rides A km per hour
= A - 5 | Then she rides B km per hour
= B * 3 | That makes C km more
= 84 + C | The whole ride is D km

A hotel has 45 double and 18 single rooms. A double room costs 96 euros a night, a single room 64
euros. 5 double rooms are empty. What does one night bring?
= 45 - 5 | A double rooms are taken
= A * 96 | They bring B euros
= 18 * 64 | The single rooms bring C euros
= B + C | The night brings D euros

A recipe for 6 people needs 450 g of flour and 270 g of sugar. How many grams of both together are
needed for 14 people?
= 450 / 6 | One person needs A g of flour
= 270 / 6 | One person needs B g of sugar
= A + B | Together that is C g a person
= C * 14 | For all it is D g

Rafael has 520 stamps. He gives his sister 85, swaps 40 of his for 66 others, and then puts a
third of all he has into a new album. How many stamps are in the new album?
= 520 - 85 | A stamps are left
= A - 40 + 66 | After the swap he has B stamps
= B / 3 | The new album holds C stamps

A pump moves 135 litres in 9 minutes, another one 104 litres in 8 minutes. How many litres do both
move together in half an hour?
= 135 / 9 | The first moves A litres a minute
= 104 / 8 | The second moves B litres a minute
= A + B | Together it is C litres a minute
= C * 30 | In half an hour it is D litres

A library lends 1284 books in May, 216 fewer in June, and in July half as many as in May and June
together. How many books does it lend in the three months?
= 1284 - 216 | In June it lends A books
= 1284 + A | In May and June it is B books
= B / 2 | In July it is C books
= B + C | In three months it is D books

A mason lays 54 bricks an hour. He works 7 hours a day for 6 days and then has a helper, with whom
95 bricks an hour are laid for 16 hours. How many bricks are laid?
= 54 * 7 | He lays A bricks a day
= A * 6 | In six days he lays B bricks
= 95 * 16 | With the helper C bricks are laid
= B + C | Altogether D bricks are laid"""
