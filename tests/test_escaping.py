import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentracer.escaping import escape_control_chars

DRIVING = {"Cc", "Cs", "Zl", "Zp"}
# Format characters that a reader sees: signs of Arabic, Kaithi and hieroglyphs, shorthand, music.
SEEN = {"\u06dd", "\u070f", "\u08e2", "\U000110bd", "\U000110cd"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünï, 漢字, 🙂❤️", "plain, ünï, 漢字, 🙂❤️"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m\x07\x7f", r"\x9b31m\x07\x7f"),
        ("windows\r\nline", "windows\nline"),
        ("over\rwritten", r"over\rwritten"),
        ("\u202egnp.exe\u202c", r"\u202egnp.exe\u202c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        ("\ud800", r"\ud800"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_drivers_and_hiders_are_shown_as_escapes(text, shown):
    assert escape_control_chars(text) == shown


def test_nothing_that_unicode_calls_a_control_is_left():
    every = map(chr, range(0x110000))
    left = {c for c in every if unicodedata.category(c) in DRIVING and escape_control_chars(c) == c}
    assert left == {"\t", "\n"}


def test_bidi_controls_are_never_left():
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
    every = (chr(code) for code in range(0x110000))
    left = [
        c for c in every if unicodedata.bidirectional(c) in bidi and escape_control_chars(c) == c
    ]
    # shorthand format controls of Duployan only join glyphs
    assert all("SHORTHAND FORMAT" in unicodedata.name(c, "") for c in left), left


def test_letters_and_signs_stay():
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character)[0] in "NPS" or character in SEEN:
            assert escape_control_chars(character) == character


@given(st.text())
def test_is_idempotent_and_encodable(text):
    shown = escape_control_chars(text)
    assert escape_control_chars(shown) == shown
    assert shown.encode().decode() == shown


@given(st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"])))
def test_lone_surrogates_are_encodable(text):
    escape_control_chars(text).encode()
