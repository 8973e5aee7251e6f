"""`ot push` of a run's weights, against a hub over HTTP that takes commits; each push is a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from openthoughts_cli.runs.layout import RunDirectory
from tests.doubles.dataset_hub import DatasetHub
from tests.doubles.pushing import Push, hub, push
from tests.unit.test_export import model, run, trained

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

__all__ = ["hub", "model", "push", "run", "trained"]


@pytest.fixture(autouse=True)
def its_runs(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_RUNS", str(run.path.parent))


def test_an_adapter_becomes_a_private_model_repository(
    hub: DatasetHub, push: Push, run: RunDirectory, model: Path
) -> None:
    code, pushed, err = push("first", "me/tuned")

    assert code == 0, err
    assert (pushed["what"], pushed["private"], pushed["reused"]) == ("adapter", True, False)
    assert hub.private == {"me/tuned"}
    assert hub.models == {"me/tuned"}
    assert pushed["commit"] == hub.commits["me/tuned"]
    held = hub.folders["me/tuned"]
    exported = run.path / "exports" / "step-2-adapter"
    for name in ("adapter_model.safetensors", "README.md", "tokenizer.json"):
        assert (held / name).read_bytes() == (exported / name).read_bytes()
    settings = json.loads((held / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny"
    for file in held.iterdir():
        assert str(model.parent).encode() not in file.read_bytes(), file.name

    code, again, err = push("first", "me/tuned")
    assert code == 0, err
    assert again["reused"]
    assert again["commit"] == pushed["commit"]


def test_other_weights_replace_them_by_force_alone(
    hub: DatasetHub, push: Push, run: RunDirectory
) -> None:
    assert push("first", "me/tuned")[0] == 0
    before = dict(hub.commits)

    code, _, err = push("first@step-1", "me/tuned")
    assert code == 1
    assert "me/tuned holds weights with another checkpoint, sha256" in err
    assert hub.commits == before

    code, pushed, err = push("first@step-1", "me/tuned", "--merged", "--force")
    assert code == 0, err
    held = {file.name for file in hub.folders["me/tuned"].iterdir()}
    assert "model.safetensors" in held
    assert not [name for name in held if name.startswith("adapter_")]
    assert pushed["what"] == "merged"


def test_a_repository_of_something_else_is_left_alone(
    hub: DatasetHub, push: Push, run: RunDirectory, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "model.bin").write_text("theirs")
    hub.folders["me/theirs"] = folder
    hub.models.add("me/theirs")
    hub.private.add("me/theirs")

    code, _, err = push("first", "me/theirs")

    assert code == 1
    assert "me/theirs holds other files, such as model.bin" in err
    assert [file.name for file in folder.iterdir()] == ["model.bin"]


def test_an_export_without_its_card_is_pushed_without_one(
    hub: DatasetHub, push: Push, run: RunDirectory
) -> None:
    assert push("first", "me/tuned")[0] == 0
    exported = run.path / "exports" / "step-2-adapter"
    (exported / "README.md").unlink()

    code, _, err = push(exported, "me/bare")

    assert code == 0, err
    assert "README.md" not in {file.name for file in hub.folders["me/bare"].iterdir()}
    code, _, err = push(exported, "me/a..b")
    assert code == 2
    assert "'me/a..b' cannot be a repository" in err


def test_a_name_that_is_neither_is_told_with_both_lists(
    hub: DatasetHub, push: Push, run: RunDirectory
) -> None:
    code, _, err = push("frist", "me/tuned")

    assert code == 2
    assert "there is neither a subset nor a run 'frist'" in err
    assert "runs: first" in err
