"""Capture, forced-prefix replay and advice around the `anthropic` client."""

from __future__ import annotations

import pytest

pytest.importorskip("anthropic", reason="needs `pip install anthropic`")

from tests.adapters.client_contract import *  # noqa: F403
from tests.adapters.client_teams import ANTHROPIC
from tests.adapters.contract import *  # noqa: F403


@pytest.fixture(params=ANTHROPIC.values(), ids=ANTHROPIC)
def build(request):
    return request.param
