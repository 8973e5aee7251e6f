"""A scripted W&B server on loopback: as much of its GraphQL and file streams as wandb 0.31 needs.

The real client is its own, reached by WANDB_BASE_URL and WANDB_API_KEY. What was logged is in
`history`; files are in `files`. With `dies_once_started` it hangs up for good behind the run's start.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from tests.doubles.loopback_http import HttpRequest, HttpResponse, LoopbackServer, json_response

__all__ = ["KEY", "WandbServer"]

KEY = "f" * 40


class WandbServer:
    """See the module."""

    def __init__(self, *, dies_once_started: bool = False) -> None:
        self.history: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.runs: list[dict[str, Any]] = []
        self._dies_once_started = dies_once_started
        self._http = LoopbackServer(self._answer)

    @property
    def url(self) -> str:
        return self._http.url

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if self._dies_once_started and self.runs:
            return HttpResponse(delivery="reset")
        if request.path.startswith("/upload/"):
            self.files[request.path.removeprefix("/upload/")] = request.body
        if request.path.endswith("/file_stream"):
            self._stream(request.json())
        if request.path == "/graphql":
            return json_response({"data": self._query(request.json())})
        return json_response({})

    def _stream(self, body: dict[str, Any]) -> None:
        chunk = body.get("files", {}).get("wandb-history.jsonl")
        if chunk is not None:
            assert chunk["offset"] == len(self.history)
            self.history += [json.loads(line) for line in chunk["content"]]

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        query, given = body["query"], body.get("variables") or {}
        if "upsertBucket" in query:
            self.runs.append(given)
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": given["name"], "config": "{}", "project": project}
            empty = {"displayName": None, "description": None, "sweepName": None}
            bucket |= {**empty, "historyLineCount": len(self.history)}
            return {"upsertBucket": {"bucket": bucket, "inserted": len(self.runs) == 1}}
        if "createRunFiles" in query:
            files = [{"name": n, "uploadUrl": f"{self.url}/upload/{n}"} for n in given["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if "createArtifact" in query:
            artifact = {"id": "a", "state": "COMMITTED"}
            sequence = {"artifactSequence": {"id": "s", "latestArtifact": None}}
            return {"createArtifact": {"artifact": {**artifact, **sequence}}}
        viewer = {
            "id": "u",
            "username": "me",
            "entity": "me",
            "flags": "{}",
            "teams": {"edges": []},
        }
        return {"viewer": viewer, "model": {"bucket": None}, "project": {"artifact": None}}

    def __enter__(self) -> WandbServer:
        self._http.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.stop()
