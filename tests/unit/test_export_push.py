"""`ot push` of a run's weights, against a hub over HTTP that takes commits; each push is a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from openthoughts_cli.runs.layout import RunDirectory
from tests.doubles.dataset_hub import TOKEN, DatasetHub, dataset_hub
from tests.unit.test_export import model, run, trained

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

__all__ = ["model", "run", "trained"]

REPOSITORY = Path(__file__).parents[2]
Push = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def hub(tmp_path: Path) -> Generator[DatasetHub]:
    with dataset_hub({}) as hub:
        hub.root = tmp_path / "served"
        yield hub


@pytest.fixture
def push(hub: DatasetHub, run: RunDirectory, tmp_path: Path) -> Push:
    def call(*arguments: Any, token: str = TOKEN) -> Any:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "OT_"))}
        done = subprocess.run(
            [sys.executable, "-m", "openthoughts_cli", "push", *map(str, arguments), "--json"],
            cwd=tmp_path,
            env={
                **kept,
                "PYTHONPATH": str(REPOSITORY),
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(tmp_path / "home"),
                "OT_CACHE": str(tmp_path / "cache"),
                "OT_RUNS": str(run.path.parent),
                "HF_TOKEN": token,
                "HF_HUB_DISABLE_XET": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    return call


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
