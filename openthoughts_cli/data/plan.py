"""A request for rows, resolved: which corpus, whose tokens, what is asked of a row."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openthoughts_cli.config.subset import SubsetConfig, short_source_name
from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.rows import ROWS_FORMAT
from openthoughts_cli.data.select import Criteria, Selection, select
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import NotFoundError
from openthoughts_cli.events import Listener, silent

__all__ = ["Plan", "count_labels", "plan_subset"]


@dataclass(frozen=True)
class Plan:
    """Everything that decides which rows are chosen."""

    config: SubsetConfig
    corpus: Corpus
    counter: TokenCounter
    criteria: Criteria

    @cached_property
    def choice(self) -> dict[str, Any]:
        """How rows are chosen, apart from which data: filters, seed, whose tokens."""
        how = self.config.identity()
        for which_data in ("dataset", "full"):
            how.pop(which_data)
        # The digest says whose tokens; the name by which the tokenizer was found does not matter.
        how.pop("tokenizer")
        how["source"] = sorted(self.criteria.sources)
        return {**how, "tokenizer_digest": self.counter.digest, "rows_format": ROWS_FORMAT}

    @cached_property
    def request(self) -> str:
        """Digest of the choice and of the data: equal requests choose equal rows."""
        return digest_value({"choice": self.choice, "data": self.corpus.identity()})

    def select(self, *, listener: Listener = silent) -> Selection:
        """Choose the rows.

        Raises:
            DataError: a file is damaged.
        """
        return select(self.corpus, self.criteria, self.counter, listener=listener)


def plan_subset(config: SubsetConfig, *, listener: Listener = silent) -> Plan:
    """Find the data and the tokenizer that a config names.

    Raises:
        NotFoundError: no such data, or a source that is not in it.
        NetworkError, SchemaError, DataError: as `open_corpus`.
        ModelError: the tokenizer cannot be had.
    """
    from openthoughts_cli.chat.renderer import load_renderer
    from openthoughts_cli.data.tokens import RendererCounter

    corpus = open_corpus(
        config.dataset,
        sources=config.source,
        seed=config.seed,
        full=config.full,
        listener=listener,
    )
    criteria = Criteria(
        sources=_present(config.source, corpus),
        domains=frozenset(config.domain),
        min_tokens=config.min_tokens,
        max_tokens=config.max_tokens,
        drop_control_tokens=config.control_tokens == "drop",
        limit=config.limit,
        seed=config.seed,
    )
    renderer = load_renderer(config.tokenizer, listener=listener)
    return Plan(config, corpus, RendererCounter(renderer), criteria)


def count_labels(config: SubsetConfig, *, listener: Listener = silent) -> Counter[tuple[str, str]]:
    """Rows of each (source, domain) in the config's data, whatever its filters.

    Raises:
        As `open_corpus`.
    """
    corpus = open_corpus(config.dataset, seed=config.seed, full=config.full, listener=listener)
    return corpus.label_counts()


def _present(sources: tuple[str, ...], corpus: Corpus) -> frozenset[str]:
    """The sources as the rows spell them.

    Raises:
        NotFoundError: one that no row has; the message lists those that rows have.
    """
    if not sources:
        return frozenset()
    there = {source for source, _ in corpus.label_counts()}
    found: set[str] = set()
    for source in sources:
        name = source if source in there else short_source_name(source)
        if name not in there:
            names = sorted(there | {short_source_name(each) for each in there})
            close = difflib.get_close_matches(short_source_name(source), names, n=1)
            guess = f"did you mean {close[0]}? " if close else ""
            raise NotFoundError(
                f"no row of {corpus.dataset} is of the source {source}; its sources: "
                f"{', '.join(sorted(there))}",
                hint=f"{guess}`ot subset --list-sources --dataset {corpus.dataset}` counts them",
            )
        found.add(name)
    return frozenset(found)
