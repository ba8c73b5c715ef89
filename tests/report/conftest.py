"""One Chromium for all tests of the pages, and shorthands for what one looks at in it."""

import chromium
import pytest

from agentracer.report import html


@pytest.fixture(scope="session")
def page():
    if chromium.find() is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with chromium.browser() as page:
        yield page


@pytest.fixture
def shown(page, tmp_path):
    """Opens the report of a trace; returns the page and the seconds until it was drawn."""

    def show(trace, verdict=None, fragment="", replays=(), **size):
        path = html.write(tmp_path / "report.html", trace, verdict, replays)
        seconds = page.open(path, fragment, **size)
        return page, seconds

    return show
