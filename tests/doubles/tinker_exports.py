"""A scripted Tinker server that also gives out weights, as the service does since SDK 0.38.

A saved state is loaded into a training session, saved there in an open format, each file encrypted
to the client's age key, and fetched from an address of its own that needs no credentials. A test
may bend what is listed and what is sent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_base import Refused
from tests.doubles.tinker_queue import Outcome, Promise
from tests.doubles.tinker_server import TinkerServer
from tests.doubles.tinker_wire import WireError, digest_of

__all__ = ["ExportingServer", "tinker_files"]

Files = dict[str, bytes]


class ExportingServer(TinkerServer):
    """See the module. `exports` maps the path of an export to its files; deleted ones are gone."""

    bend: Callable[[Files], Files] = staticmethod(lambda files: files)
    """What becomes of the plain files before they are encrypted."""
    rename: Callable[[str], str] = staticmethod(lambda name: name)
    """What the server calls a file when it lists them."""
    cut: bool = False
    """Send half of a file and end the connection."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.exports: dict[str, Files] = {}
        self.recipients: list[str] = []

    def __enter__(self) -> ExportingServer:
        self.start()
        return self

    async def _route(self, request: HttpRequest) -> HttpResponse:
        signed = re.fullmatch(r"/signed/(.+)/file/(\d+)", request.path)
        if signed is not None:
            return self._signed(f"tinker://{signed[1]}", int(signed[2]))
        if request.headers.get("x-api-key") == self.key:
            if request.path == "/api/v1/save_weights_external":
                return self._save_external(request)
            found = re.fullmatch(
                r"/api/v1/training_runs/([^/]+)/checkpoints/(.+?)(/external_weights_urls|/ttl)?",
                request.path,
            )
            if found is not None:
                return self._of_checkpoint(request, f"tinker://{found[1]}/{found[2]}", found[3])
            if request.path == "/api/v1/load_weights":
                # The engine behind resumes with the optimiser; an export has no use for it.
                asked = {**request.json(), "optimizer": True}
                request = dataclasses.replace(request, body=json.dumps(asked).encode())
        return await super()._route(request)

    def _save_external(self, request: HttpRequest) -> HttpResponse:
        asked = request.json()
        run = self.runs[asked["model_id"]]
        path = f"tinker://{run.model_id}/external_weights/{asked['path']}"
        self.recipients = list(asked.get("age_encryption_recipients") or ())

        async def keep() -> Outcome:
            folder = Path(await run.trainer.save_sampler(f"export-{len(self.exports)}"))
            files = self.bend(await asyncio.to_thread(tinker_files, folder))
            self.exports[path] = _encrypted(files, self.recipients)
            return Outcome(json={"type": "save_weights_external", "path": path})

        promise = Promise(f"{run.model_id}:{asked['seq_id']}", digest_of(request.body), keep)
        accepted = run.accept(asked["seq_id"], promise)
        self.promises[accepted.request_id] = accepted
        return json_response({"request_id": accepted.request_id, "model_id": run.model_id})

    def _of_checkpoint(self, request: HttpRequest, path: str, what: str | None) -> HttpResponse:
        if path not in self.exports:
            raise Refused(404, f"no such checkpoint: {path}")
        if what is None:
            if request.method != "DELETE":
                raise WireError(f"{request.method} of a checkpoint")
            del self.exports[path]
            return json_response({})
        if what == "/ttl":
            return json_response({})
        place = f"{self.url}/signed/{path.removeprefix('tinker://')}/file"
        urls = {self.rename(n): f"{place}/{i}" for i, n in enumerate(sorted(self.exports[path]))}
        expires = datetime.now(UTC) + timedelta(hours=1)
        return json_response({"urls": urls, "expires": expires.isoformat()})

    def _signed(self, path: str, number: int) -> HttpResponse:
        files = self.exports.get(path)
        if files is None:
            raise Refused(404, "the address has expired")
        content = files[sorted(files)[number]]
        return HttpResponse(
            200, content, "application/octet-stream", delivery="half" if self.cut else "whole"
        )


def tinker_files(folder: Path) -> Files:
    """A peft adapter as Tinker writes one: its own name for the output layer, a short config."""
    from safetensors.torch import load, save

    settings = json.loads((folder / "adapter_config.json").read_text())
    short = {"r": settings["r"], "lora_alpha": settings["lora_alpha"]}
    weights = load((folder / "adapter_model.safetensors").read_bytes())
    named = {
        n.replace("model.lm_head.", "model.model.unembed_tokens."): w for n, w in weights.items()
    }
    return {
        "adapter_config.json": json.dumps(short).encode(),
        "adapter_model.safetensors": save(named),
    }


def _encrypted(files: Mapping[str, bytes], recipients: list[str]) -> Files:
    import pyrage  # pyright: ignore[reportMissingImports]  # of an extra

    library: Any = pyrage
    keys = [library.x25519.Recipient.from_str(each) for each in recipients]
    return {f"{name}.age": library.encrypt(content, keys) for name, content in files.items()}
