"""`ot index` as functions: what is built of the index that a request for rows would use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.index import Index, PartState
from openthoughts_cli.data.plan import Plan, plan_subset
from openthoughts_cli.events import Listener, silent

__all__ = ["IndexState", "index_dataset", "index_state"]


@dataclass(frozen=True, slots=True)
class IndexState:
    """The index of a data set under a tokenizer, file by file. `digest` is of all its parts."""

    dataset: str
    tokenizer: str
    directory: Path
    digest: str
    parts: tuple[PartState, ...]

    @property
    def is_whole(self) -> bool:
        """Whether no part is missing or damaged."""
        return all(part.state == "whole" for part in self.parts)

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "dataset": self.dataset,
            "tokenizer": self.tokenizer,
            "directory": str(self.directory),
            "digest": self.digest,
            "parts": [
                {
                    "file": state.part.name,
                    "rows": state.part.rows,
                    "state": state.state,
                    "bytes": state.num_bytes,
                }
                for state in self.parts
            ],
        }

    def __repr__(self) -> str:
        whole = [state for state in self.parts if state.state == "whole"]
        rows, all_rows = (sum(state.part.rows for state in some) for some in (whole, self.parts))
        size = sum(state.num_bytes for state in self.parts) / 1e6
        return (
            f"<IndexState {self.dataset} under {self.tokenizer}: {len(whole):,} of "
            f"{len(self.parts):,} parts whole, {rows:,} of {all_rows:,} rows, {size:,.1f} MB>"
        )


def index_dataset(
    config: SubsetConfig, *, workers: int | None = None, listener: Listener = silent
) -> IndexState:
    """Build what the index of a data set lacks; a build that was stopped is gone on with.

    With more than one worker, processes are spawned: a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        config: its data set, sources and tokenizer say which index; the filters do not matter.
        workers: processes. Unset: as many as there are cores and files, one for little data.

    Raises:
        NotFoundError, NetworkError, ModelError: the data or the tokenizer cannot be had.
        BrokenFileError: a data file is damaged; the parts of the others are kept.
        StorageError: a part cannot be written.
    """
    from openthoughts_cli.data.index_build import build_index

    plan, index = _planned(config, listener)
    states = build_index(
        index, plan.counter, sources=plan.criteria.sources, workers=workers, listener=listener
    )
    return _state(plan, index, states)


def index_state(config: SubsetConfig, *, listener: Listener = silent) -> IndexState:
    """What is built of the index of a data set; nothing is written.

    Raises:
        NotFoundError, NetworkError, ModelError: the data or the tokenizer cannot be had.
    """
    plan, index = _planned(config, listener)
    return _state(plan, index, index.states(plan.criteria.sources))


def _planned(config: SubsetConfig, listener: Listener) -> tuple[Plan, Index]:
    plan = plan_subset(config, listener=listener)
    return plan, Index(plan.corpus, plan.counter.digest)


def _state(plan: Plan, index: Index, states: list[PartState]) -> IndexState:
    return IndexState(
        plan.corpus.dataset,
        plan.counter.model,
        index.directory,
        index.digest(states),
        tuple(states),
    )
