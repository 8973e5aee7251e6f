"""Long work in a process of its own: building an index, cutting a subset.

The server's process stays small and answers meanwhile, and a worker of the index build never imports
a Streamlit script. The child writes its events to its stdout, a JSON object a line, and the last line
is its result or its error; it ends when nobody reads them any more.

    python -m openthoughts_cli.explorer.apart '{"work": "index", "config": {...}}'
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from typing import IO, Any, Literal

from openthoughts_cli import errors
from openthoughts_cli.errors import DataError, OtError
from openthoughts_cli.events import (
    Event,
    Notice,
    StageDone,
    StageProgress,
    StageStarted,
)

__all__ = ["run_apart"]

Work = Literal["index", "subset"]

_SPOKEN: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Notice, StageStarted, StageProgress, StageDone)
}


def run_apart(
    work: Work, config: Mapping[str, Any], *, force: bool = False
) -> Generator[Event, None, dict[str, Any]]:
    """Do the work in a child process; yields its events and returns its result.

    A generator that is closed early stops the child.

    Raises:
        OtError: what the work raised, of the same class.
        DataError: the child ended without a word.
    """
    request = json.dumps({"work": work, "config": dict(config), "force": force})
    command = [sys.executable, "-m", "openthoughts_cli.explorer.apart", request]
    # Complaints go into a file: a pipe that nobody empties would hold the child up once it is full.
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True
        )
        assert child.stdout is not None
        try:
            for line in child.stdout:
                said = json.loads(line)
                if "result" in said:
                    return said["result"]
                if "error" in said:
                    raise _error(said)
                yield _SPOKEN[said.pop("event")](**said)
        finally:
            child.terminate()
            child.stdout.close()
            child.wait()
        last_words = _tail(complaints)
    raise DataError(
        "the process that did the work ended suddenly",
        hint=f"its last words: {last_words or 'none'}; the system may have run out of memory",
    )


def _tail(file: IO[bytes], most_chars: int = 300) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 4 * most_chars, 0))
    return file.read().decode("utf-8", "replace").strip()[-most_chars:]


def _error(said: Mapping[str, str]) -> OtError:
    kind = getattr(errors, said["error"], DataError)
    return kind(said["message"], hint=said.get("hint"))


def main(arguments: list[str]) -> int:
    """The child: do what is asked, and say how it goes on stdout."""
    request = json.loads(arguments[0])
    # Stdout is the pipe alone; whatever a library prints goes to stderr.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as pipe:
        os.dup2(2, 1)

        def say(values: Mapping[str, Any]) -> None:
            pipe.write(json.dumps(values, default=str) + "\n")
            pipe.flush()

        def hear(event: Event) -> None:
            if type(event).__name__ in _SPOKEN:
                values = dataclasses.asdict(event)  # pyright: ignore[reportArgumentType]
                say({"event": type(event).__name__, **values})

        try:
            result = _do(request, hear)
        except OtError as error:
            say({"error": type(error).__name__, "message": error.message, "hint": error.hint})
            return error.exit_code
        except BrokenPipeError:
            return 1
        say({"result": result})
    return 0


def _do(request: Mapping[str, Any], hear: Any) -> dict[str, Any]:
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.subset import SubsetConfig

    if request["work"] == "index":
        from openthoughts_cli.data.browse_open import DataSet, look_up
        from openthoughts_cli.data.index_build import build_index

        looked = look_up(DataSet(**request["config"]), listener=hear)
        states = build_index(looked.index, looked.counter, listener=hear)
        return {"parts": len(states), "rows": sum(state.part.rows for state in states)}
    from openthoughts_cli.data.subset import build_subset

    config = load_config(SubsetConfig, options=request["config"]).config
    subset = build_subset(config, force=request["force"], listener=hear)
    return {"name": subset.name, "path": str(subset.path), "reused": subset.reused}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
