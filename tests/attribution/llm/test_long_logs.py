"""Real logs of tens of thousands of tokens, read by a real model with a small window.

The weights are random: what the verdict says means nothing. What is shown is that every step is
read, that the context is never exceeded, and that the verdict tells what each window saw.
"""

import re

import pytest

from agentracer.attribution import Tracer
from agentracer.formats import whowhen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

LARGEST = 32_768


@pytest.fixture(scope="module")
def longest(whowhen_logs):
    traces = whowhen.load_directory(whowhen_logs / "Hand-Crafted")
    return max(traces, key=lambda trace: sum(len(trace.observed.text(s)) for s in trace.steps))


@pytest.fixture(scope="module")
def model(tmp_path_factory, longest):
    for module in ("torch", "transformers", "xgrammar"):
        pytest.importorskip(module, reason="needs the extra [transformers]")
    from transformers import AutoTokenizer

    from . import tiny

    path, texts = (
        tmp_path_factory.mktemp("untrained"),
        tuple(map(longest.observed.text, longest.steps)),
    )
    tiny.untrained(path, texts, context=LARGEST, entries=580)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert sum(len(tokenizer(text)["input_ids"]) for text in texts) > 75_000
    return path


@pytest.mark.parametrize("context", [4_096, 8_192, LARGEST])
def test_the_longest_log_is_read_whole_in_windows_that_are_told(model, longest, context):
    tracer = Tracer(
        f"transformers:{model}?device=cpu&dtype=float32&context={context}", answer_tokens=32
    )
    verdict = tracer.attribute(longest)
    print(context, verdict.provenance, *verdict.notes, sep="\n")
    assert verdict.step is not None
    assert verdict.agent == longest.steps[verdict.step].agent
    assert _read(verdict) == set(range(len(longest.steps)))
    assert verdict.provenance.usage.model_calls > 2
    assert verdict.provenance.usage.input_tokens < verdict.provenance.usage.model_calls * context


def _read(verdict):
    """The steps that the verdict says were read."""
    (told,) = [note for note in verdict.notes if "overlapping windows" in note]
    # A step that is longer than a window is read in parts: `14 to 16 (1/2); 16 (2/2) to 19`.
    plain = re.sub(r" \(\d+/\d+\)", "", told.partition("of steps: ")[2])
    spans = re.findall(r"(\d+)(?: to (\d+))?", plain)
    return {step for a, b in spans for step in range(int(a), int(b or a) + 1)}
