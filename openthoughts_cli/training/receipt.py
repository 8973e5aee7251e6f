"""What a run used, beside what the plan expected; and what later plans can learn from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from openthoughts_cli.errors import OtError, StorageError
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.store import read_lines, read_object, write_whole

if TYPE_CHECKING:
    from openthoughts_cli.training.plan import Plan  # reading receipts needs no data rooms

__all__ = ["Past", "Receipt", "past_of", "read_receipt", "write_receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Estimate against actual. Actual figures are of all attempts, steps done twice included.

    `estimate` and `actual` have the same keys: `steps`, `train_tokens`, `sampled_tokens`,
    `usd`, `seconds`; an estimate is a number, a [least, most] pair, or None.
    """

    run: str
    status: str
    model: str
    engine: str
    attempts: int
    estimate: Mapping[str, Any]
    actual: Mapping[str, Any]
    train_tokens_per_s: float | None
    tokens_per_answer: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The receipt as one JSON-like record."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Past:
    """What the newest earlier runs of a model on an engine measured; None where there is none."""

    train_tokens_per_s: float | None = None
    tokens_per_answer: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    seconds_beside_training: float = 0.0


def past_of(model: str, engine: str) -> Past:
    """What the receipts under the runs directory say of the model on this kind of engine."""
    rate: float | None = None
    beside_s = 0.0
    answers: dict[str, float] = {}
    for run in reversed(list_runs()):
        record = read_receipt(run)
        if record.get("model") != model or record.get("engine") != engine:
            continue
        for name, mean in _mapping(record.get("tokens_per_answer")).items():
            if (tokens := _positive(mean)) is not None:
                answers.setdefault(name, tokens)
        if rate is None and (rate := _positive(record.get("train_tokens_per_s"))) is not None:
            actual = _mapping(record.get("actual"))
            trained_s = (_positive(actual.get("train_tokens")) or 0.0) / rate
            beside_s = max((_positive(actual.get("seconds")) or 0.0) - trained_s, 0.0)
    return Past(rate, answers, beside_s)


def read_receipt(run: RunDirectory) -> dict[str, Any]:
    """receipt.json, or an empty mapping where there is none."""
    try:
        return read_object(run.receipt_path) or {}
    except OtError:
        return {}  # it is made of the log and can be made again


def write_receipt(run: RunDirectory, plan: Plan, *, status: str, usd: float) -> Receipt | None:
    """Work the receipt out from the run's files and store it; None where it cannot be written."""
    steps = [line for line in read_lines(run.metrics_path) if "train_mean_nll" in line]
    train_tokens = sum(int(_positive(line.get("num_tokens")) or 0) for line in steps)
    step_s = sum(_positive(line.get("time/step")) or 0.0 for line in steps)
    sampled, means = _sampled(run)
    attempts, seconds = _attempts(run)
    receipt = Receipt(
        run=run.run_id,
        status=status,
        model=plan.model,
        engine=plan.engine,
        attempts=attempts,
        estimate={
            "steps": plan.steps,
            "train_tokens": plan.train_tokens,
            "sampled_tokens": [plan.least_sampled_tokens, plan.most_sampled_tokens],
            "usd": None if plan.most_usd is None else [plan.least_usd, plan.most_usd],
            "seconds": plan.expected_s,
        },
        actual={
            "steps": len(steps),
            "train_tokens": train_tokens,
            "sampled_tokens": sampled,
            "usd": usd,
            "seconds": round(seconds, 1),
        },
        train_tokens_per_s=train_tokens / step_s if step_s > 0 else None,
        tokens_per_answer=means,
    )
    try:
        write_whole(run.receipt_path, json.dumps(receipt.to_json(), indent=2) + "\n")
    except StorageError:
        return None  # the run itself is whole; a receipt can be made again
    return receipt


def _sampled(run: RunDirectory) -> tuple[int, dict[str, float]]:
    """Tokens of all recorded answers, and the mean of each benchmark."""
    tokens: dict[str, list[int]] = {}
    for path in run.path.glob("evals/*/step-*/samples.jsonl"):
        some = [
            int(line["tokens"]) for line in read_lines(path) if isinstance(line.get("tokens"), int)
        ]
        tokens.setdefault(path.parts[-3], []).extend(some)
    total = sum(sum(some) for some in tokens.values())
    return total, {name: sum(some) / len(some) for name, some in tokens.items() if some}


def _attempts(run: RunDirectory) -> tuple[int, float]:
    """How many attempts the log knows, and the seconds between the first and last event of each."""
    times: dict[int, list[datetime]] = {}
    for line in read_lines(run.events_path):
        try:
            time = datetime.fromisoformat(line["time"]).astimezone(UTC)
            times.setdefault(int(line["attempt"]), []).append(time)
        except (KeyError, TypeError, ValueError):
            continue
    return len(times), sum((max(some) - min(some)).total_seconds() for some in times.values())


def _positive(value: Any) -> float | None:
    """Receipts and logs are files that people edit: what is no number above 0 is not believed."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and value > 0 else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
