"""What a model is taught before it sees a trace: to copy, to compare, and nothing of the task."""

import random

from training.reasoning import AGREES, DIFFERS
from training.skills import comparisons, repetitions, rows


class Letters:
    """A tokenizer in which every character is a token, and so is a sign with its spaces."""

    def convert_tokens_to_ids(self, symbol):
        return ord(symbol.strip())

    def __call__(self, text, *, add_special_tokens):
        return {"input_ids": list(map(ord, text))}


def batched(found, size):
    found = list(found)
    return [found[start : start + size] for start in range(0, len(found), size)]


def text(ids):
    return "".join(map(chr, ids))


def test_a_repetition_is_a_string_and_the_same_string_begun_elsewhere():
    for seed in range(20):
        row = repetitions(Letters(), random.Random(seed), 16)
        string, again = row["input_ids"][:16], row["input_ids"][16:]
        assert any(string[i:] + string[:i] == again for i in range(16))
        assert row["labels"] == [-100] * 17 + again[1:]


def test_a_comparison_says_whether_two_terms_are_the_same_and_only_that_is_learnt():
    kinds = set()
    for seed in range(20):
        row = comparisons(Letters(), random.Random(seed), 8)
        lines = text(row["input_ids"]).split("\n| ")[:-1]
        assert len(lines) == 8
        for line in lines:
            terms, same = (
                (line.removesuffix(AGREES), True)
                if line.endswith(AGREES)
                else (line.removesuffix(DIFFERS), False)
            )
            one, other = terms.replace('"})', "").split(" => ")
            assert (one == other) is same
            kinds.add(same)
        learnt = text(label for label in row["labels"] if label != -100)
        assert learnt.replace(AGREES, "").replace(DIFFERS, "") == ""
    assert kinds == {True, False}


def test_what_is_easy_comes_first_every_step_is_of_one_kind_and_a_seed_gives_the_same_rows():
    found = list(rows(Letters(), 10, seed=3))
    kinds = [
        {"compared" if AGREES in said or DIFFERS in said else len(said) for said in step}
        for step in batched((text(row["input_ids"]) for row in found), 32)
    ]
    assert kinds == [{32}] * 4 + [{160}, {"compared"}, {"compared"}] * 2
    assert found == list(rows(Letters(), 10, seed=3))
    assert found != list(rows(Letters(), 10, seed=4))
