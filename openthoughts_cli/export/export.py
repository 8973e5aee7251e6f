"""`ot runs export` as one function: the folder that others load, whole or not there.

An export is written aside and renamed. export.json says which weights it holds and what every file
of it is; the same weights asked for again are the same folder, checked and kept, with a card that
is renewed when the run has been measured since.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.locate import locate as locate_tokenizer
from openthoughts_cli.chat.smollm2 import SMOLLM2_ALIAS, SMOLLM2_HUB_ID
from openthoughts_cli.digests import sha256_file
from openthoughts_cli.errors import (
    ConflictError,
    DataError,
    IntegrityError,
    ModelError,
    StorageError,
)
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.export.card import model_card, public_name
from openthoughts_cli.export.weights import Weights, find_weights, require_fetchable, service_of
from openthoughts_cli.store import directory_aside, read_object, write_whole

__all__ = ["EXPORT_FILE", "Exported", "check_export", "export_weights", "read_export"]

EXPORT_FILE = "export.json"
_FORMAT = 1
_CARD = "README.md"
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


@dataclass(frozen=True, slots=True)
class Exported:
    """An export on disk. `kind` is "adapter" or "merged"; `files` maps names to bytes."""

    path: Path
    kind: str
    run: str
    checkpoint: str
    step: int
    base: str
    files: Mapping[str, int]
    reused: bool = False
    card_renewed: bool = False

    def __repr__(self) -> str:
        size = sum(self.files.values()) / 1e6
        return (
            f"<Exported {self.kind} of {self.run}@{self.checkpoint} (step {self.step}), base "
            f"{self.base}: {len(self.files)} files, {size:,.1f} MB, in {self.path}>"
        )


def export_weights(
    name: str,
    *,
    checkpoint: str | None = None,
    merged: bool = False,
    to: Path | None = None,
    force: bool = False,
    listener: Listener = silent,
) -> Exported:
    """Write a run's weights as a PEFT adapter, or merged into their base model.

    Args:
        name: a run, RUN@CHECKPOINT, or the path of a checkpoint.
        checkpoint: the checkpoint's name; unset, the final one, else the newest.
        merged: the whole model in place of the adapter.
        to: the folder; unset, exports/<checkpoint>-<kind> in the run's directory.
        force: replace another export that is there.

    Raises:
        NotFoundError: no such run or checkpoint.
        UsageError: the run's record names a Tinker server that this person has not named.
        ModelError: the weights have expired or cannot be exported, or the base does not load.
        MissingExtraError: peft, or for a Tinker run tinker_cookbook, is not installed.
        ConflictError: the folder holds something else.
        IntegrityError: weights that are damaged, or changed since they were exported.
        NetworkError, AuthError: the service or the hub cannot be reached or refuses.
    """
    weights = find_weights(name, checkpoint)
    kind = "merged" if merged else "adapter"
    place = to or weights.run.path / "exports" / f"{weights.checkpoint.name}-{kind}"
    place = place.expanduser()
    model = _model_of(weights)
    identity = _identity(weights, kind, model)
    if (kept := _kept(place, identity, force)) is not None:
        return _reuse(place, kept, weights, kind, model)
    if weights.is_remote:
        require_fetchable(weights)
        listener(
            Notice(
                "Tinker gives out weights by a training session that exports them; it trains nothing"
            )
        )
    with directory_aside(place, replace=place.exists()) as aside:
        _write(aside, weights, kind, model, listener)
        _add_tokenizer(aside, model, listener)
        (aside / _CARD).write_text(model_card(weights, kind=kind, base=_base(model)), "utf-8")
        files = _digests(aside)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"format": _FORMAT, "identity": identity, "made": made, "files": files}
        (aside / EXPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return _exported(place, weights, kind, model, files)


def read_export(folder: Path) -> dict[str, Any] | None:
    """export.json of a folder; None where it is no export."""
    try:
        record = read_object(folder / EXPORT_FILE)
    except (DataError, StorageError):
        return None
    wanted = ("identity", "files")
    if record is None or not all(isinstance(record.get(k), dict) for k in wanted):
        return None
    return record


def check_export(folder: Path, record: Mapping[str, Any]) -> None:
    """That every file, the card excepted, is what was written.

    Raises:
        IntegrityError: one is gone or has other bytes.
    """
    for name, entry in record["files"].items():
        file = folder / name
        if name == _CARD:
            continue
        if not file.is_file() or sha256_file(file) != entry["sha256"]:
            raise IntegrityError(
                f"{file} is not what was exported", hint="--force exports it again"
            )


def _model_of(weights: Weights) -> str:
    """The base model's name, as training recorded it."""
    model = weights.run.read_record().get("model")
    name = model.get("name") if isinstance(model, dict) else None
    return str(name or weights.run.read_config().get("model") or "")


def _base(model: str) -> str:
    """The base model as others would name it."""
    return SMOLLM2_HUB_ID if model == SMOLLM2_ALIAS else public_name(model)


