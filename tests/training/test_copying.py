"""What a model is taught before it sees a trace: to copy, and nothing of the task."""

from training.copying import rows


class Letters:
    """A tokenizer in which every letter is a token."""

    def convert_tokens_to_ids(self, symbol):
        return ord(symbol)


def test_a_row_is_a_string_and_the_same_string_begun_elsewhere():
    for row in rows(Letters(), 20, seed=0):
        ids = row["input_ids"]
        half = len(ids) // 2
        string, again = ids[:half], ids[half:]
        assert any(string[i:] + string[:i] == again for i in range(half))
        assert row["labels"] == [-100] * (half + 1) + again[1:]


def test_short_strings_come_first_and_a_seed_gives_the_same_ones():
    found = list(rows(Letters(), 20, seed=3))
    lengths = [len(row["input_ids"]) for row in found]
    assert lengths == [32] * 15 + [160] * 5
    assert found == list(rows(Letters(), 20, seed=3))
    assert found != list(rows(Letters(), 20, seed=4))
