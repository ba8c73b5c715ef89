from dataclasses import dataclass

import pytest
from pydantic import ConfigDict

from agentracer.errors import FormatError
from agentracer.lab.testbed import data
from agentracer.lab.testbed.coding_tasks import TASKS
from agentracer.lab.testbed.phrases import PHRASES
from agentracer.lab.testbed.qa_documents import DOCUMENTS


@dataclass(frozen=True)
class Row:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    year: int


@dataclass(frozen=True)
class File:
    __pydantic_config__ = ConfigDict(extra="forbid")

    rows: tuple[Row, ...]


@pytest.fixture
def load_text(tmp_path, monkeypatch):
    def load_text(text):
        (tmp_path / "rows.toml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(data.resources, "files", lambda _: tmp_path)
        return data.load("rows.toml", File)

    return load_text


def test_a_data_file_becomes_a_value_of_its_type(load_text):
    assert load_text('[[rows]]\nname = "Marren"\nyear = 1204\n') == File((Row("Marren", 1204),))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[rows]]\nname = "Marren"\n', "rows.0.year"),
        ('[[rows]]\nname = "Marren"\nyear = "old"\n', "rows.0.year"),
        ('[[rows]]\nname = "Marren"\nyear = 1204\nriver = "Alder"\n', "rows.0.river"),
        ('[[row]]\nname = "Marren"\nyear = 1204\n', "rows"),
    ],
)
def test_a_row_that_does_not_fit_is_an_error_that_names_file_and_place(load_text, text, place):
    with pytest.raises(FormatError) as caught:
        load_text(text)
    assert "rows.toml" in str(caught.value.source)
    assert caught.value.place == place


def test_a_file_that_is_no_toml_is_an_error_that_names_it(load_text):
    with pytest.raises(FormatError, match=r"rows\.toml: not TOML"):
        load_text("[[rows")


def test_each_document_has_a_title_and_an_id_of_its_own():
    assert len({document.title for document in DOCUMENTS}) == len(DOCUMENTS) == 40
    assert len({document.id for document in DOCUMENTS}) == 40


def test_every_fact_of_a_document_stands_in_its_text():
    for document in DOCUMENTS:
        for value, _ in document.facts.values():
            assert value in document.text


def test_every_edit_of_every_task_applies_to_its_solution():
    for task in TASKS:
        for wrong in (*task.bugs, *task.flawed_plans, task.slip):
            assert task.apply(wrong.edits) != task.solution


def test_every_domain_has_phrases_for_the_same_occasions():
    occasions = {
        domain: {occasion for owner, occasion in PHRASES if owner == domain}
        for domain in ("math", "qa", "coding")
    }
    assert occasions["math"] == occasions["qa"] == occasions["coding"]
    assert all(len(options) > 2 for options in PHRASES.values())
