"""The tokenizer files of a model on the Hugging Face hub: the local cache first, then the network.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` count as they do everywhere. Code of a
repository is never run.
"""

from __future__ import annotations

from pathlib import Path

from openthoughts_cli import hub
from openthoughts_cli.chat.folder import FILES
from openthoughts_cli.errors import ModelError, NetworkError, StorageError

__all__ = ["hub_folder"]

_ETAG_TIMEOUT_S = 10.0
_REMEDY = (
    "check the network or HF_ENDPOINT (a mirror), or give a local folder with tokenizer.json "
    "(--model, or --tokenizer of ot subset); Qwen/Qwen3-* and smollm2-135m need no hub, only pip"
)


def hub_folder(model: str) -> Path:
    """The folder of the hub's cache that holds the tokenizer files of `model` (revision "main").

    What is cached whole is used without a request.

    Raises:
        NetworkError: the hub cannot be reached, is switched off, or answers with an error.
        ModelError: there is no such model, it is gated, or it has no tokenizer.json.
    """
    if folder := _cached(model, whole=True):
        return folder
    try:
        _probe(model)
        return _download(model)
    except NetworkError:
        if folder := _cached(model, whole=False):
            return folder
        raise


def _cached(model: str, *, whole: bool) -> Path | None:
    """The cached folder, if every file is there or known to be absent.

    Without `whole`, it is enough that tokenizer.json is there and the template is beyond doubt.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = {name: try_to_load_from_cache(model, name) for name in FILES}
    except HFValidationError as error:
        raise ModelError(
            f"{model!r} is neither a folder nor a model id of the form owner/name",
            hint="give a folder that exists, or an id such as Qwen/Qwen3-0.6B",
        ) from error
    path = found["tokenizer.json"]
    if not isinstance(path, str):
        return None
    needed = FILES if whole else ("tokenizer_config.json", "chat_template.jinja")
    if any(found[name] is None for name in needed):
        return None
    return Path(path).parent


def _probe(model: str) -> None:
    from huggingface_hub import hf_hub_url

    if hub.is_offline():
        raise NetworkError(
            f"the tokenizer of {model} is not in the cache, and --offline, OT_OFFLINE or "
            "HF_HUB_OFFLINE forbids fetching it",
            hint="leave out --offline and unset the others, or give a local folder with tokenizer.json",
        )
    reason = hub.why_unreachable(hf_hub_url(model, "tokenizer.json", endpoint=hub.endpoint()))
    if reason is not None:
        raise _unreachable(model, reason)


def _unreachable(model: str, reason: str) -> NetworkError:
    return NetworkError(
        f"the hub at {hub.endpoint()} cannot be reached for the tokenizer of {model}: {reason}",
        hint=_REMEDY,
    )


def _download(model: str) -> Path:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    page = f"{hub.endpoint()}/{model}"
    try:
        with hub.quiet():
            return _download_files(model)
    except GatedRepoError as error:
        raise ModelError(
            f"{model} is gated on the hub",
            hint=f"accept its licence at {page} and set HF_TOKEN (or run `hf auth login`)",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub at {hub.endpoint()} has no model {model!r}, or it is private",
            hint="check the spelling; for a private model set HF_TOKEN",
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(model, str(error.__cause__ or error)) from error
    except EntryNotFoundError as error:
        raise ModelError(
            f"{model} has no tokenizer.json on the hub",
            hint="make one with transformers: AutoTokenizer.from_pretrained(...).save_pretrained"
            "(folder), and give that folder",
        ) from error
    except (HfHubHTTPError, HTTPError) as error:
        raise _unreachable(model, str(error)) from error
    except OSError as error:  # of the disk: those of the network are above
        raise StorageError(
            f"cannot write the hub's cache for {model}: {error}",
            hint="free some space, or choose another directory with HF_HOME",
        ) from error


def _download_files(model: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    first, *others = FILES
    path = hf_hub_download(model, first, endpoint=hub.endpoint(), etag_timeout=_ETAG_TIMEOUT_S)
    for name in others:
        try:
            hf_hub_download(model, name, endpoint=hub.endpoint(), etag_timeout=_ETAG_TIMEOUT_S)
        except LocalEntryNotFoundError:  # the network went away
            raise
        except EntryNotFoundError:
            continue  # most models lack one or two; the cache remembers that
    return Path(path).parent
