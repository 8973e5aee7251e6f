"""The process that runs one cell: `python -m openthoughts_cli.sweeps.child`.

It reads its job as the first line of stdin and tells events, then its outcome, as lines on stdout.
A further line `stop`, or the end of stdin, asks the run to end at its next safe point: when the
conductor dies, however it dies, its children save and stop.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

__all__ = ["main"]


def main() -> int:
    """Run the job; 0 whatever became of it, since the outcome is told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C is the conductor's to pass on
    job = json.loads(sys.stdin.readline())
    os.environ.update(job["environ"])  # before any library reads it
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print belongs to the log, not to the protocol
    tell = _Teller(out)
    tell.outcome(_run(job["config"], tell))
    return 0


class _Teller:
    """Writes lines; a conductor that is gone is no reason to lose a checkpoint."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._lock = threading.Lock()

    def event(self, event: Any) -> None:
        from openthoughts_cli.sweeps.wire import encode_event

        value = encode_event(event)
        if value is not None:
            self._line({"event": value})

    def outcome(self, outcome: Any) -> None:
        self._line({"outcome": dataclasses.asdict(outcome)})

    def _line(self, value: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._out.write(json.dumps(value) + "\n")
                self._out.flush()
            except (BrokenPipeError, ValueError):
                return


def _run(values: dict[str, Any], tell: _Teller) -> Any:
    from openthoughts_cli.config.train import TrainConfig
    from openthoughts_cli.errors import OtError
    from openthoughts_cli.sweeps.launch import CellOutcome
    from openthoughts_cli.training.stop import StopRequest
    from openthoughts_cli.training.verb import train

    stop = StopRequest()
    threading.Thread(target=_await_stop, args=(stop,), daemon=True).start()
    try:
        result = train(TrainConfig.model_validate(values), stop=stop, listener=tell.event)
    except OtError as error:
        return CellOutcome.of_error(error)
    except Exception as error:  # noqa: BLE001 - it goes home as the cell's outcome
        traceback.print_exc()  # into the log, whose last lines are shown
        return CellOutcome.of_error(error)
    return CellOutcome.of_result(result)


def _await_stop(stop: Any) -> None:
    sys.stdin.readline()  # `stop`, or nothing: the conductor is gone
    stop.request()


if __name__ == "__main__":
    sys.exit(main())
