"""The model card of exported weights: how they were made, and what they score.

Everything in it is read from the run's own files. Paths of this machine become the names at their
ends, and no text of a problem or an answer is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.data.card_header import header_text
from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.export.weights import Weights
from openthoughts_cli.training.receipt import read_receipt

__all__ = ["model_card", "public_name"]

_NLL_METRICS = ("mean", "per_byte", "thinking", "answer")
_SHARES = ("truncated",)


def model_card(weights: Weights, *, kind: str, base: str) -> str:
    """README.md for an export of `weights`.

    Args:
        kind: "adapter" or "merged".
        base: the base model as others would name it.

    Raises:
        DataError: the run's own files are damaged.
    """
    run, checkpoint = weights.run, weights.checkpoint
    config, record = run.read_config(), run.read_record()
    subset = _mapping(record.get("subset"))
    name = str(subset.get("name") or "a subset")
    what = "LoRA adapter" if kind == "adapter" else "model, the adapter merged into it,"
    total = record.get("total_steps")
    parts = [
        header_text(_header(config, record, kind, base)),
        f"# {PurePath(base).name} fine-tuned on {name}\n",
        f"A {what} of `{base}`: the weights after step {checkpoint.batch:,}"
        f"{f' of {total:,}' if isinstance(total, int) else ''} (epoch {checkpoint.epoch:.2f}) of "
        f"the run `{run.run_id}`, trained with OpenThoughts CLI.\n",
        "## Use\n",
        f"```python\n{_usage(kind, base)}```\n",
        "Prompts are put in the chat template of the tokenizer in this folder, as in training.\n",
        "## Data\n",
        _table(("", ""), _data_rows(record, subset)),
        "## Scores\n",
        *_scores(weights),
        "## Cost\n",
        *_cost(weights),
        "## Where it comes from\n",
        _table(("", ""), _lineage(weights, config, record, base)),
        "## Config\n",
        "The run again: save this as config.json, then `ot train --config config.json`.\n",
        f"```json\n{json.dumps(_without_places(config), indent=2, ensure_ascii=False)}\n```\n",
    ]
    return "\n".join(parts)


def public_name(value: str) -> str:
    """`value`, of a path on this machine only the name at its end."""
    return PurePath(value).name or value if _is_local(value) else value


def _is_local(value: str) -> bool:
    return PurePath(value).is_absolute() or value.startswith(("~", "./", "../"))


def _without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config for everyone's eyes: no path of this machine, no address of a server of one's own."""
    public = _without_paths(config)
    if _mapping(public.get("engine")).get("base_url"):
        public["engine"]["base_url"] = None
    return public


def _without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return public_name(value)
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    return value


def _header(
    config: Mapping[str, Any], record: Mapping[str, Any], kind: str, base: str
) -> dict[str, Any]:
    """The keys that the hub knows; those that this run cannot say are left out."""
    header: dict[str, Any] = {}
    if base.count("/") == 1:
        header["base_model"] = base
        header["base_model_relation"] = "adapter" if kind == "adapter" else "finetune"
    header["library_name"] = "peft" if kind == "adapter" else "transformers"
    header["pipeline_tag"] = "text-generation"
    header["tags"] = ["openthoughts-cli", "reasoning", "sft", "lora", _engine(config)]
    dataset = _dataset(record)
    if dataset is not None:
        header["datasets"] = [dataset]
    return header


def _dataset(record: Mapping[str, Any]) -> str | None:
    """The hub's data set that the subset was cut from, where the subset is still here."""
    subset = _mapping(record.get("subset"))
    try:
        text = (Path(str(subset.get("path"))) / "metadata.json").read_text(encoding="utf-8")
        metadata = _mapping(json.loads(text))
    except (OSError, ValueError):
        return None
    dataset = _mapping(metadata.get("dataset"))
    if metadata.get("digest") != subset.get("digest") or dataset.get("kind") != "hub":
        return None
    return str(dataset.get("asked_for")).partition("@")[0]


def _engine(config: Mapping[str, Any]) -> str:
    return str(_mapping(config.get("engine")).get("kind") or "local")


def _usage(kind: str, base: str) -> str:
    if kind == "merged":
        return (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            'model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER_OR_REPOSITORY")\n'
            'tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER_OR_REPOSITORY")\n'
        )
    return (
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
        'model = PeftModel.from_pretrained(base, "THIS_FOLDER_OR_REPOSITORY")\n'
        'tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER_OR_REPOSITORY")\n'
    )


