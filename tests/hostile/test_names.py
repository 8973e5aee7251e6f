"""Names of subsets, runs, evaluations, sweeps, checkpoints and files cannot leave their directory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import ConfigError, OtError
from openthoughts_cli.hub.cache import RepoCache
from openthoughts_cli.runs.layout import new_run_id
from tests.conftest import CommandResult

OUTSIDE = [
    "..", ".", "../x", "/tmp/ot-outside", "a/../../x", "a/b", "a\\b", "..\\x", "~", "~root", ".hidden",
    "-rf", "", " ", "a b", "a\nb", "a\0b", "a\x1b[2J", "ｘ", "a:b", "$(id)", "%2e%2e", "con\u202e", "x" * 121,
]  # fmt: skip
NAMED: list[tuple[type[ConfigModel], str]] = [
    (SubsetConfig, "name"),
    (TrainConfig, "run_name"),
    (EvalConfig, "name"),
    (SweepConfig, "name"),
]


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
@pytest.mark.parametrize(
    ("model", "key"), NAMED, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_name_that_leaves_its_directory_is_refused(
    model: type[ConfigModel], key: str, name: str
) -> None:
    with pytest.raises(ConfigError, match="not a usable name"):
        load_config(model, options={key: name}, environ={})


@given(name=st.text(max_size=12) | st.text("ab./\\-~_", max_size=6))
def test_a_name_that_is_taken_is_a_file_right_in_its_directory(name: str) -> None:
    try:
        config = load_config(SubsetConfig, options={"name": name}, environ={}).config
    except OtError:
        return
    root = Path("/somewhere/subsets")
    assert (root / str(config.name)).resolve().parent == root
    assert not name.startswith((".", "-"))


@given(subject=st.text(max_size=80))
def test_a_name_that_ot_makes_of_a_subset_is_a_plain_one(subject: str) -> None:
    run_id = new_run_id(subject, "0123456789", now=datetime(2026, 11, 24, tzinfo=UTC))
    load_config(TrainConfig, options={"subset": "s", "run_name": run_id}, environ={})


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "a//b", "a\\b", "", ".", "a/."])
def test_a_file_of_a_hub_repository_stays_in_the_cache(path: str) -> None:
    cache = RepoCache("someone/data")
    with pytest.raises(ValueError, match="no path inside a repository"):
        cache.link("c" * 40, path, "d")
    with pytest.raises(ValueError, match="no path inside a repository"):
        cache.file("c" * 40, path)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "", ".x", "..", "a\0b"])
def test_a_checkpoint_stays_in_its_store(name: str, tmp_path: Path) -> None:
    from openthoughts_cli.engine.local import checkpoint

    with pytest.raises(OtError, match="cannot be called"):
        checkpoint._place(tmp_path, "states", name)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "command",
    [
        ("subset", "--dataset", "sample", "-n", "3", "--name", "../escaped"),
        ("subset", "--dataset", "sample", "-n", "3", "--name", "/tmp/ot-escaped"),
        ("train", "--subset", "none", "--run-name", "../escaped"),
        ("eval", "-b", "arithmetic", "--model", "none", "--name", "../escaped"),
    ],
    ids=" ".join,
)
def test_commands_refuse_such_names(
    ot: Callable[..., CommandResult], command: tuple[str, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    said = ot(*command)
    assert said.code == 2
    assert "not a usable name" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert list(home.iterdir()) == []
    assert not Path("/tmp/ot-escaped").exists()
