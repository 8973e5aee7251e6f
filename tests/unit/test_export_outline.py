"""A model's names of weights from the hub, without its weights; each case is a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from openthoughts_cli.engine.local.outline import outline  # noqa: E402
from openthoughts_cli.events import silent  # noqa: E402
from tests.doubles.dataset_hub import DatasetHub, dataset_hub  # noqa: E402
from tests.doubles.tiny_llama import save_tiny_llama  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
ASK = """
import json, sys
from pathlib import Path
from openthoughts_cli.engine.local.outline import outline
from openthoughts_cli.errors import OtError
try:
    print(json.dumps({"made": str(outline("me/some", Path(sys.argv[1]), lambda event: None))}))
except OtError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two million weights, so that a header is a small part of them."""
    folder = tmp_path_factory.mktemp("models") / "some"
    return save_tiny_llama(folder, hidden_size=128, intermediate_size=2048)


def ask(hub: DatasetHub, tmp_path: Path) -> dict[str, Any]:
    hub.models.add("me/some")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "OT_"))}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "outline")],
        cwd=REPOSITORY,
        env={**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_names_and_shapes_are_those_of_the_whole_model(model: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with dataset_hub({"me/some": model}) as hub:
        made = Path(ask(hub, tmp_path)["made"])
        sent = sum(int(line.split(" -> 206, ")[1].split()[0]) for line in hub.log if " 206" in line)

    whole, outlined = model / "model.safetensors", made / "model.safetensors"
    with safe_open(whole, "np") as one, safe_open(outlined, "np") as other:
        names = list(one.keys())
        assert names == list(other.keys())
        for name in names:
            assert one.get_slice(name).get_shape() == other.get_slice(name).get_shape()
    assert outlined.stat().st_size == whole.stat().st_size
    assert outlined.stat().st_blocks * 512 < whole.stat().st_size / 2
    assert sent < whole.stat().st_size / 10
    assert (made / "config.json").read_bytes() == (model / "config.json").read_bytes()


def test_a_model_on_this_machine_needs_none(model: Path, tmp_path: Path) -> None:
    assert outline(str(model), tmp_path / "outline", silent) == model
    assert not (tmp_path / "outline").exists()


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"\xff" * 300_000, "IntegrityError", "is not a safetensors file"),
        (b"\x10\0\0", "IntegrityError", "is not a safetensors file"),
        (None, "ModelError", "has no safetensors"),
    ],
    ids=["too-long", "too-short", "none"],
)
def test_what_is_no_safetensors_is_refused(
    tmp_path: Path, content: bytes | None, error: str, said: str
) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)

    with dataset_hub({"me/some": folder}) as hub:
        answer = ask(hub, tmp_path)

    assert answer["error"] == error
    assert said in answer["message"]


def test_a_host_without_ranges_is_not_asked_for_everything(model: Path, tmp_path: Path) -> None:
    with dataset_hub({"me/some": model}) as hub:
        hub.ranges = False
        answer = ask(hub, tmp_path)

    assert answer["error"] == "NetworkError"
    assert "serves no ranges" in answer["message"]
