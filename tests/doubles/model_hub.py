"""A Hugging Face hub that serves whole model folders, weights included, at any revision."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["ModelHub", "model_hub"]

_COMMIT = "b" * 40


@dataclass
class ModelHub:
    """What is served, what was asked for, and the status that answers everything when set."""

    models: dict[str, Path]
    url: str = ""
    requests: list[str] = field(default_factory=list[str])
    status: int | None = None

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path of the API or of a file."""
        if self.status is not None:
            return self.status, {}, b""
        parts = path.partition("?")[0].strip("/").removeprefix("api/models/").split("/")
        folder = self.models.get("/".join(parts[:2]))
        if folder is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        kind, name = parts[2], "/".join(parts[4:])
        files = sorted(file for file in folder.iterdir() if file.is_file())
        if kind == "resolve":
            if not (folder / name).is_file():
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            content = (folder / name).read_bytes()
            etag = hashlib.sha1(content).hexdigest()
            return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": _commit(parts[3])}, content
        listing: Any = [
            {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40}
            for f in files
        ]
        if kind == "revision":
            listing = {
                "id": "/".join(parts[:2]),
                "sha": _commit(parts[3]),
                "siblings": [{"rfilename": file.name} for file in files],
            }
        return 200, {"Content-Type": "application/json"}, json.dumps(listing).encode()


def _commit(revision: str) -> str:
    return _COMMIT if revision == "main" else revision


@contextlib.contextmanager
def model_hub(models: dict[str, Path]) -> Generator[ModelHub]:
    """Serve `models` until the block ends."""
    hub = ModelHub(models)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
