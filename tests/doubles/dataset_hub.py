"""A Hugging Face hub of data sets, and of models pushed to it, over HTTP; a folder for each id.

As the real one does, it answers `resolve` for a large file with a redirect to a store on another
origin, names large files by SHA-256 and small ones by git's digest, serves ranges, hides private
repositories from strangers and takes commits (`hub_writes.py`). `faults` are met once each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.doubles.hub_writes import Writes

__all__ = ["COMMIT", "DatasetHub", "Fault", "TOKEN", "dataset_hub", "git_digest"]

COMMIT = "c" * 40
TOKEN = "hf_of_this_test"
_LARGE = (".parquet", ".arrow", ".png", ".safetensors")


@dataclass
class Fault:
    """Something that goes wrong with the next request whose line holds `where`."""

    where: str
    status: int | None = None
    """Answer with this status instead."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut_after: int | None = None
    """Send so many bytes of the content, then end the connection."""
    reset: bool = False
    """End it with a reset rather than in order."""


@dataclass
class DatasetHub:
    """Where it is, what it holds, what goes wrong, and what it was asked."""

    url: str
    folders: dict[str, Path]
    commits: dict[str, str] = field(default_factory=dict[str, str])
    """Of each data set, the commit of `main`."""
    refs: dict[tuple[str, str], tuple[str, Path]] = field(
        default_factory=dict[tuple[str, str], tuple[str, Path]]
    )
    """(id, revision) of other branches and commits: their commit and folder."""
    models: set[str] = field(default_factory=set[str])
    """Those of the repositories that hold a model."""
    private: set[str] = field(default_factory=set[str])
    gated: set[str] = field(default_factory=set[str])
    admits: set[str] = field(default_factory=lambda: {f"Bearer {TOKEN}"})
    """What an Authorization header may say."""
    quoting: set[str] = field(default_factory=set[str])
    """Repositories whose requests are refused in words that hold the Authorization header."""
    faults: list[Fault] = field(default_factory=list[Fault])
    ranges: bool = True
    requests: list[str] = field(default_factory=list[str])
    """Method, path and range of each request."""
    log: list[str] = field(default_factory=list[str])
    """The same with what was answered."""
    strangers: list[str] = field(default_factory=list[str])
    """Requests to the store that carried a token, which is for the hub alone."""
    root: Path = Path()
    """Where new repositories get their folders."""
    uploads: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Contents by SHA-256 that no commit has named yet."""
    bend: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By SHA-256: what the store serves instead."""
    spoil: Callable[[str, bytes], bytes] = lambda _, content: content
    """What becomes of a committed file's content."""

    def place(self, name: str) -> str:
        """A repository's path on the hub's pages."""
        return name if name in self.models else f"datasets/{name}"

    def api(self, name: str) -> str:
        """And in its API."""
        return f"/api/{'models' if name in self.models else 'datasets'}/{name}"

    def fault_for(self, line: str) -> Fault | None:
        """The first fault that fits, which is then over."""
        for fault in self.faults:
            if fault.where in line:
                self.faults.remove(fault)
                return fault
        return None


