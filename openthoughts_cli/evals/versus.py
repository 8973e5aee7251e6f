"""`ot compare` as one function: what differs in the configs, in training, and in the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from openthoughts_cli.errors import DataError, NotFoundError, OtError
from openthoughts_cli.evals.compare import Comparison, compare_evals
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.evals.sides import Side, read_side
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.summary import RunSummary, summarise

__all__ = ["LABELS", "Difference", "EvalPair", "Versus", "compare_sides", "differences_of"]

# Figures of a training run, by their names in `RunSummary`.
_TRAINING = ("steps_done", "first_loss", "last_loss", "train_tokens", "seconds")
LABELS = frozenset({"name", "run_name", "output_dir"})
"""Settings that tell two results of one experiment apart, and nothing more."""


class Difference(NamedTuple):
    """A value that differs; None where a side has none."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class EvalPair:
    """One benchmark that both sides have: where it is stored, what differs in its settings, the
    comparison problem by problem."""

    a: Path
    b: Path
    steps: tuple[int, int]
    settings: tuple[Difference, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Versus:
    """B against A. `config` are the keys of the runs' configs that differ; `training` all figures."""

    a: Side
    b: Side
    config: tuple[Difference, ...]
    training: tuple[Difference, ...]
    evals: tuple[EvalPair, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    failures: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"{self.b.name} against {self.a.name}"]
        for pair in self.evals:
            for name, result in pair.comparison.differences.items():
                lines.append(
                    f"{pair.comparison.benchmark} {name}: {result.difference:+.4g} "
                    f"(p = {result.p_value:.3g}, {result.problems} problems)"
                )
        return "<" + "\n  ".join(lines) + ">"

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "a": _side_record(self.a),
            "b": _side_record(self.b),
            "config": [entry._asdict() for entry in self.config],
            "training": {
                entry.key: {"a": entry.a, "b": entry.b, "difference": _minus(entry.b, entry.a)}
                for entry in self.training
            },
            "evals": [
                {
                    **pair.comparison.as_record(),
                    "steps": list(pair.steps),
                    "directories": [str(pair.a), str(pair.b)],
                    "settings": [entry._asdict() for entry in pair.settings],
                }
                for pair in self.evals
            ],
            "only_in_a": list(self.only_in_a),
            "only_in_b": list(self.only_in_b),
            "failures": list(self.failures),
        }


def compare_sides(a: str, b: str, *, benchmarks: Sequence[str] = (), seed: int = 0) -> Versus:
    """Compare two evaluations, runs or checkpoints (`evals.sides` says how they are named).

    Args:
        benchmarks: only these; none given: all that both have.
        seed: of the tests' random sign flips.

    Raises:
        NotFoundError: a side does not exist, or lacks a benchmark that is named.
        DataError: there is nothing to compare: no benchmark in common and no training.
        OtError: the only benchmark in common cannot be compared.
    """
    left, right = read_side(a), read_side(b)
    common = [name for name in left.evals if name in right.evals]
    for name in benchmarks:
        if name not in common:
            lacking = left if name not in left.evals else right
            raise NotFoundError(
                f"{lacking.name} has no finished evaluation of {name}",
                hint=f"both have: {', '.join(common) or 'none'}; ot eval -b {name} makes one",
            )
    config, training = _config_differences(left, right), _training(left, right)
    pairs: list[EvalPair] = []
    failures: dict[str, OtError] = {}
    for name in benchmarks or common:
        try:
            pairs.append(_pair(left.evals[name], right.evals[name], seed))
        except OtError as error:
            failures[name] = error
    if failures and not pairs:
        raise next(iter(failures.values()))
    if not pairs and not training:
        raise DataError(
            f"{a} and {b} have no finished evaluation in common",
            hint=f"{a} has {_listed(left)}; {b} has {_listed(right)}; ot eval makes more",
        )
    chosen = set(benchmarks)
    return Versus(
        left,
        right,
        config,
        training,
        tuple(pairs),
        only_in_a=() if chosen else tuple(n for n in left.evals if n not in right.evals),
        only_in_b=() if chosen else tuple(n for n in right.evals if n not in left.evals),
        failures=tuple(f"{name}: {error.message}" for name, error in failures.items()),
    )


def differences_of(
    a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = ""
) -> tuple[Difference, ...]:
    """The dotted keys whose values differ, sorted; a key that one side lacks counts as None there.

    A section that only one side has is one entry.
    """
    found: list[Difference] = []
    for key in sorted({*a, *b}):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differences_of(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(Difference(f"{prefix}{key}", left, right))
    return tuple(found)


def _pair(a: Path, b: Path, seed: int) -> EvalPair:
    configs = [EvalDirectory(path).config() for path in (a, b)]
    found = [config.get("identity") for config in configs]
    identities = [identity if isinstance(identity, dict) else {} for identity in found]
    return EvalPair(
        a,
        b,
        (_step(configs[0]), _step(configs[1])),
        differences_of(identities[0], identities[1]),
        compare_evals(a, b, seed=seed),
    )


def _step(config: Mapping[str, Any]) -> int:
    step = config.get("step")
    return step if isinstance(step, int) else 0


def _config_differences(a: Side, b: Side) -> tuple[Difference, ...]:
    if a.run is None or b.run is None:
        return ()
    found = differences_of(a.run.read_config(), b.run.read_config())
    return tuple(entry for entry in found if entry.key not in LABELS)


def _training(a: Side, b: Side) -> tuple[Difference, ...]:
    """The figures of two trainings; of one run's two checkpoints they would be the same."""
    summaries = [_trained(a.run), _trained(b.run)]
    if summaries[0] is None or summaries[1] is None or a.run == b.run:
        return ()
    return tuple(
        Difference(name, getattr(summaries[0], name), getattr(summaries[1], name))
        for name in _TRAINING
    )


def _trained(run: RunDirectory | None) -> RunSummary | None:
    summary = None if run is None else summarise(run)
    return summary if summary is not None and summary.steps_done else None


def _side_record(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "run": None if side.run is None else side.run.run_id,
        "path": None if side.run is None else str(side.run.path),
        "step": side.step,
    }


def _minus(b: Any, a: Any) -> float | None:
    return b - a if isinstance(a, (int, float)) and isinstance(b, (int, float)) else None


def _listed(side: Side) -> str:
    return ", ".join(side.evals) or "none"