def _data_rows(record: Mapping[str, Any], subset: Mapping[str, Any]) -> list[tuple[str, str]]:
    split = _mapping(record.get("split"))
    dropped = {k: v for k, v in _mapping(record.get("dropped")).items() if v}
    said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in dropped.items())
    rows = [
        ("subset", f"`{subset.get('name')}`"),
        ("digest", f"`{subset.get('digest')}`"),
        ("rows trained on", _number(split.get("train_rows"))),
        ("rows held out", _number(split.get("held_out_rows"))),
        ("rows dropped", said or "none"),
    ]
    dataset = _dataset(record)
    return [*rows, ("cut from", f"`{dataset}`")] if dataset else rows


def _scores(weights: Weights) -> Iterator[str]:
    """A table of all metrics that have an interval, before training and of these weights."""
    rows: list[tuple[str, ...]] = []
    step = weights.checkpoint.batch
    estimands: dict[str, None] = {}
    for folder in sorted((weights.run.path / "evals").glob(f"*/step-{step}")):
        try:
            scores = EvalDirectory(folder).scores()
        except OtError:
            continue  # an evaluation that is still owed
        before = _metrics_before(folder)
        metrics, intervals = _mapping(scores.get("metrics")), _mapping(scores.get("intervals"))
        for metric, value in metrics.items():
            interval = next((i for i in intervals.get(metric) or () if isinstance(i, dict)), None)
            if interval is None and metric not in _SHARES:
                continue
            if interval is not None:
                estimands.setdefault(str(interval.get("estimand")))
            rows.append(
                (
                    folder.parent.name,
                    metric,
                    _score(before.get(metric), folder.parent.name),
                    _score(value, folder.parent.name),
                    _interval(interval, folder.parent.name),
                    _counts(scores),
                )
            )
    if not rows:
        yield "None was measured of these weights.\n"
        return
    head = ("benchmark", "metric", "before training", "these weights", "95% interval", "from")
    yield _table(head, rows)
    if estimands:
        yield (
            f"An interval is of {' or '.join(estimands)}. A difference inside it is no finding. "
            "NLL is in nats.\n"
        )


def _metrics_before(folder: Path) -> Mapping[str, Any]:
    try:
        return _mapping(EvalDirectory(folder.parent / "step-0").scores().get("metrics"))
    except OtError:
        return {}


def _score(value: Any, benchmark: str) -> str:
    if not isinstance(value, (int, float)):
        return ""
    return f"{value:.4f}" if benchmark == NLL else f"{100 * value:.1f}%"


def _interval(interval: Mapping[str, Any] | None, benchmark: str) -> str:
    if interval is None:
        return ""
    low, high = _score(interval.get("low"), benchmark), _score(interval.get("high"), benchmark)
    return f"{low} to {high}"


def _counts(scores: Mapping[str, Any]) -> str:
    counts = _mapping(scores.get("counts"))
    words = [(counts.get(name), name) for name in ("problems", "rows", "answers")]
    return ", ".join(f"{count:,} {name}" for count, name in words if isinstance(count, int))


def _cost(weights: Weights) -> Iterator[str]:
    receipt = read_receipt(weights.run)
    actual = _mapping(receipt.get("actual"))
    if not actual:
        yield "Not recorded: the run has not ended yet.\n"
        return
    usd, seconds = actual.get("usd"), actual.get("seconds")
    rows = [
        ("steps, those done twice included", _number(actual.get("steps"))),
        ("training tokens", _number(actual.get("train_tokens"))),
        ("sampled tokens", _number(actual.get("sampled_tokens"))),
        ("dollars", f"{usd:,.2f}" if isinstance(usd, (int, float)) else ""),
        ("hours", f"{seconds / 3600:,.2f}" if isinstance(seconds, (int, float)) else ""),
    ]
    yield _table(("whole run", ""), rows)


def _lineage(
    weights: Weights, config: Mapping[str, Any], record: Mapping[str, Any], base: str
) -> list[tuple[str, str]]:
    packages = _mapping(_mapping(record.get("environment")).get("packages"))
    shown = ("openthoughts-cli", "tinker", "torch", "transformers", "peft")
    versions = ", ".join(f"{name} {packages[name]}" for name in shown if name in packages)
    parts = [part for part in ("attn", "mlp", "unembed") if config.get(f"lora_{part}")]
    source = weights.path if weights.is_remote else PurePath(weights.path).name
    return [
        ("run", f"`{weights.run.run_id}`, begun {record.get('created')}"),
        ("identity of the run", f"`{record.get('identity')}`"),
        ("checkpoint", f"`{weights.checkpoint.name}`"),
        ("weights", f"`{source}` on the {_engine(config)} engine"),
        ("base model", f"`{base}`"),
        ("LoRA", f"rank {config.get('lora_rank')}, {', '.join(parts)}"),
        ("chat template and tokenizer", f"`{_mapping(record.get('renderer')).get('digest')}`"),
        ("made with", versions),
    ]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
