"""Where the Who&When logs lie, if they do."""

from pathlib import Path

import pytest

WHOWHEN = Path(__file__).parents[2].parent / "shared" / "data" / "whowhen"


@pytest.fixture(scope="session")
def whowhen_logs() -> Path:
    """The folder of the development half; other people's data is not part of this repository."""
    if not WHOWHEN.is_dir():
        pytest.skip(f"the Who&When logs are not at {WHOWHEN}")
    return WHOWHEN
