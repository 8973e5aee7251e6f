"""The real app in a real Chromium: a server of its own on a free port, and pages that look at it.

Skipped where Chromium or Playwright is absent. Screenshots are kept in build/screenshots.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.places import Places, make_places

REPO = Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SCREENSHOTS = REPO / "build" / "screenshots"
LAPTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
_LOOKS = [
    pytest.param("light", LAPTOP, id="light-laptop"),
    pytest.param("dark", PHONE, id="dark-phone"),
    pytest.param("dark", LAPTOP, id="dark-laptop"),
    pytest.param("light", PHONE, id="light-phone"),
]
# The first two have both themes and both widths; `make screenshots` takes the other two besides.
EVERY_LOOK = _LOOKS if os.environ.get("OT_TEST_ALL_LOOKS") else _LOOKS[:2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, or skip it where something is missing."""
    here = str(Path(__file__).parent)
    missing = _what_is_missing()
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


def _what_is_missing() -> str:
    """Why no browser can be had; empty where one can."""
    if CHROMIUM is None:
        return "no Chromium on this machine (Debian: apt-get install chromium)"
    if importlib.util.find_spec("playwright") is None:
        return "no Playwright (pip install -e '.[dev]')"
    return ""


@dataclass
class App:
    """A server that runs: where it is, and what it has."""

    url: str
    process: subprocess.Popen[str]
    places: Places
    log: Path

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


StartApp = Callable[..., App]


@pytest.fixture(scope="session")
def start_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApp]:
    """Start `ot explore` with options, on places of its own: `start_app("--public")`."""
    running: list[App] = []

    def start(*options: str, places: Places | None = None, **environ: str) -> App:
        found = places or make_places(tmp_path_factory.mktemp("places"))
        port = _free_port()
        log = tmp_path_factory.mktemp("app") / "log"
        command = [sys.executable, "-m", "openthoughts_cli", "explore", "--no-open", "--plain"]
        command += ["--port", str(port), *options]
        with log.open("w") as sink:
            process = subprocess.Popen(
                command,
                stdout=sink,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=found.root,
                env={**os.environ, **found.environ, **environ, "PYTHONPATH": str(REPO)},
            )
        app = App(f"http://127.0.0.1:{port}", process, found, log)
        running.append(app)
        _wait_for(app)
        return app

    yield start
    for app in running:
        app.stop()


@pytest.fixture(scope="session")
def app(start_app: StartApp) -> App:
    """The app over the data set, subsets, runs and sweeps of `make_places`."""
    places = make_places_once()
    return start_app(
        "--dataset", str(places.dataset), "--tokenizer", str(places.model), places=places
    )


_MADE: list[Places] = []


def make_places_once() -> Places:
    """The places that all tests of one session read."""
    if not _MADE:
        import tempfile

        _MADE.append(make_places(Path(tempfile.mkdtemp(prefix="ot-browser-"))))
    return _MADE[0]


def pytest_sessionfinish() -> None:
    """Take the shared places away."""
    for places in _MADE:
        shutil.rmtree(places.root, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(app: App, timeout_s: float = 90) -> None:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if app.process.poll() is not None:
            pytest.fail(f"the app ended with {app.process.returncode}:\n{app.log.read_text()}")
        try:
            with urllib.request.urlopen(f"{app.url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the app did not answer:\n{app.log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass
class Look:
    """A page in the browser, with what went wrong in it and what it asked other hosts for."""

    page: Any
    shots: Path
    name: str
    console_errors: list[str] = field(default_factory=list[str])
    foreign_requests: list[str] = field(default_factory=list[str])
    dialogs: list[str] = field(default_factory=list[str])

    def open(self, url: str) -> None:
        """Go there and wait until the script has run."""
        self.page.goto(url)
        self.settle()

    def settle(self, timeout_ms: int = 90_000) -> None:
        """Wait until nothing runs any more."""
        self.page.wait_for_selector('[data-testid="stApp"]', timeout=timeout_ms)
        self.page.wait_for_function(
            """() => {
                const app = document.querySelector('[data-testid="stApp"]');
                return app && app.getAttribute('data-test-script-state') === 'notRunning'
                    && document.querySelector('[data-testid="stMain"] [data-testid="stElementContainer"]')
                    && !document.querySelector('[data-testid="stSkeleton"]');
            }""",
            timeout=timeout_ms,
        )
        self.page.wait_for_timeout(300)
        failed = self.page.query_selector_all('[data-testid="stException"]')
        assert not failed, failed[0].inner_text()

    def shot(self, what: str, *, whole: bool = True) -> Path:
        """Keep a screenshot as an artefact."""
        self.shots.mkdir(parents=True, exist_ok=True)
        place = self.shots / f"{self.name}-{what}.png"
        self.settle()
        self._let_it_all_show(whole)
        self.page.screenshot(path=str(place))
        return place

    def _let_it_all_show(self, whole: bool) -> None:
        # Streamlit scrolls inside the page, so the window must be as high as what is in it.
        size = self.page.viewport_size
        height = LAPTOP["height"] if size["width"] > 600 else PHONE["height"]
        self.page.set_viewport_size({"width": size["width"], "height": height})
        if whole:
            wanted = self.page.evaluate(
                """() => {
                    const main = document.querySelector('[data-testid="stMain"]');
                    return main ? main.scrollHeight + 20 : 0;
                }"""
            )
            height = min(max(height, int(wanted)), 6_000)
        self.page.set_viewport_size({"width": size["width"], "height": height})
        self.page.wait_for_timeout(500)

    @property
    def text(self) -> str:
        """All text on the page."""
        return str(self.page.inner_text("body"))


@pytest.fixture
def look(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Look]]:
    """Open pages: `look(theme="dark", size=PHONE)` gives a fresh one."""
    contexts: list[Any] = []

    def fresh(theme: str = "light", size: dict[str, int] | None = None, **options: Any) -> Look:
        context = chromium.new_context(
            viewport=size or LAPTOP, color_scheme=theme, accept_downloads=True, **options
        )
        context.set_default_timeout(60_000)  # a busy machine is slow, not wrong
        contexts.append(context)
        page = context.new_page()
        width = "phone" if (size or LAPTOP)["width"] < 600 else "laptop"
        name = request.node.name.removeprefix("test_").split("[")[0]
        seen = Look(page, SCREENSHOTS, f"{name}-{theme}-{width}")
        page.on("console", lambda said: _note(seen.console_errors, said))
        page.on("pageerror", lambda error: seen.console_errors.append(str(error)))
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: _note_foreign(seen.foreign_requests, asked.url))
        return seen

    yield fresh
    for context in contexts:
        context.close()


def _note(errors: list[str], said: Any) -> None:
    # On the address of a page Streamlit first looks for its server below it, and then at the root.
    probe = "/_stcore/" in str(said.location.get("url", ""))
    if said.type == "error" and not probe:
        errors.append(f"{said.text} {said.location.get('url', '')}")


def _note_foreign(requests: list[str], url: str) -> None:
    if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
        requests.append(url)
