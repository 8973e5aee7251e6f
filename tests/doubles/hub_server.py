"""A Hugging Face hub of a few models over HTTP, reached by HF_ENDPOINT alone."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Hub", "hub_of"]

_COMMIT = "a" * 40


@dataclass
class Hub:
    """What is served, and what was asked for."""

    url: str
    models: dict[str, Path]
    """By id: the folder with the model's files. An empty path is a gated model."""
    requests: list[str] = field(default_factory=list[str])
    status: int | None = None
    """When set, every request is answered with it."""


@contextlib.contextmanager
def hub_of(models: dict[str, Path]) -> Generator[Hub]:
    """Serve `models` until the block ends."""
    hub = Hub("", models)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            model, _, name = self.path.lstrip("/").partition("/resolve/main/")
            if hub.status is not None:
                self._error(hub.status, None)
            elif model not in hub.models:
                self._error(404, "RepoNotFound")
            elif hub.models[model] == Path():
                self._error(403, "GatedRepo")
            elif not (hub.models[model] / name).is_file():
                self._error(404, "EntryNotFound")
            else:
                content = (hub.models[model] / name).read_bytes()
                self.send_response(200)
                self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", _COMMIT)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if with_body:
                    self.wfile.write(content)

        def _error(self, status: int, code: str | None) -> None:
            self.send_response(status)
            self.send_header("X-Repo-Commit", _COMMIT)
            self.send_header("Content-Length", "0")
            if code is not None:
                self.send_header("X-Error-Code", code)
            self.end_headers()

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
