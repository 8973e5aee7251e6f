"""The page "Data set", as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import EVERY_LOOK, App, Look, StartApp
from tests.doubles.dataset_hub import TOKEN, dataset_hub

Opens = Callable[..., Look]


def open_first_row(seen: Look) -> None:
    """Mark the first row of the table at its left edge, as a finger does; it may still be drawn."""
    for _ in range(4):
        table = seen.page.locator('[data-testid="stDataFrame"] canvas').first
        table.wait_for(state="visible")
        seen.page.wait_for_timeout(1_000)
        table.click(position={"x": 18, "y": 54}, force=True)
        for _ in range(25):
            if "row=" in seen.page.url:
                seen.settle()
                return
            seen.page.wait_for_timeout(200)
    raise AssertionError("the row did not open")


@pytest.mark.parametrize(("theme", "size"), EVERY_LOOK)
def test_the_page_looks_well(app: App, look: Opens, theme: str, size: dict[str, int]) -> None:
    seen = look(theme=theme, size=size)
    for view in ("Rows", "Charts", "SQL"):
        seen.open(f"{app.url}/data_set?view={view}")
        seen.shot(view.lower())
    assert seen.console_errors == []
    assert seen.foreign_requests == []


def test_a_person_filters_pages_and_opens_a_row(app: App, look: Opens) -> None:
    seen = look()
    page = seen.page
    seen.open(f"{app.url}/data_set")
    page.get_by_label("Search in questions").fill("roots")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=roots**")
    seen.settle()
    assert "80" in seen.text and "rows 1 to 50 of 80" in seen.text
    page.get_by_role("button", name="Next").click()
    page.wait_for_url("**page=2**")
    seen.settle()
    assert "rows 51 to 80 of 80" in seen.text
    seen.shot("page-2")
    open_first_row(seen)
    assert "4 answers to this question" in seen.text
    page.locator('[data-testid="stMain"]').get_by_text("Thinking, ").first.click()
    seen.settle()
    page.wait_for_selector("text=Step")
    seen.shot("row")
    shared = page.url
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('row=')")
    seen.settle()
    assert "rows 51 to 80 of 80" in seen.text
    other = look(theme="dark")
    other.open(shared)
    assert "4 answers to this question" in other.text
    other.shot("shared-row")
    other.page.go_back()
    assert seen.foreign_requests == other.foreign_requests == []


@pytest.mark.parametrize(("theme", "size"), EVERY_LOOK)
def test_a_row_that_would_run_stays_text(
    app: App, look: Opens, theme: str, size: dict[str, int]
) -> None:
    seen = look(theme=theme, size=size)
    page = seen.page
    seen.open(f"{app.url}/data_set?find=image")
    open_first_row(seen)
    page.locator('[data-testid="stMain"]').get_by_text("Thinking, ").first.click()
    seen.settle()
    assert seen.text.count("onerror=") >= 3  # question, thinking and answer, each as text
    assert page.locator("img[onerror], [data-testid='stMain'] script").count() == 0
    assert page.locator("[data-testid='stMain'] img[src*='evil']").count() == 0
    seen.shot("evil")
    page.get_by_text("As it is").click()
    seen.settle()
    assert page.locator("img[onerror]").count() == 0 and seen.text.count("onerror=") >= 3
    assert seen.dialogs == [] and seen.foreign_requests == []


def test_broken_latex_is_shown_and_breaks_nothing(app: App, look: Opens) -> None:
    seen = look()
    seen.open(f"{app.url}/data_set?find=Broken")
    open_first_row(seen)
    seen.shot("row")
    assert "undefined" in seen.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("view=SQL&sql=DROP%20TABLE%20rows", "only SELECT is allowed"),
        ("view=SQL&sql=SELECT%20nope%20FROM%20rows", "nope"),
        ("find=(&by=regex", "is not a regular expression"),
        ("tokens=9..1", "the range 9..1 holds no number"),
    ],
)
def test_mistakes_are_shown_well(app: App, look: Opens, query: str, said: str) -> None:
    seen = look()
    seen.open(f"{app.url}/data_set?{query}")
    assert said in seen.text and "What to do" in seen.text
    seen.shot(query.partition("=")[2].partition("%")[0].partition("&")[0].strip("(") or "regex")


def test_a_gated_data_set_opens_with_a_token_that_is_kept_nowhere(
    start_app: StartApp, app: App, look: Opens, tmp_path: Path
) -> None:
    with dataset_hub({"you/gated": app.places.dataset}) as hub:
        hub.gated = {"you/gated"}
        options = ("--dataset", "you/gated", "--tokenizer", str(app.places.model))
        at = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        gated = start_app(*options, places=app.places, **at)
        seen = look()
        seen.open(f"{gated.url}/data_set")
        assert "is gated" in seen.text
        seen.shot("gated")
        seen.page.locator("input[type=password]").fill(TOKEN)
        seen.page.get_by_role("button", name="Try again").click()
        seen.page.wait_for_selector("text=/has no index yet|Malformed rows/")
        assert TOKEN not in seen.page.url and TOKEN not in seen.page.content()
        gated.stop()
        roots = (app.places.root, tmp_path)
        kept = [path for root in roots for path in root.rglob("*") if path.is_file()]
        assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
        assert TOKEN not in gated.log.read_text()
