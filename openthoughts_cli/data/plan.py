"""A request for rows, resolved: which corpus, whose tokens, what is asked of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from openthoughts_cli.config.choice import parse_levels, short_source_name
from openthoughts_cli.config.sources import DEFAULT_DATASET, SOURCES
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.choose import choose as choose_rows
from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.criteria import Criteria
from openthoughts_cli.data.overlap import Benchmarks, load_benchmarks
from openthoughts_cli.data.ranking import top_shares
from openthoughts_cli.data.rows import ROWS_FORMAT
from openthoughts_cli.data.select import Selection
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.data.where import Where
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import BrokenFileError, ConfigError, NotFoundError
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.words import BEFORE_HINT, did_you_mean

__all__ = ["Plan", "count_labels", "plan_subset"]


@dataclass(frozen=True)
class Plan:
    """Everything that decides which rows are chosen."""

    config: SubsetConfig
    corpus: Corpus
    counter: TokenCounter
    criteria: Criteria
    benchmarks: Benchmarks | None = None

    @cached_property
    def choice(self) -> dict[str, Any]:
        """How rows are chosen, apart from which data: filters, seed, whose tokens."""
        how = self.config.identity()
        for which_data in ("dataset", "full", "skip_bad_files"):
            how.pop(which_data)
        # The digest says whose tokens; the name by which the tokenizer was found does not matter.
        how.pop("tokenizer")
        how["source"] = [] if self.config.mix else sorted(self.criteria.sources)
        if self.benchmarks is not None:
            how["decontaminate_digest"] = self.benchmarks.digest
        return {**how, "tokenizer_digest": self.counter.digest, "rows_format": ROWS_FORMAT}

    @cached_property
    def request(self) -> str:
        """Digest of the choice and of the data: equal requests choose equal rows."""
        return digest_value({"choice": self.choice, "data": self.corpus.identity()})

    def select(self, *, listener: Listener = silent) -> Selection:
        """Choose the rows.

        The selection's corpus lacks files that turned out broken, where these are skipped.

        Raises:
            BrokenFileError: a file is damaged, and such files are not skipped.
        """

        def choose(corpus: Corpus) -> Selection:
            return choose_rows(
                corpus,
                self.criteria,
                self.counter,
                benchmarks=self.benchmarks,
                listener=listener,
            )

        return _reading(self.corpus, choose, self.config.skip_bad_files, listener)[1]


def plan_subset(config: SubsetConfig, *, listener: Listener = silent) -> Plan:
    """Find the data and the tokenizer that a config names.

    Raises:
        NotFoundError: no such data, or a source that is not in it.
        NetworkError, SchemaError, DataError: as `open_corpus`.
        ModelError: the tokenizer cannot be had.
    """
    config = _with_shares(config)
    where = Where(config.where) if config.where is not None else None
    benchmarks = None
    if config.decontaminate:
        benchmarks = load_benchmarks(config.decontaminate, ngram=config.ngram, listener=listener)
    mix = config.mix if isinstance(config.mix, dict) else {}
    corpus = open_corpus(
        config.dataset,
        sources=config.source or tuple(mix) or _sources_of_domains(config),
        seed=config.seed,
        full=config.full,
        skip_bad_files=config.skip_bad_files,
        listener=listener,
    )
    corpus, spelled = _reading(
        corpus,
        lambda corpus: _present(config.source or tuple(mix), corpus),
        config.skip_bad_files,
        listener,
    )
    criteria = Criteria(
        sources=frozenset(spelled.values()),
        domains=frozenset(config.domain),
        difficulty=parse_levels(config.difficulty) if config.difficulty else None,
        closed=config.closed,
        boxed=config.boxed,
        min_tokens=config.min_tokens,
        max_tokens=config.max_tokens,
        max_assistant_tokens=config.max_assistant_tokens,
        max_thinking_tokens=config.max_thinking_tokens,
        where=where,
        drop_control_tokens=config.control_tokens == "drop",
        answers_per_question=config.answers_per_question,
        dedup=config.dedup == "exact",
        order=config.order,
        limit=config.wanted,
        by_question=config.questions is not None,
        seed=config.seed,
        mix=tuple(sorted((spelled[source], share) for source, share in mix.items())),
        mix_by_tokens=config.mix_by == "tokens",
        allow_short=config.allow_short,
    )
    counter = open_counter(config.tokenizer, listener=listener)
    return Plan(config, corpus, counter, criteria, benchmarks)


T = TypeVar("T")


def _reading(
    corpus: Corpus, read: Callable[[Corpus], T], skip: bool, listener: Listener
) -> tuple[Corpus, T]:
    """What `read` makes of the corpus; a file that breaks on the way is left out, if `skip`."""
    while True:
        try:
            return corpus, read(corpus)
        except BrokenFileError as error:
            if not skip:
                raise
            corpus = corpus.without(error)
            listener(Notice(f"left out: {error.message}", "warning"))


def _with_shares(config: SubsetConfig) -> SubsetConfig:
    """The config with `topN` of a ranking resolved to shares, so that it can be repeated."""
    if config.ranking is not None and not isinstance(config.mix, str):
        raise ConfigError(
            "a ranking alone chooses nothing", hint="say how many of its sources: --mix top2"
        )
    if not isinstance(config.mix, str) or config.ranking is None:
        return config
    values = config.model_dump()
    shares = top_shares(config.mix, config.ranking)
    # What the name of a subset says stays as it was asked for.
    values["name"] = config.name or config.default_name()
    return SubsetConfig.model_validate({**values, "mix": shares, "ranking": None})


def _sources_of_domains(config: SubsetConfig) -> tuple[str, ...]:
    """The known data set is read only where it has the domains: most of its files hold one alone."""
    if config.dataset.partition("@")[0] != DEFAULT_DATASET:
        return ()
    return tuple(source.full for source in SOURCES if source.domain in config.domain)


def count_labels(config: SubsetConfig, *, listener: Listener = silent) -> Counter[tuple[str, str]]:
    """Rows of each (source, domain) in the config's data, whatever its filters.

    Raises:
        As `open_corpus`.
    """
    corpus = open_corpus(
        config.dataset,
        seed=config.seed,
        full=config.full,
        skip_bad_files=config.skip_bad_files,
        listener=listener,
    )
    return _reading(corpus, Corpus.label_counts, config.skip_bad_files, listener)[1]


def _present(sources: tuple[str, ...], corpus: Corpus) -> dict[str, str]:
    """Each source as the rows spell it.

    Raises:
        NotFoundError: one that no row has; the message lists those that rows have.
    """
    if not sources:
        return {}
    there = {source for source, _ in corpus.label_counts()}
    found: dict[str, str] = {}
    for source in sources:
        name = source if source in there else short_source_name(source)
        if name not in there:
            names = sorted(there | {short_source_name(each) for each in there})
            guess = did_you_mean(short_source_name(source), names, BEFORE_HINT)
            raise NotFoundError(
                f"no row of {corpus.dataset} is of the source {source}; its sources: "
                f"{', '.join(sorted(there))}",
                hint=f"{guess}`ot subset --list-sources --dataset {corpus.dataset}` counts them",
            )
        found[source] = name
    return found
