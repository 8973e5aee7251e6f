from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.engine.local.fetch import BUILT_IN, describe, model_dir
from openthoughts_cli.errors import ModelError
from tests.doubles.model_hub import ModelHub, model_hub
from tests.doubles.tiny_llama import CONTEXT_TOKENS, save_tiny_llama
from tests.doubles.unreachable import unreachable

pytestmark = pytest.mark.torch

REPOSITORY = Path(__file__).parents[2]
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
SCRIPT = """\
import json, sys
from openthoughts_cli.engine.local.fetch import describe, locate
from openthoughts_cli.errors import OtError
try:
    info = describe(sys.argv[1])
    found = locate(sys.argv[1])
    print(json.dumps({"context": info.context_tokens, "folder": str(found.folder),
                      "reference": found.reference, "torch": "torch" in sys.modules}))
except OtError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def hub(tiny: Path) -> Generator[ModelHub]:
    with model_hub({"org/tiny": tiny, SMOLLM2: tiny}) as hub:
        yield hub


def locate(model: str, tmp_path: Path, endpoint: str, **environ: str) -> dict[str, Any]:
    """What a process of its own says, where the hub is `endpoint` and pip reaches nothing."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, model],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "OT_CACHE": str(tmp_path / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": "/dev/null",
            **environ,
        },
    )
    return json.loads(result.stdout)


def test_a_local_folder_is_taken_as_it_is(tiny: Path) -> None:
    assert model_dir(str(tiny)) == tiny.resolve()
    info = describe(str(tiny))
    assert (info.context_tokens, info.hidden_size) == (CONTEXT_TOKENS, 32)


def test_a_folder_without_weights_is_refused(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"needs config\.json and"):
        model_dir(str(tmp_path))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    with pytest.raises(ModelError, match=r"needs config\.json and"):
        model_dir(str(tmp_path))


@pytest.mark.parametrize("name", ["no-such-model", "./nowhere", "/nowhere/at/all", "~/nowhere/x"])
def test_a_name_that_is_nothing_is_a_model_error_with_the_alias(name: str) -> None:
    with pytest.raises(ModelError, match="there is no model") as caught:
        model_dir(name)
    assert "smollm2-135m" in (caught.value.hint or "")


def test_the_built_in_model_is_described_before_it_is_fetched() -> None:
    assert describe("smollm2-135m") == BUILT_IN
    assert describe(SMOLLM2).context_tokens == 8192


@pytest.mark.slow
def test_a_hub_model_is_fetched_once_and_described_without_weights(
    hub: ModelHub, tmp_path: Path
) -> None:
    first = locate("org/tiny", tmp_path, hub.url)
    assert first["context"] == CONTEXT_TOKENS
    assert first["reference"] == "org/tiny"
    assert not first["torch"]
    assert (Path(first["folder"]) / "model.safetensors").is_file()
    order = [request for request in hub.requests if "GET" in request and "resolve" in request]
    assert "config.json" in order[0]
    asked = len(hub.requests)
    assert locate("org/tiny", tmp_path, hub.url) == first
    assert locate("org/tiny", tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == first
    assert len(hub.requests) == asked


@pytest.mark.slow
def test_what_the_hub_lacks_is_a_model_error(hub: ModelHub, tmp_path: Path) -> None:
    answer = locate("org/none", tmp_path, hub.url)
    assert answer["error"] == "ModelError"
    assert "org/none" in answer["message"]


@pytest.mark.slow
def test_an_unreachable_hub_is_said_after_few_tries(tmp_path: Path) -> None:
    with unreachable() as hub:
        answer = locate("org/tiny", tmp_path, hub.url)
    assert 1 <= hub.attempts <= 3  # the library may ask once more
    assert answer["error"] == "NetworkError"
    assert hub.url in answer["message"]
    assert "smollm2-135m" in answer["hint"]
    offline = locate("org/tiny", tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert offline["error"] == "ModelError"
    assert "HF_HUB_OFFLINE" in offline["message"]


@pytest.mark.slow
def test_other_weights_than_the_pinned_ones_are_refused_and_not_kept(
    hub: ModelHub, tmp_path: Path
) -> None:
    answer = locate("smollm2-135m", tmp_path, hub.url)
    assert answer["error"] == "IntegrityError"
    assert "model.safetensors" in answer["message"]
    left = [
        p.name for p in (tmp_path / "cache" / "models").iterdir() if not p.name.endswith(".lock")
    ]
    assert left == []
    assert any("12fd25f77366fa6b3b4b768ec3050bf629380bac" in request for request in hub.requests)


@pytest.mark.slow
def test_neither_hub_nor_registry_is_one_error_that_names_both_remedies(tmp_path: Path) -> None:
    answer = locate("smollm2-135m", tmp_path, "http://127.0.0.1:9")
    assert answer["error"] == "NetworkError"
    assert "HF_ENDPOINT" in answer["hint"]
    assert "PIP_INDEX_URL" in answer["hint"]


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_is_whole_and_loads_with_its_end_of_turn() -> None:
    folder = model_dir("smollm2-135m")
    config = json.loads((folder / "config.json").read_text())
    assert config["eos_token_id"] == 2
    assert "quantization_config" not in config
    assert {"tokenizer.json", "model.safetensors"} <= {file.name for file in folder.iterdir()}
