"""Logs and records with torn, garbled and hostile lines, before every command that reads them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.runs.layout import RunDirectory
from tests.fuzz.conftest import Home
from tests.fuzz.support import SCRIPT, fuzz, only_ot_errors, run_ot, scratch, spoil

pytestmark = [pytest.mark.slow, pytest.mark.torch]

seeds = st.integers(0, 2**32 - 1)


def _files(run: Path) -> list[Path]:
    return sorted(p for p in run.rglob("*") if p.is_file() and "checkpoints/" not in str(p))


def _spoil_some(run: Path, rng: Random) -> list[str]:
    """Spoil one file to three; their names, for the report of a failure."""
    chosen = rng.sample(_files(run), rng.randrange(1, 4))
    for file in chosen:
        file.write_bytes(spoil(rng, file.read_bytes()))
    if rng.random() < 0.1:
        chosen[0].unlink()
    if rng.random() < 0.05:
        chosen[0].unlink(missing_ok=True)
        chosen[0].mkdir()
    return [str(file.relative_to(run)) for file in chosen]


@fuzz(16)
@given(seed=seeds)
def test_every_reader_of_a_run_accepts_or_refuses_it(home: Home, seed: int) -> None:
    rng = Random(seed)
    with scratch(home.path / "runs" / "first") as run:
        spoilt = _spoil_some(run, rng)
        name, kind = str(run), "logs and records of a run"
        for command in (
            ("runs", "show", name),
            ("runs", "show", name, "--json"),
            ("report", name),
            ("compare", name, home.path / "runs/second", "--json"),
            ("compare", home.path / "runs/second", f"{name}@base"),
            ("runs", "regrade", name),
        ):
            said = run_ot(kind, *command, cache=home.cache)
            assert said.code in (0, 1, 2), (spoilt, said.err)
        found = RunDirectory(run)
        for place in (run / "evals").glob("*/step-*"):
            with only_ot_errors("answers of a run"):
                EvalDirectory(place).samples()
        with only_ot_errors("checkpoints of a run"):
            assert all(isinstance(entry.batch, int) for entry in found.checkpoints())


@fuzz(5)
@given(seed=seeds)
def test_a_list_of_runs_shows_all_whatever_one_of_them_holds(
    home: Home, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(seed)
    with scratch(home.path / "runs") as runs:
        _spoil_some(runs / "first", rng)
        (runs / "first/config.json").touch()
        monkeypatch.setenv("OT_RUNS", str(runs))
        said = run_ot("lists of runs", "runs", "ls", cache=home.cache)
        assert said.code == 0 and "second" in said.out
        assert run_ot("lists of runs", "runs", "ls", "--json", cache=home.cache).code == 0


@fuzz(5)
@given(seed=seeds)
def test_a_spoilt_run_goes_on_or_is_refused(
    home: Home, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(seed)
    with scratch(home.path / "runs") as runs:
        run = runs / "first"
        _spoil_some(run, rng)
        monkeypatch.setenv("OT_RUNS", str(runs))
        monkeypatch.setenv("OT_SUBSETS", str(home.path / "subsets"))
        for command in (("train", "--resume", run, "--yes"), ("runs", "sync", run)):
            said = run_ot("runs to resume", *command, cache=home.cache)
            assert said.code in (0, 1, 2, 3), said.err  # 3: an evaluation's record is damaged


@fuzz(5)
@given(seed=seeds)
def test_every_reader_of_a_subset_accepts_or_refuses_it(home: Home, seed: int) -> None:
    rng = Random(seed)
    with scratch(home.path / "subsets" / "small") as subset:
        _spoil_some(subset, rng)
        for command in (("inspect", subset), ("inspect", subset, "--json")):
            said = run_ot("files of a subset", *command, cache=home.cache)
            assert said.code in (0, 1, 2), said.err


class _Page(HTMLParser):
    """Notes what would run or be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "object", "embed", "link", "form", "base", "a"):
            self.bad.append(tag)
        self.bad += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        self.bad += [str(value) for _, value in attrs if value and "javascript:" in value]


HOSTILE = st.sampled_from(
    [
        SCRIPT,
        "</pre></div><script>x()</script>",
        "</style><script>x()</script>",
        "</title><svg onload=x()>",
        "<!--<script>",
        "]]><script>x()</script>",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;script&gt;",
        "<a href=javascript:x()>y</a>",
        "\u2028<iframe src=//x>",
    ]
) | st.text(max_size=30)


@fuzz(12)
@given(texts=st.lists(HOSTILE, min_size=1, max_size=4), seed=seeds)
def test_no_text_of_a_run_becomes_a_tag_of_its_page(
    home: Home, texts: list[str], seed: int
) -> None:
    """Every text in every JSON file is replaced, by turns, through the real writer of the page."""
    import json

    rng = Random(seed)

    def replaced(value: object) -> object:
        if isinstance(value, dict):
            return {
                (rng.choice(texts) if rng.random() < 0.03 else key): replaced(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return rng.choice(texts) if isinstance(value, str) and rng.random() < 0.3 else value

    with scratch(home.path / "runs" / "first") as run:
        for file in _files(run):
            if file.suffix in (".json", ".jsonl"):
                lines = (
                    file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
                )
                spoilt = [json.dumps(replaced(json.loads(line))) for line in lines]
                file.write_text("\n".join(spoilt) + "\n")
        said = run_ot("texts in a page", "report", run, cache=home.cache)
        if said.code:
            return
        html = (run / "report.html").read_text()
        page = _Page()
        page.feed(html)
        assert page.bad == []
        assert "default-src 'none'" in html
        assert not re.search(r"<script|onerror=alert\(2\)>", html.replace("&lt;", ""))
