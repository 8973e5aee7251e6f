"""From a filter to a subset, and the page of that subset."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import EVERY_LOOK, App, Look

Opens = Callable[..., Look]


def test_a_filter_becomes_a_subset_with_a_loss_mask(app: App, look: Opens) -> None:
    seen = look()
    page = seen.page
    seen.open(f"{app.url}/data_set?closed=yes")
    page.get_by_role("link", name="Save this choice as a subset").click()
    page.wait_for_url("**/save?**closed=yes**")
    seen.settle()
    assert "--closed" in seen.text and "closed: true" in seen.text
    page.get_by_role("textbox", name="Name").fill("from-the-browser")
    page.keyboard.press("Enter")
    seen.settle()
    seen.shot("save")
    page.get_by_role("button", name="Save it here").click()
    page.wait_for_selector("text=is saved", timeout=60_000)
    seen.shot("saved")
    page.get_by_role("link", name="Look at from-the-browser").click()
    page.wait_for_url("**/subset?**from-the-browser**")
    seen.settle()
    assert "Funnel" in seen.text
    page.get_by_text("Loss mask", exact=True).click()
    page.wait_for_selector("text=carry loss")
    seen.shot("mask")
    assert (app.places.root / "subsets" / "from-the-browser" / "README.md").is_file()
    assert seen.foreign_requests == [] and seen.dialogs == []


@pytest.mark.parametrize(("theme", "size"), EVERY_LOOK)
def test_a_subset_looks_well(app: App, look: Opens, theme: str, size: dict[str, int]) -> None:
    seen = look(theme=theme, size=size)
    for view in ("Overview", "Rows", "Split", "Loss mask", "Left out", "Compare"):
        seen.open(f"{app.url}/subset?name=small&view={view.replace(' ', '%20')}")
        seen.shot(view.lower().replace(" ", "-"))
    assert seen.console_errors == []
