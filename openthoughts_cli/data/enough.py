"""What is said where fewer rows pass than were asked for: which filter took them, and what to change."""

from __future__ import annotations

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.select import Selection
from openthoughts_cli.errors import EmptyResultError
from openthoughts_cli.events import Listener, Notice

__all__ = ["check_enough"]


def check_enough(selection: Selection, config: SubsetConfig, listener: Listener) -> None:
    """Warn where fewer rows passed than were asked for.

    Raises:
        EmptyResultError: none passed; the hint names the filter to loosen.
    """
    funnel = selection.funnel
    if not selection.chosen:
        raise EmptyResultError(
            f"no row passed the filters: {funnel.sentence()}", hint=_empty_hint(selection, config)
        )
    noun = "row" if config.questions is None else "question"
    found = len(selection.chosen)
    if config.questions is not None:
        found = len({item.question_id for item in selection.chosen})
    if found < config.wanted:
        listener(
            Notice(
                f"{found:,} {noun}{'' if found == 1 else 's'} passed, {config.wanted:,} were asked "
                f"for: {funnel.sentence()}",
                "warning",
            )
        )


_REMEDIES = {
    "not closed": "few rows have `</think>`: leave out --closed",
    "not boxed": "leave out --boxed",
    "control tokens": "keep such rows with --set control_tokens=keep, if you want real control "
    "tokens",
    "response too long": "raise --max-assistant-tokens",
    "thinking too long": "raise --max-thinking-tokens",
    "where not true": "the predicate of --where is true of no row; sources have their full names",
    "contaminated": "every row's question is a benchmark's",
}


def _empty_hint(selection: Selection, config: SubsetConfig) -> str:
    funnel = selection.funnel
    worst = max(funnel.steps(), key=lambda step: step[1])[0]
    if worst == "too long" and funnel.shortest_too_long is not None:
        return f"the shortest row has {funnel.shortest_too_long:,} tokens: raise --max-tokens"
    if worst == "too short":
        return f"every row has fewer than {config.min_tokens:,} tokens: lower --min-tokens"
    if worst == "other difficulty":
        return f"no row is of difficulty {','.join(config.difficulty)}; math and science have none"
    if worst == "malformed":
        reasons = ", ".join(f"{what} {n:,}" for what, n in funnel.malformed.most_common())
        return f"a row is one human turn and one gpt turn, both with text; here: {reasons}"
    if worst in _REMEDIES:
        return _REMEDIES[worst]
    counts = selection.corpus.label_counts()
    found = ", ".join(sorted({f"{source} ({domain})" for source, domain in counts}))
    return f"the rows there are of {found}"
