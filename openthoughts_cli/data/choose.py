"""Choosing rows by the best way there is: from the index where there is one, else streaming.

An index is built without being asked where a choice needs the tokens of every row anyway (an order by
length, or of questions by more than the seed): the one pass costs the same, and the next choice is
free. It is also completed when most of its parts are there and whole (a file was changed, added or
damaged). Otherwise a one-off choice streams, and tokenises only rows that can still be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.criteria import Criteria
from openthoughts_cli.data.index import Index, PartState
from openthoughts_cli.data.overlap import Benchmarks
from openthoughts_cli.data.select import Selection, select
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.events import Listener, Notice, silent

__all__ = ["choose"]


def choose(
    corpus: Corpus,
    criteria: Criteria,
    counter: TokenCounter,
    *,
    benchmarks: Benchmarks | None = None,
    listener: Listener = silent,
) -> Selection:
    """Choose rows; which way is taken changes neither them nor the funnel.

    Raises:
        BrokenFileError: a file is damaged.
        EmptyResultError: a part of a mixture has fewer rows than its share.
        StorageError: an index that is needed cannot be written.
    """
    index = Index(corpus, counter.digest)
    states = index.states(criteria.sources)
    owed = [state for state in states if state.state != "whole"]
    if owed:
        why = _why_build(states, owed, criteria)
        if why is None:
            return select(corpus, criteria, counter, benchmarks=benchmarks, listener=listener)
        from openthoughts_cli.data.index_build import build_index

        listener(Notice(why))
        states = build_index(index, counter, sources=criteria.sources, listener=listener)
    from openthoughts_cli.data.table import select_from_table

    return select_from_table(
        corpus,
        index.table(states),
        criteria,
        benchmarks=benchmarks,
        question_of=index.questions(states) if benchmarks is not None else None,
        listener=listener,
    )


def _why_build(
    states: Sequence[PartState], owed: Sequence[PartState], criteria: Criteria
) -> str | None:
    """Why the index is built now, for a person; None: it is not."""
    if criteria.needs_all_tokens:
        return "this order needs the tokens of every row: their index is built, and kept"
    damaged = [state.part.name for state in owed if state.state == "damaged"]
    if 2 * (len(owed) - len(damaged)) >= len(states):
        return None
    if damaged:
        return f"the index of {', '.join(damaged[:3])} is damaged: it is built again"
    return f"the index lacks {len(owed)} of {len(states)} files: it is completed"
