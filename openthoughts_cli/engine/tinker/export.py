"""Weights from a Tinker server as files here, by tinker_cookbook (the extra `cookbook`).

The service gives out no saved state as it is: the state is loaded into a training session, exported
there in an open format, encrypted to a key made for this one download, fetched file by file from
signed addresses, and the export is deleted. All of that, and the translation of Tinker's names of
weights, is the cookbook's; here its failures become errors with a remedy, and what arrived is
looked at before it is believed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.tinker.engine import TinkerEngine
from openthoughts_cli.engine.tinker.failures import as_ot_error
from openthoughts_cli.errors import EngineError, IntegrityError, MissingExtraError, ModelError
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent
from openthoughts_cli.waiting import run_to_end

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["fetch_weights", "require_cookbook", "write_adapter", "write_merged"]

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_MOST_CONFIG_BYTES = 1 << 20


def require_cookbook() -> ModuleType:
    """The cookbook's weights module.

    Raises:
        MissingExtraError: it is not installed; says how to install it.
    """
    try:
        from tinker_cookbook import weights  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            f"weights of a Tinker server are exported by tinker_cookbook, which is not usable "
            f"here ({error})",
            hint="pip install 'openthoughts-cli[cookbook]'",
        ) from error
    return weights


def fetch_weights(
    path: str, folder: Path, *, model: str, config: EngineConfig, listener: Listener = silent
) -> None:
    """Download the state at `path` into `folder`, in Tinker's own format.

    Args:
        path: `tinker://<run>/weights/<name>`, as save_state returned it.
        model: the base model, which must still be served: the state is loaded to be exported.

    Raises:
        ModelError: a sampler's weights, which the service gives nobody; expired or unknown ones; a
            model that is no longer served.
        AuthError, NetworkError: as for any request to the service.
        IntegrityError: something else than an adapter arrived.
    """
    weights = require_cookbook()
    if "/sampler_weights/" in path:
        raise ModelError(
            f"{path} is for sampling alone: the service does not give it out",
            hint="export a checkpoint that has a training state; see checkpoints.jsonl",
        )
    base_url = run_to_end(_reach(config, model, listener))
    stage = "fetching the weights from Tinker"
    listener(StageStarted(stage))
    with _cookbook_errors(f"{path} cannot be fetched"):
        weights.download(tinker_path=path, output_dir=str(folder), base_url=base_url)
    _check_files(path, folder)
    listener(StageDone(stage, f"{(folder / _WEIGHTS).stat().st_size / 1e6:,.1f} MB"))


def write_adapter(base: Path, fetched: Path, folder: Path) -> None:
    """Translate what was fetched into a PEFT adapter in `folder`, which must not exist.

    Args:
        base: the base model's folder, whose names of weights decide.

    Raises:
        ModelError: this model or these parts cannot be a PEFT adapter.
    """
    weights = require_cookbook()
    with _cookbook_errors("the weights cannot be made a PEFT adapter"):
        weights.build_lora_adapter(
            base_model=str(base), adapter_path=str(fetched), output_path=str(folder)
        )
    targets = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["target_modules"]
    if "embed_tokens" in targets:
        raise ModelError(
            "the adapter changes the output layer, which this model shares with its input "
            "embeddings: peft has no such adapter and would leave that part out",
            hint="train with lora_unembed: false to export it; or sample it on Tinker",
        )


def write_merged(base: Path, fetched: Path, folder: Path) -> None:
    """Merge what was fetched into the base model, whole in `folder`, which must not exist.

    Raises:
        ModelError: these weights are not of this model, or its output layer cannot be merged.
    """
    weights = require_cookbook()
    _refuse_tied_output(base, fetched)
    with _cookbook_errors("the weights cannot be merged into their base model"):
        weights.build_hf_model(
            base_model=str(base), adapter_path=str(fetched), output_path=str(folder)
        )


def _refuse_tied_output(base: Path, fetched: Path) -> None:
    """A merge would move the input embeddings along with the output layer that was trained."""
    from safetensors import safe_open

    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or config
    if not (text.get("tie_word_embeddings") or config.get("tie_word_embeddings")):
        return
    with safe_open(fetched / _WEIGHTS, framework="np") as file:
        trained = [name for name in file.keys() if "unembed" in name or "lm_head" in name]  # noqa: SIM118
    if trained:
        raise ModelError(
            "the adapter changes the output layer, which this model shares with its input "
            "embeddings: merged, it would change both and be another model",
            hint="train with lora_unembed: false to export it; or sample it on Tinker",
        )


async def _reach(config: EngineConfig, model: str, listener: Listener) -> str:
    """The server's address, once it let us in and serves `model`; the cookbook asks neither."""
    async with TinkerEngine(config, listener=listener) as engine:
        await engine.describe(model, train=True)
        return engine.base_url


def _check_files(path: str, folder: Path) -> None:
    """That what arrived is an adapter: both files, plain ones, and readable."""
    from safetensors import SafetensorError, safe_open

    for file in folder.rglob("*"):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise IntegrityError(
                f"the archive of {path} holds {file.name}, which is not a plain file",
                hint="nothing was kept; run the same command again, and check the server if it "
                "stays so",
            )
    problem = ""
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            problem = f"it holds no {name}"
    try:
        if not problem:
            if (folder / _CONFIG).stat().st_size > _MOST_CONFIG_BYTES:
                problem = f"{_CONFIG} is larger than any"
            elif not isinstance(json.loads((folder / _CONFIG).read_bytes()), dict):
                problem = f"{_CONFIG} holds no object"
            with safe_open(folder / _WEIGHTS, framework="np") as file:
                if not list(file.keys()):
                    problem = f"{_WEIGHTS} holds no weights"
    except (OSError, ValueError, SafetensorError) as error:
        problem = str(error)
    if problem:
        raise IntegrityError(
            f"what came for {path} is not an adapter: {problem}",
            hint="run the same command again; nothing of it was kept",
        )


@contextlib.contextmanager
def _cookbook_errors(what: str) -> Generator[None]:
    """The cookbook's errors in this project's terms, the SDK's own among their causes."""
    import tinker
    from tinker_cookbook.exceptions import (  # pyright: ignore[reportMissingImports]
        TinkerCookbookError,
    )

    known: Any = (TinkerCookbookError, OSError, KeyError, ValueError)
    try:
        yield
    except known as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, tinker.TinkerError):
                raise as_ot_error(cause) from error
            cause = cause.__cause__
        said = " ".join(str(error).split())[:300] or type(error).__name__
        because = "" if error.__cause__ is None else f" ({' '.join(str(error.__cause__).split())})"
        raise EngineError(
            f"{what}: {said}{because[:200]}", hint="nothing was kept; run the same command again"
        ) from error
