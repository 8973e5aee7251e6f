"""The app as it starts: its pages, nobody asked elsewhere, a clean stop."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import PHONE, App, Look, StartApp

Opens = Callable[..., Look]


def test_the_app_opens_and_asks_no_other_host(app: App, look: Opens) -> None:
    seen = look()
    seen.open(app.url)
    assert "Data set" in seen.text
    for title in ("Save as subset", "Subset", "Runs", "Answers", "Sweep"):
        assert seen.page.get_by_role("link", name=title, exact=True).count() == 1
    assert seen.foreign_requests == []
    assert seen.console_errors == []
    seen.shot("start")


def test_a_public_app_has_the_data_set_alone(start_app: StartApp, app: App, look: Opens) -> None:
    places = app.places
    public = start_app(
        "--public",
        "--dataset",
        str(places.dataset),
        "--tokenizer",
        str(places.model),
        places=places,
    )
    seen = look(size=PHONE)
    seen.open(public.url)
    assert "162" in seen.text  # its rows
    for title in ("Save as subset", "Runs", "Answers", "Sweep"):
        assert title not in seen.text
    assert str(places.root) not in seen.page.content()
    assert public.stop() == 0


def test_ctrl_c_stops_it_cleanly(start_app: StartApp, app: App) -> None:
    other = start_app("--dataset", "sample", places=app.places)
    assert other.stop() == 0
    said = other.log.read_text()
    assert other.url in said and "stopped" in said and "Traceback" not in said