class _Handler(Writes, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: DatasetHub
    fault: Fault | None = None
    line = ""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, body: bytes) -> None:
        path = unquote(self.path.partition("?")[0])
        line = f"{self.command} {path} {self.headers.get('Range', '')}".strip()
        self.line = line
        self.hub.requests.append(line)
        self.fault = self.hub.fault_for(line)
        if self.fault is not None and self.fault.status is not None:
            return self.send(self.fault.status, b"", self.fault.headers)
        if any(f"/{name}" in path for name in self.hub.quoting):
            said = f"go away, {self.headers.get('Authorization', 'nobody')}"
            body = json.dumps({"error": said}).encode()
            return self.send(400, body, {"x-error-message": said})
        if path.startswith("/store/"):
            return self._store(path.removeprefix("/store/"), body)
        if self.write(path, body):
            return None
        for name in self.hub.folders:
            api = self.hub.api(name)
            if path.startswith((f"{api}/", f"/{self.hub.place(name)}/")) or path == api:
                return self._repository(path, name, body)
        return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    @property
    def allowed(self) -> bool:
        return self.headers.get("Authorization") in self.hub.admits

    def _repository(self, path: str, name: str, body: bytes) -> None:
        if name in self.hub.private and not self.allowed:
            return self.send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        if path.startswith("/api/"):
            return self._api(path.removeprefix(self.hub.api(name)), name, body)
        revision, _, file = path.removeprefix(f"/{self.hub.place(name)}/resolve/").partition("/")
        found = self._at(name, revision)
        if found is None:
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if name in self.hub.gated and not self.allowed:
            return self.send(403, b"", {"X-Error-Code": "GatedRepo"})
        return self._resolve(found[1] / file, found[0])

    def _at(self, name: str, revision: str) -> tuple[str, Path] | None:
        main = self.hub.commits.setdefault(name, COMMIT)
        if revision in ("main", main):
            return main, self.hub.folders[name]
        return self.hub.refs.get((name, revision))

    def _api(self, rest: str, name: str, body: bytes) -> None:
        action, _, revision = rest.removeprefix("/").partition("/")
        found = self._at(name, revision.partition("/")[0] or "main")
        if found is None:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        commit, folder = found
        listed = [_entry(file, folder) for file in _files(folder)]
        if action == "paths-info":
            wanted = json.loads(body)["paths"]
            return self.json([entry for entry in listed if entry["path"] in wanted])
        if action == "tree":
            return self.json(listed)
        siblings = [
            {
                "rfilename": entry["path"],
                "size": entry["size"],
                "blobId": entry["oid"],
                **({"lfs": entry["lfs"]} if "lfs" in entry else {}),
            }
            for entry in listed
        ]
        private = name in self.hub.private
        return self.json({"id": name, "sha": commit, "siblings": siblings, "private": private})

    def _resolve(self, file: Path, commit: str) -> None:
        headers = {"X-Repo-Commit": commit}
        if not file.is_file():
            return self.send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        content = file.read_bytes()
        if file.suffix not in _LARGE:
            return self.content(content, {**headers, "ETag": f'"{git_digest(content)}"'})
        digest = hashlib.sha256(content).hexdigest()
        store = self.hub.url.replace("127.0.0.1", "localhost")
        headers["Location"] = f"{store}/store/{digest}"
        headers["X-Linked-Etag"] = f'"{digest}"'
        headers["X-Linked-Size"] = str(len(content))
        return self.send(302, b"", headers)

    def _store(self, digest: str, body: bytes) -> None:
        if "Authorization" in self.headers:
            self.hub.strangers.append(self.path)
        if self.command == "PUT":
            return self.take(digest, body)
        folders = [*self.hub.folders.values(), *(at for _, at in self.hub.refs.values())]
        for folder in folders:
            for file in _files(folder):
                content = file.read_bytes()
                if file.suffix in _LARGE and hashlib.sha256(content).hexdigest() == digest:
                    content = self.hub.bend.get(digest, content)
                    return self.content(content, {"ETag": f'"{digest}"'})
        return self.send(404, b"", {})

    def content(self, content: bytes, headers: Mapping[str, str]) -> None:
        asked = self.headers.get("Range")
        if not asked or not self.hub.ranges:
            return self.send(200, content, {**headers, "Accept-Ranges": "bytes"})
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(content)), len(content) - 1)
        span = {"Content-Range": f"bytes {start}-{stop}/{len(content)}"}
        return self.send(206, content[start : stop + 1], {**headers, **span})

    def json(self, value: Any, status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = self.fault.cut_after if self.fault is not None else None
        sent = content if cut is None else content[:cut]
        ending = "" if cut is None else ", then reset" if self.fault_resets else ", then cut"
        self.hub.log.append(f"{self.line} -> {status}, {len(sent)} bytes{ending}")
        if self.command == "HEAD":
            return
        self.wfile.write(sent)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            if self.fault_resets:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()

    @property
    def fault_resets(self) -> bool:
        return self.fault is not None and self.fault.reset

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # reset on purpose
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass


@contextlib.contextmanager
def dataset_hub(datasets: dict[str, Path]) -> Generator[DatasetHub]:
    """Serve the folders of `datasets` by their ids until the block ends."""
    hub = DatasetHub("", dict(datasets))
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def git_digest(content: bytes) -> str:
    """The name that git gives a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _entry(file: Path, folder: Path) -> dict[str, Any]:
    content = file.read_bytes()
    entry: dict[str, Any] = {
        "type": "file",
        "path": file.relative_to(folder).as_posix(),
        "size": len(content),
        "oid": git_digest(content),
    }
    if file.suffix in _LARGE:
        digest = hashlib.sha256(content).hexdigest()
        # A listing of files calls it oid, the repository's own record sha256.
        entry["lfs"] = {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 100}
    return entry
