"""A Hugging Face hub of data sets over HTTP: what is served lies in a folder for each id."""

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

__all__ = ["DatasetHub", "dataset_hub"]

COMMIT = "c" * 40


@dataclass
class DatasetHub:
    """Where it is, and the requests it was asked: method, path and range."""

    url: str
    requests: list[str] = field(default_factory=list[str])


@contextlib.contextmanager
def dataset_hub(datasets: dict[str, Path]) -> Generator[DatasetHub]:
    """Serve the folders of `datasets` by their ids until the block ends."""
    hub = DatasetHub("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._answer(self.rfile.read(length))

        def _answer(self, body: bytes = b"") -> None:
            path = self.path.partition("?")[0]
            hub.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
            for name, folder in datasets.items():
                if path.startswith(f"/api/datasets/{name}"):
                    return self._api(path, folder, name, body)
                start = f"/datasets/{name}/resolve/"
                if path.startswith(start):
                    return self._file(folder / path.removeprefix(start).partition("/")[2])
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None

        def _api(self, path: str, folder: Path, name: str, body: bytes) -> None:
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            listed = [_entry(file, folder) for file in files]
            if "/paths-info/" in path:
                wanted = json.loads(body)["paths"]
                self._json([entry for entry in listed if entry["path"] in wanted])
            elif "/tree/" in path:
                self._json(listed)
            else:
                siblings = [{"rfilename": e["path"], "size": e["size"]} for e in listed]
                self._json({"id": name, "sha": COMMIT, "siblings": siblings})

        def _file(self, file: Path) -> None:
            if not file.is_file():
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            content = file.read_bytes()
            headers = {
                "ETag": f'"{_etag(file)}"',
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            status = 200
            if asked := self.headers.get("Range"):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last or len(content)), len(content) - 1)
                headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
                content, status = content[start : stop + 1], 206
            return self._send(status, content, headers)

        def _json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _entry(file: Path, folder: Path) -> dict[str, Any]:
    path = file.relative_to(folder).as_posix()
    return {"type": "file", "path": path, "size": file.stat().st_size, "oid": _etag(file)}
