"""The page about a sweep: what it says, and that text in it stays text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.report.chart import span
from openthoughts_cli.store import append_line
from openthoughts_cli.sweeps.layout import load_sweep
from openthoughts_cli.sweeps.page import write_sweep_page
from openthoughts_cli.sweeps.rank import rank_sweep
from openthoughts_cli.sweeps.words import p_words
from tests.doubles.finished_sweep import FinishedSweep

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
ACTIVE = {"script", "img", "iframe", "object", "embed", "link", "base", "form", "audio", "video"}
Make = Callable[..., FinishedSweep]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))

    def made(axes: Any, **options: Any) -> FinishedSweep:
        merged: dict[str, Any] = {"problems": 20, **options}
        return FinishedSweep(tmp_path, axes, **merged)

    return made


def page_of(sweep: FinishedSweep) -> str:
    loaded = load_sweep(sweep.name)
    return write_sweep_page(loaded, rank_sweep(loaded)).read_text()


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that each that opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert not tags.open
    return tags


def test_the_page_has_all_parts(make: Make) -> None:
    axes = {"train.learning_rate": [1e-4, 1e-3], "subset.source": ["math", "physics"]}
    sweep = make(axes, seeds=(0, 1), shift={1e-3: 0.4})
    append_line(sweep.run(sweep.entries[-1]).events_path, {"event": "run_started", "attempt": 2})
    sweep.directory.log("cell_failed", identity=sweep.entries[-1].identity, error="no space left")
    html = page_of(sweep)
    parsed(html)
    for heading in ("Ranking by", "What each axis does", "Training loss", "Held-out NLL", "Cells"):
        assert f"<h2>{heading}" in html, heading
    for heading in ("Without a score", "Configs", "Environment"):
        assert f"<h2>{heading}" in html, heading
    assert "it failed: no space left" in html
    assert "train.learning_rate" in html
    assert "The baseline in full" in html
    assert "7 of 8" in html  # cells done
    assert html.count('class="span"') >= 3 + 4  # ranks and comparisons
    assert "baseline: learning_rate=0.0001, source=math" in html  # a phone breaks it there


def test_nothing_in_the_page_runs_or_is_fetched(make: Make) -> None:
    html = page_of(make({"subset.source": [HOSTILE, "math"]}, name="rates"))
    assert HOSTILE not in html
    tags = parsed(html)
    assert not ACTIVE & set(tags.tags)
    for name, value in tags.attributes:
        assert not name.startswith("on"), (name, value)
        assert name not in ("src", "href", "action", "srcset"), (name, value)
    assert not re.search(r"@import|url\(", html)
    assert "default-src 'none'" in html


def test_what_has_no_ranking_says_why(make: Make) -> None:
    sweep = make({"train.learning_rate": [1e-4, 1e-3]}, metric="eval/nll/mean")
    sweep.held_out = "others"
    sweep.finish(sweep.entries[0])
    html = page_of(sweep)
    assert "no ranking by eval/nll/mean" in html
    assert "different sets of held-out rows" in html
    assert "<h2>Held-out NLL" not in html  # not one picture of what cannot be compared
    assert "<h2>Ranking" not in html


def test_damaged_records_leave_the_page_whole(make: Make) -> None:
    sweep = make({"train.learning_rate": [1e-4, 1e-3]})
    run = sweep.run(sweep.entries[0])
    run.config_path.write_text("{")
    html = page_of(sweep)
    parsed(html)
    assert "damaged" in html


def test_more_recipes_than_colours_share_a_quiet_one(make: Make) -> None:
    html = page_of(make({"train.lora_rank": list(range(1, 11))}, problems=8, steps=2))
    assert "2 more" in html
    assert 'class="curve rest"' in html


def test_no_p_value_is_said_to_be_zero() -> None:
    assert [p_words(p) for p in (1e-4, 9.99e-4, 1e-3, 0.25, 1.0)] == [
        *["<0.001"] * 2, "0.001", "0.250", "1.000",
    ]  # fmt: skip


def test_a_strip_is_well_formed_and_marks_zero() -> None:
    strip = span(0.1, -0.1, 0.3, scale=(-0.2, 0.4), css="a")
    root = ET.fromstring(strip)
    assert [child.tag.split("}")[1] for child in root] == ["line", "line", "circle"]
    inside = span(0.3, 0.2, 0.4, scale=(0.1, 0.5), css="a")
    assert inside.count("<line") == 1
