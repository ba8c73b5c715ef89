"""Capture, forced-prefix replay and advice around the `openai` client."""

from __future__ import annotations

import pytest

pytest.importorskip("openai", reason="needs `pip install openai`")

from tests.adapters.client_contract import *  # noqa: F403
from tests.adapters.client_teams import OPENAI
from tests.adapters.contract import *  # noqa: F403


@pytest.fixture(params=OPENAI.values(), ids=OPENAI)
def build(request):
    return request.param
