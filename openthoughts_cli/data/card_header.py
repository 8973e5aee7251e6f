"""The YAML header of a data set card, which the hub and `datasets.load_dataset` read."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from openthoughts_cli.config.sources import DEFAULT_DATASET, SAMPLE_DATASET

__all__ = ["card_header", "data_config", "header_text", "merged_header", "split_header"]

_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def data_config(name: str, path: str) -> dict[str, Any]:
    """The entry by which `load_dataset(repo, name)` finds its rows."""
    return {"config_name": name, "data_files": [{"split": "train", "path": path}]}


def card_header(name: str, metadata: Mapping[str, Any], configs: Sequence[Any]) -> dict[str, Any]:
    """What the header of a subset's card says; keys and values are those the hub knows."""
    figures, dataset = metadata["figures"], metadata["dataset"]
    where = str(dataset["asked_for"]).partition("@")[0]
    header: dict[str, Any] = {}
    if where in (DEFAULT_DATASET, SAMPLE_DATASET):
        header["license"] = "apache-2.0"
    header |= {
        "pretty_name": name,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "size_categories": [_size(figures["rows"])],
        "tags": ["openthoughts", "reasoning", "sft", *figures["composition"]["domain"]],
    }
    if dataset["kind"] == "hub":
        header["source_datasets"] = [where]
    return {**header, "configs": list(configs)}


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def merged_header(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A repository's header with one more subset: their words stay, lists become unions.

    Of `configs`, an entry of the same name is replaced; the entries are in order of name.
    """
    merged: dict[str, Any] = {**ours, **theirs}
    for key in ("tags", "source_datasets", "language", "task_categories"):
        both = [*_listed(theirs.get(key)), *_listed(ours.get(key))]
        if both:
            merged[key] = list(dict.fromkeys(both))
    sizes = [name for _, name in _SIZES] + ["1M<n<10M"]
    both_sizes = [*_listed(theirs.get("size_categories")), *_listed(ours.get("size_categories"))]
    known = {size for size in both_sizes if isinstance(size, str)}
    merged["size_categories"] = [max(known & set(sizes), key=sizes.index)]
    entries = {
        str(entry["config_name"]): entry
        for entry in _listed(theirs.get("configs"))
        if isinstance(entry, dict) and "config_name" in entry
    }
    entries |= {entry["config_name"]: entry for entry in ours["configs"]}
    merged["configs"] = [entries[name] for name in sorted(entries)]
    return merged


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def header_text(header: Mapping[str, Any]) -> str:
    """The header as it stands at the top of README.md, with its lines of hyphens."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.width = 1000
    sink = io.StringIO()
    yaml.dump(dict(header), sink)
    return f"---\n{sink.getvalue()}---\n"


def split_header(text: str) -> tuple[dict[str, Any], str]:
    """The header of a README.md and the text under it; an empty header where there is none.

    Raises:
        ValueError: there is one, and it is no mapping in YAML.
    """
    found = _HEADER.match(text)
    if found is None:
        return {}, text
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        header = YAML(typ="safe", pure=True).load(found[1])
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"the header is no YAML: {' '.join(str(error).split())[:120]}") from error
    if header is None:
        header = {}
    if not isinstance(header, dict):
        raise ValueError("the header is no mapping")
    return header, text[found.end() :]
