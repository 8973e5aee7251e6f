"""The page "Data set", as a person uses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import LAPTOP, PHONE, App, Look

Opens = Callable[..., Look]
EVERY_LOOK = [
    pytest.param("light", LAPTOP, id="light-laptop"),
    pytest.param("dark", LAPTOP, id="dark-laptop"),
    pytest.param("light", PHONE, id="light-phone"),
    pytest.param("dark", PHONE, id="dark-phone"),
]


@pytest.mark.parametrize(("theme", "size"), EVERY_LOOK)
def test_the_page_looks_well(app: App, look: Opens, theme: str, size: dict[str, int]) -> None:
    seen = look(theme=theme, size=size)
    for view in ("Rows", "Charts", "SQL"):
        seen.open(f"{app.url}/data_set?view={view}")
        seen.shot(view.lower())
    assert seen.console_errors == []
    assert seen.foreign_requests == []
