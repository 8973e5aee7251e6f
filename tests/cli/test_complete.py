"""What the shell offers: names on this disk, known names, config keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.cli import complete


def test_subsets_and_runs_are_those_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OT_SUBSETS", str(tmp_path / "subsets"))
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))
    assert complete.subsets("") == []
    for name in ("alpha", "beta"):
        (tmp_path / "subsets" / name).mkdir(parents=True)
        (tmp_path / "subsets" / name / "metadata.json").write_text("{}")
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    (tmp_path / "subsets" / "alphabet-half-made").mkdir()
    assert complete.subsets("al") == ["alpha"]
    assert complete.runs("") == ["beta", "alpha"]
    assert complete.subsets_and_runs("b") == ["beta", "beta"]


def test_what_can_be_explored_are_subsets_sweeps_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, file in (
        ("OT_SUBSETS", "metadata.json"),
        ("OT_SWEEPS", "sweep.json"),
        ("OT_RUNS", "config.json"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        made = tmp_path / variable / f"of-{variable}"
        made.mkdir(parents=True)
        (made / file).write_text("{}")
    assert complete.subsets_runs_and_sweeps("of-") == [
        "of-OT_SUBSETS",
        "of-OT_SWEEPS",
        "of-OT_RUNS",
    ]


def test_known_names() -> None:
    assert [name for name, _ in complete.sources("open")] == ["openmath", "opencode"]
    assert complete.domains("m") == ["math"]
    assert complete.engines("t") == ["tinker"]
    assert complete.benchmarks("a") == ["arithmetic", "aime25"]
    assert complete.verbs_with_config("s") == ["subset", "sweep"]


def test_files_are_offered_with_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "a.yaml").write_text("")
    (tmp_path / "configs" / "notes.txt").write_text("")
    (tmp_path / "rows.parquet").write_text("")
    assert complete.config_files("con") == ["configs/"]
    assert complete.config_files("configs/") == ["configs/a.yaml"]
    assert complete.config_files("./configs/a") == ["./configs/a.yaml"]
    assert complete.config_files("missing/x") == []
    assert complete.datasets("") == [
        "sample",
        "open-thoughts/OpenThoughts3-1.2M",
        "configs/",
        "rows.parquet",
    ]
