"""From nats a row to scores with intervals: per token, per byte, thinking and answer apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.evals.estimators import Interval, ratio_interval

__all__ = ["summarise_nll"]


@dataclass(frozen=True, slots=True)
class _Part:
    """A score over rows: a sum of nats over a sum of sizes."""

    nats: float
    size: float


def summarise_nll(
    lines: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics, and an interval of each, of the lines of rows.jsonl; see `evaluate_nll`."""
    split = [line for line in lines if line["thinking_tokens"]]
    columns: dict[str, list[tuple[str, float, float]]] = {
        "mean": [(line["question_id"], line["nats"], line["tokens"]) for line in lines],
        "per_byte": [(line["question_id"], line["nats"], line["bytes"]) for line in lines],
        "thinking": [
            (line["question_id"], line["thinking_nats"], line["thinking_tokens"]) for line in split
        ],
        "answer": [
            (
                line["question_id"],
                line["nats"] - line["thinking_nats"],
                line["tokens"] - line["thinking_tokens"],
            )
            for line in split
        ],
    }
    metrics: dict[str, float] = {}
    intervals: dict[str, Any] = {}
    for name, values in columns.items():
        by_question = _by_question(values)
        size = sum(part.size for part in by_question)
        if size > 0:
            metrics[name] = sum(part.nats for part in by_question) / size
            interval: Interval | None = ratio_interval(
                [part.nats for part in by_question], [part.size for part in by_question]
            )
            intervals[name] = [] if interval is None else [interval.as_record()]
    return metrics, intervals


def _by_question(values: Sequence[tuple[str, float, float]]) -> list[_Part]:
    """Several answers to one question are one cluster."""
    sums: dict[str, _Part] = {}
    for question, nats, size in values:
        before = sums.get(question, _Part(0.0, 0.0))
        sums[question] = _Part(before.nats + nats, before.size + size)
    return list(sums.values())
