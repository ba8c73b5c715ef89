"""Rows of TracerTraj, and a tokenizer that needs no library, for tests of training."""

import json
import re

AGENTS = ("Planner", "Solver", "Reporter")


def row(number=0, *, wrong=2, agents=AGENTS, tried=(2,), **changes):
    """A failure of four steps in the public schema, with what our own rows say of the replays."""
    history = [
        {"role": "assistant", "name": agents[0], "content": "My plan:\n\nStep A: 3 + 4"},
        {"role": "assistant", "name": agents[1], "content": "Here is the number.\n\nResult: A = 7"},
        {"role": "assistant", "name": agents[1], "content": "Result: B = 9"},
        {"role": "assistant", "name": agents[2], "content": "FINAL ANSWER: 9"},
    ]
    made = {
        "question_ID": f"sums/sums-{number:04d}",
        "question": f"Begin with 3. Add 4. Number {number}.",
        "ground_truth": "8",
        "history": history,
        "mistake_agent": history[wrong]["name"] if wrong < len(history) else agents[1],
        "mistake_step": str(wrong),
        "mistake_reason": (
            f'{agents[1]} wrote "Result: B = 9" where "Result: B = 8" was right; with that '
            "corrected, the run succeeds"
        ),
        "origin": "natural",
        "verification": {"tried": list(tried)},
    }
    return made | changes


def write(path, rows):
    """A JSONL file of rows."""
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(path)


class Words:
    """A tokenizer of words and signs, with the few methods that training asks for."""

    all_special_tokens = ("<|im_start|>", "<|im_end|>")
    eos_token, pad_token = "<|im_end|>", "<|pad|>"
    eos_token_id, pad_token_id = 1, 2
    chat_template = "words"

    def __init__(self):
        self.known = {"<|im_start|>": 0, "<|im_end|>": 1, "<|pad|>": 2}

    def get_added_vocab(self):
        return dict.fromkeys(self.all_special_tokens, 0)

    def __call__(self, text, **options):
        found = list(re.finditer(r"<\|\w+\|>|\w+|\s|[^\w\s]", text))
        ids = [self.known.setdefault(one[0], len(self.known)) for one in found]
        made = {"input_ids": ids}
        if options.get("return_offsets_mapping"):
            made["offset_mapping"] = [one.span() for one in found]
        return made

    def decode(self, ids, **options):
        words = {number: word for word, number in self.known.items()}
        return "".join(words[one] for one in ids if one > 2)

    def apply_chat_template(self, turns, **options):
        said = "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in turns)
        return f"{said}<|im_start|>assistant\n"
