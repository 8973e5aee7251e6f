"""Which benchmarks an `ot eval` runs, and with which settings: the file's, then the options'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.errors import ConfigError, UsageError
from openthoughts_cli.evals.benchmark import benchmark

__all__ = ["Changes", "select_benchmarks"]

_FOR_ROWS = frozenset({"limit", "seed"})


class Changes(NamedTuple):
    """What the command line says of benchmarks.

    `settings` hold for every benchmark that has them; `data` and `prompt` are files by benchmark.
    """

    settings: Mapping[str, Any]
    data: Mapping[str, str]
    prompt: Mapping[str, str]
    unsafe_no_sandbox: bool = False


def select_benchmarks(config: EvalConfig, names: Sequence[str], changes: Changes) -> EvalConfig:
    """`config` with only the named benchmarks (none named: those it has), changed as asked.

    A benchmark that is named but not configured has the default settings.

    Raises:
        NotFoundError: no such benchmark.
        UsageError: a file for a benchmark that is not run.
        ConfigError: settings that cannot be, such as k above n.
    """
    chosen = list(dict.fromkeys(names)) or list(config.benchmarks)
    for option, files in (("--data", changes.data), ("--prompt", changes.prompt)):
        for name in files.keys() - set(chosen):
            raise UsageError(
                f"{option} {name}=... is for a benchmark that does not run",
                hint=f"add -b {name}"
                + (f"; those that run: {', '.join(chosen)}" if chosen else ""),
            )
    return config.model_copy(
        update={"benchmarks": {name: _changed(config, name, changes) for name in chosen}}
    )


def _changed(config: EvalConfig, name: str, changes: Changes) -> BenchmarkConfig:
    before = config.benchmarks.get(name, BenchmarkConfig())
    values = {key: getattr(before, key) for key in before.model_fields_set}
    if name == NLL:
        values |= {key: value for key, value in changes.settings.items() if key in _FOR_ROWS}
    else:
        runs_code = benchmark(name).runs_code
        values |= changes.settings
        if name in changes.data:
            values["data"] = changes.data[name]
        if name in changes.prompt:
            values["prompt"] = changes.prompt[name]
        if runs_code and changes.unsafe_no_sandbox:
            values["unsafe_no_sandbox"] = True
    try:
        return BenchmarkConfig.model_validate(values)
    except ValidationError as error:
        lines = [
            ": ".join(
                part for part in (".".join(map(str, item["loc"])), _message(item["msg"])) if part
            )
            for item in error.errors()
        ]
        raise ConfigError(
            f"{name}: {'; '.join(lines)}",
            hint="`ot config show eval` prints the keys of a benchmark",
        ) from error


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")