def _identity(weights: Weights, kind: str, model: str) -> dict[str, Any]:
    path = Path(weights.path)
    return {
        "kind": kind,
        "run": weights.run.run_id,
        "run_identity": weights.run.read_record().get("identity"),
        "checkpoint": weights.checkpoint.name,
        "step": weights.checkpoint.batch,
        "base": _base(model),
        "weights": weights.path if weights.is_remote else f"{path.parent.name}/{path.name}",
        # A service's saved weights never change under their path.
        "sha256": None if weights.is_remote else _sha256(path / _ADAPTER[1]),
    }


def _sha256(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise ModelError(
            f"there are no saved weights at {file}: {error.strerror}",
            hint="choose another checkpoint; `ot runs show RUN` lists those of a run",
        ) from error


def _kept(place: Path, identity: Mapping[str, Any], force: bool) -> dict[str, Any] | None:
    """The record of the export that is there if it is to stay, None if there is room.

    Raises:
        ConflictError: something else is there; `force` replaces another export, nothing else.
    """
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return None
    record = read_export(place)
    if record is None:
        raise ConflictError(
            f"{place} exists and is not an export of ot, so it is left alone",
            hint="give another folder with --to",
        )
    if force:
        return None
    differing = sorted(k for k in identity if record["identity"].get(k) != identity[k])
    if differing:
        raise ConflictError(
            f"{place} holds an export with another {', '.join(differing)}",
            hint="--force replaces it, --to names another folder",
        )
    check_export(place, record)
    return record


def _reuse(
    place: Path, record: dict[str, Any], weights: Weights, kind: str, model: str
) -> Exported:
    """The export that is there. Its card follows the run, unless a person has changed it."""
    card, files = model_card(weights, kind=kind, base=_base(model)), record["files"]
    file = place / _CARD
    there = sha256_file(file) if file.exists() else None
    wanted = hashlib.sha256(card.encode()).hexdigest()
    known = files.get(_CARD, {}).get("sha256")
    renewed = there != wanted and there in (None, known)
    if renewed:
        write_whole(file, card)
    # Where a kill came between the card and its record, the card is the wanted one already.
    if known != wanted and (renewed or there == wanted):
        entry = {"bytes": file.stat().st_size, "sha256": wanted}
        record = {**record, "files": {**files, _CARD: entry}}
        write_whole(place / EXPORT_FILE, json.dumps(record, indent=2) + "\n")
    exported = _exported(place, weights, kind, model, record["files"])
    return replace(exported, reused=True, card_renewed=renewed)


def _write(aside: Path, weights: Weights, kind: str, model: str, listener: Listener) -> None:
    if weights.is_remote:
        _write_remote(aside, weights, kind, model, listener)
    elif kind == "adapter":
        _check_adapter(Path(weights.path))
        for name in _ADAPTER:
            shutil.copyfile(Path(weights.path) / name, aside / name)
    else:
        from openthoughts_cli.engine.local.export import write_merged

        write_merged(model, Path(weights.path), aside, listener=listener)


def _write_remote(aside: Path, weights: Weights, kind: str, model: str, listener: Listener) -> None:
    from openthoughts_cli.engine.local.fetch import model_dir
    from openthoughts_cli.engine.local.outline import outline
    from openthoughts_cli.engine.tinker import export

    fetched, built, outlined = aside / ".fetched", aside / ".built", aside / ".outline"
    config = service_of(weights)
    export.fetch_weights(weights.path, fetched, model=model, config=config, listener=listener)
    if kind == "merged":
        export.write_merged(model_dir(model, listener), fetched, built)
    else:
        export.write_adapter(outline(model, outlined, listener), fetched, built)
    shutil.rmtree(fetched)
    shutil.rmtree(outlined, ignore_errors=True)
    for file in sorted(built.iterdir()):
        file.replace(aside / file.name)
    built.rmdir()
    if kind == "adapter":  # the cookbook was given a folder of this machine
        _name_base(aside / _ADAPTER[0], model)


def _name_base(file: Path, model: str) -> None:
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = model
    file.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _check_adapter(folder: Path) -> None:
    """That a saved adapter is whole, from its header; no weights are read."""
    from safetensors import SafetensorError, safe_open

    try:
        json.loads((folder / _ADAPTER[0]).read_text(encoding="utf-8"))
        with safe_open(folder / _ADAPTER[1], framework="np") as file:
            if not list(file.keys()):
                raise IntegrityError(
                    f"{folder / _ADAPTER[1]} holds no weights", hint="choose another checkpoint"
                )
    except (OSError, ValueError, SafetensorError) as error:
        raise IntegrityError(
            f"{folder} is not a whole adapter: {error}", hint="choose another checkpoint"
        ) from error


def _add_tokenizer(aside: Path, model: str, listener: Listener) -> None:
    """The base model's tokenizer and chat template, byte for byte those of training."""
    folder = locate_tokenizer(model, listener=listener).folder
    for name in _TOKENIZER:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, aside / name)


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": sha256_file(file),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _exported(
    place: Path, weights: Weights, kind: str, model: str, files: Mapping[str, Any]
) -> Exported:
    return Exported(
        path=place,
        kind=kind,
        run=weights.run.run_id,
        checkpoint=weights.checkpoint.name,
        step=weights.checkpoint.batch,
        base=_base(model),
        files={name: int(entry["bytes"]) for name, entry in files.items()},
    )
