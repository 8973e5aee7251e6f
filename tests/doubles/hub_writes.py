"""The routes by which huggingface_hub makes a repository and commits to it, for `dataset_hub`."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

__all__ = ["Writes"]

_LARGE = (".parquet", ".arrow", ".png", ".safetensors")


class Writes:
    """Mixed into the double's handler. A repository's content is its folder."""

    hub: Any
    allowed: Any
    command: str

    def write(self, path: str, body: bytes) -> bool:
        """Answer a request of writing; False when it is none."""
        if self.command != "POST":
            return False
        if path == "/api/validate-yaml":
            self._validate_card(json.loads(body)["content"])
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif "/preupload/" in path:
            self._preupload(self._repo_of(path), json.loads(body))
        elif "/commit/" in path:
            self._commit(self._repo_of(path), [json.loads(line) for line in body.splitlines()])
        else:
            return False
        return True

    def _repo_of(self, path: str) -> str:
        return "/".join(path.split("/")[3:5])  # /api/datasets/owner/name/... or /api/models/...

    def _refused(self) -> bool:
        if self.allowed:
            return False
        message = {"X-Error-Message": "Invalid credentials in Authorization header"}
        self.send(401, b'{"error": "Invalid credentials in Authorization header"}', message)
        return True

    def _validate_card(self, content: str) -> None:
        import yaml

        _, head, _ = content.split("---\n", 2)
        fine = isinstance(yaml.safe_load(head), dict)
        self.json({"errors": [] if fine else [{"message": "no mapping"}], "warnings": []})

    def _create(self, asked: dict[str, Any]) -> None:
        if self._refused():
            return
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.folders:
            page = f"{self.hub.url}/{self.hub.place(name)}"
            self.json({"error": "You already created this dataset repo", "url": page}, 409)
            return
        folder = self.hub.root / name.replace("/", "--")
        folder.mkdir(parents=True)
        (folder / ".gitattributes").write_text("*.arrow filter=lfs\n")
        self.hub.folders[name] = folder
        self.hub.commits[name] = "0" * 40
        if asked.get("type") == "model":
            self.hub.models.add(name)
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        self.json({"url": f"{self.hub.url}/{self.hub.place(name)}", "name": name, "id": name})

    def _preupload(self, name: str, asked: dict[str, Any]) -> None:
        if self._refused():
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if Path(file["path"]).suffix in _LARGE else "regular",
                "shouldIgnore": False,
            }
            for file in asked["files"]
        ]
        self.json({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        if self._refused():
            return
        store = self.hub.url.replace("127.0.0.1", "localhost")
        objects = [
            {**each, "actions": {"upload": {"href": f"{store}/store/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        self.json({"transfer": "basic", "objects": objects})

    def take(self, digest: str, body: bytes) -> None:
        """Keep an uploaded content until a commit names it."""
        if hashlib.sha256(body).hexdigest() != digest:
            self.send(400, b"", {})
            return
        self.hub.uploads[digest] = body
        self.send(200, b"", {})

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        if self._refused():
            return
        folder: Path = self.hub.folders[name]
        header = lines[0]["value"]
        parent = header.get("parentCommit")
        if parent is not None and parent != self.hub.commits[name]:
            self.json({"error": "the branch moved"}, 412)
            return
        for line in lines[1:]:
            place = folder / line["value"]["path"]
            if line["key"] == "deletedFolder":
                shutil.rmtree(place)
            elif line["key"] == "deletedFile":
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                value = line["value"]
                content = (
                    base64.b64decode(value["content"])
                    if line["key"] == "file"
                    else self.hub.uploads[value["oid"]]
                )
                place.write_bytes(self.hub.spoil(value["path"], content))
        commit = hashlib.sha1(self.hub.commits[name].encode() + repr(lines).encode()).hexdigest()
        self.hub.commits[name] = commit
        url = f"{self.hub.url}/{self.hub.place(name)}/commit/{commit}"
        self.json({"success": True, "commitOid": commit, "commitUrl": url})

    def json(self, value: Any, status: int = 200) -> None:
        raise NotImplementedError

    def send(self, status: int, content: bytes, headers: Any) -> None:
        raise NotImplementedError
