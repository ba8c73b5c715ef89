"""Specs and plug-ins: what a model string finds, and what happens when it finds nothing."""

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from agentracer.attribution import Tracer, backends, create_backend, known_models
from agentracer.attribution.embedded import EmbeddedBackend
from agentracer.errors import UnknownModel

GROUP = backends.ENTRY_POINT_GROUP


def made_with(argument):
    backend = EmbeddedBackend()
    backend.argument = argument
    return backend


@pytest.fixture
def plug_ins(monkeypatch):
    """Pretend that these plug-ins are installed."""

    def install(**values):
        points = [EntryPoint(name, value, GROUP) for name, value in values.items()]
        monkeypatch.setattr(backends, "entry_points", lambda group: points)

    return install


def test_the_embedded_backend_is_always_there():
    assert isinstance(create_backend("embedded"), EmbeddedBackend)
    assert Tracer().model == "embedded"


def test_an_unknown_scheme_is_an_error_that_lists_the_known_ones(plug_ins):
    plug_ins(other="x:y")
    with pytest.raises(UnknownModel) as caught:
        create_backend("magic:1")
    assert "'magic:1'" in str(caught.value)
    assert ", ".join(known_models()) in str(caught.value)
    assert known_models()[-1] == "other"


def test_the_embedded_backend_says_where_no_model_is():
    with pytest.raises(UnknownModel, match=r"embedded:/some/where names no usable model") as caught:
        create_backend("embedded:/some/where")
    assert "agentracer adapt" in str(caught.value)


def test_the_embedded_backend_has_the_rule_list_too():
    assert create_backend("embedded").method == "ranker"
    assert create_backend("embedded:rules").method == "rules"


def test_a_plug_in_gets_all_that_follows_the_first_colon(plug_ins, monkeypatch):
    monkeypatch.setattr(backends, "made_with", made_with, raising=False)
    plug_ins(other="agentracer.attribution.backends:made_with")
    assert create_backend("other:gpt@http://localhost:8000/v1").argument == (
        "gpt@http://localhost:8000/v1"
    )
    assert create_backend("other").argument == ""


def test_a_plug_in_that_cannot_be_loaded_harms_nobody_until_it_is_asked_for(plug_ins):
    plug_ins(broken="no.such.module:create")
    assert known_models()[0] == "embedded"
    assert known_models()[-1] == "broken"
    assert isinstance(create_backend("embedded"), EmbeddedBackend)
    with pytest.raises(UnknownModel, match=r"broken=no\.such\.module:create cannot be loaded"):
        create_backend("broken")


def test_a_built_in_backend_whose_code_cannot_be_imported_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "agentracer.attribution.judge", None)
    with pytest.raises(UnknownModel, match=r"agentracer\.attribution\.judge") as caught:
        create_backend("openai:m@http://localhost/v1")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_plug_in_cannot_take_a_built_in_name(plug_ins, caplog):
    plug_ins(embedded="evil:create")
    with caplog.at_level(logging.WARNING):
        assert isinstance(create_backend("embedded"), EmbeddedBackend)
    assert "name taken" in caplog.text


def test_our_own_entry_point_for_a_built_in_name_is_no_conflict(plug_ins, caplog):
    plug_ins(embedded="agentracer.attribution.embedded:EmbeddedBackend")
    create_backend("embedded")
    assert caplog.text == ""


def test_importing_attribution_loads_no_model_library():
    code = (
        "import sys, agentracer.attribution as a; a.Tracer();"
        "print([m for m in ('torch','transformers','vllm','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
