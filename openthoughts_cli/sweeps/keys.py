"""The dotted keys of a grid: which key of which config one means, and what it was perhaps meant to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.explain import explain_unknown_key
from openthoughts_cli.config.schema import KNOWN_BENCHMARKS, NAME, annotation_at, walk_fields
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.words import close_to

__all__ = ["Key", "UnknownKey", "parse_key"]

Part: TypeAlias = Literal["train", "subset", "whole-subset"]

_MODELS: dict[str, type[ConfigModel]] = {"train": TrainConfig, "subset": SubsetConfig}
_OWNED = {
    "train.seed": "the seeds of a sweep stand under `seeds:`",
    "train.subset": "subsets vary as `subset`, or as keys of theirs: `subset.limit`",
    "train.held_out": "the common evaluation set stands under `held_out:`, one for all cells",
    "train.run_name": "a sweep names the runs of its cells itself",
    "train.max_usd": "the limit of a sweep stands under `max_usd:`",
    "subset.name": "a sweep names the subsets it cuts itself",
    "subset.output_dir": "a sweep cuts its subsets into `$OT_SUBSETS`",
}


class Key(NamedTuple):
    """What a dotted key addresses: a path inside the train config, inside the subset's, or `subset`
    itself."""

    part: Part
    path: tuple[str, ...]


class UnknownKey(ValueError):
    """A key that addresses nothing; the text says what was perhaps meant."""


def parse_key(key: str) -> Key:
    """`train.learning_rate`, `subset.mix`, `eval.nll.every`, or `subset` alone.

    Raises:
        UnknownKey: it addresses nothing, or something that a sweep sees to itself.
    """
    if key in _OWNED:
        raise UnknownKey(f"it cannot vary: {_OWNED[key]}")
    if key == "subset":
        return Key("whole-subset", ())
    prefix, _, rest = key.partition(".")
    path = tuple(rest.split(".")) if rest else ()
    if prefix in ("eval", "evals"):
        prefix, path = "train", ("evals", *path)
    if prefix not in _MODELS or not path:
        raise UnknownKey(_unknown(key))
    model = _MODELS[prefix]
    benchmark_alone = prefix == "train" and len(path) == 2 and path[0] == "evals"
    if annotation_at(model, path) is None and not benchmark_alone:
        raise UnknownKey(_unknown(key, model, path))
    return Key("train" if prefix == "train" else "subset", path)


def _unknown(key: str, model: type[ConfigModel] | None = None, path: tuple[str, ...] = ()) -> str:
    said = "" if model is None else explain_unknown_key(model, path)
    if "called " in said:  # a name that other trainers have for it
        return said.replace("called ", f"called {key.partition('.')[0]}.")
    plain = key.lower().replace("-", "_")
    known = sorted(set(_all_keys()))
    ends = [name for name in known if name.endswith(f".{plain}")]
    close = ends[:1] or close_to(plain, known, cutoff=0.7)
    if close:
        return f"unknown key; did you mean {close[0]}?"
    if said:
        return said
    return (
        "unknown key; keys of the train config begin with train., those of the subset with subset., "
        "those of a benchmark with eval.NAME."
    )


def _all_keys() -> Iterator[str]:
    for prefix, model in _MODELS.items():
        for field in walk_fields(model):
            key = f"{prefix}.{field.key}"
            if field.is_section or key in _OWNED:
                continue
            if NAME not in key:
                yield key
            elif key.startswith("train.evals."):
                for name in KNOWN_BENCHMARKS:
                    yield key.replace("train.evals", "eval").replace(NAME, name)
