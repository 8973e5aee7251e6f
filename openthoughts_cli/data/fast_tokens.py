"""Exact token counts, fast: gigatoken over Arrow buffers, held to `tokenizers` before it is trusted.

A `FastCounter` gives the counts of `Renderer.measure` to the token. At its first use it encodes a
small adversarial text with both libraries; where gigatoken is missing, differs, or does not know the
tokenizer, it counts with `tokenizers` and says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openthoughts_cli.data.arrow_counts import ArrowCounts
from openthoughts_cli.data.arrow_encoder import ArrowEncoder
from openthoughts_cli.data.arrow_values import text_column
from openthoughts_cli.data.tokens import CountColumns, RendererCounter, TokenCounts
from openthoughts_cli.events import Listener, Notice, silent

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer

__all__ = ["MEMORY_CAP_BYTES", "PROBE", "FastCounter"]

MEMORY_CAP_BYTES = 256 << 20
"""By how much the word cache may let the process grow."""

PROBE: tuple[tuple[str, str], ...] = (
    ("", ""),
    (" \n", "\r\n\r\n \t x  y   z\u3000\u00a0\u2028 \n"),
    (
        "e\u0301 \u212b \u1100\u1161\u11a8 \u0958 q\u0323\u0307",
        "<think>A\u030a \u2126</think>\ufb01",
    ),
    ("It'S 1234567 we'LL \u0661\u0662\u00bd\u2167", "<think>\n 3.14e-10\n</think>\n\nx = 0x1F"),
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "\u2764\ufe0f \U00020000"),
    ("<|im_end|> <|im_start|>user<|im_end", "<think></think><think> </thinK></think></think>"),
    ("<tool_call>{}</tool_call>", "  <think> never closed <|endoftext|>"),
    ("\x00\x01\x1f\x7f\x85\ufeff\ufffd", "a\x0bb\x0cc \u00ad\u200b\u0300\u0300 \ue000"),
    (
        "\u4f60\u597d \u0928\u092e\u0938\u094d\u0924\u0947",
        "\u05e9\u05c1 \u0e19\u0e49\u0e33 _\u0308",
    ),
    (
        "def f(x):\r\n\treturn x**2  # \u2211",
        "$$\\boxed{\\frac{1}{2}}$$ \\(\\alpha\\)\n\n\n  </think>",
    ),
)
"""What both libraries must agree on: normalisation, digits, line breaks, emoji, look-alikes."""


class FastCounter:
    """A `TokenCounter` as fast as can be had; nothing is loaded before its first count.

    Args:
        renderer: whose tokens.
        parallel: tokenise on all cores; None means: not in a worker process.
        memory_cap_bytes: see `ArrowEncoder`.
        listener: hears why the slow way is taken, if it is.
    """

    def __init__(
        self,
        renderer: Renderer,
        *,
        parallel: bool | None = None,
        memory_cap_bytes: int = MEMORY_CAP_BYTES,
        listener: Listener = silent,
    ) -> None:
        self._renderer = renderer
        self._exact = RendererCounter(renderer)
        self._parallel = parallel
        self._cap = memory_cap_bytes
        self._listener = listener
        self._started = False
        self._columns: ArrowCounts | None = None

    @property
    def model(self) -> str:
        return self._renderer.model

    @property
    def digest(self) -> str:
        return self._renderer.digest

    @property
    def library(self) -> str:
        """Which library counts: `gigatoken` or `tokenizers`."""
        return "tokenizers" if self._start() is None else "gigatoken"

    def has_control(self, text: str) -> bool:
        return self._exact.has_control(text)

    def count(self, rows: Sequence[tuple[str, str]]) -> list[TokenCounts]:
        if not rows or self._start() is None:
            return self._exact.count(rows)
        questions, answers = zip(*rows, strict=True)
        return self.count_columns(text_column(questions), text_column(answers)).rows()

    def count_columns(
        self, questions: Any, answers: Any, *, at_most: int | None = None
    ) -> CountColumns:
        columns = self._start()
        if columns is None:
            return self._exact.count_columns(questions, answers)
        return columns.count(questions, answers, at_most)

    def _start(self) -> ArrowCounts | None:
        if not self._started:
            self._columns = self._checked()
            self._started = True
        return self._columns

    def _checked(self) -> ArrowCounts | None:
        form = self._renderer.tokenizer_form()
        reason = _unknown(form)
        columns: ArrowCounts | None = None
        if reason is None:
            try:
                encoder = ArrowEncoder(
                    self._renderer.tokenizer_file,
                    parallel=self._parallel,
                    memory_cap_bytes=self._cap,
                )
            except ImportError as error:
                reason = f"gigatoken is not installed ({error})"
            except (RuntimeError, ValueError) as error:
                reason = f"gigatoken does not know its tokenizer ({str(error).splitlines()[0]})"
            else:
                columns = ArrowCounts(self._renderer, encoder, form)
                if not self._agrees(columns):
                    columns, reason = None, "gigatoken gives other tokens than tokenizers"
        if reason is not None:
            self._listener(
                Notice(
                    f"tokens of {self.model} are counted by `tokenizers`, about 60 times slower: "
                    f"{reason}"
                )
            )
        return columns

    def _agrees(self, columns: ArrowCounts) -> bool:
        questions, answers = map(text_column, zip(*PROBE, strict=True))
        found = columns.count(questions, answers)
        wanted = self._exact.count_columns(questions, answers)
        if not all(map(np.array_equal, found, wanted)):
            return False
        examples = self._renderer.examples(PROBE)
        texts = [self._renderer.target_text(answer) for _, answer in PROBE]
        ids = columns.encoder.encode(text_column(texts)).ids
        return ids.tolist() == [token for each in examples for token in each.target[:-1]]


def _unknown(form: dict[str, Any]) -> str | None:
    """Why the reasoning of this module would not hold for a tokenizer; None when it does."""
    normalizer = form.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":
        return f"its text is normalised by {normalizer.get('type')}"
    if '"trim_offsets": true' in json.dumps(form.get("post_processor")):
        return "its tokens' offsets leave out blanks"
    added: list[dict[str, Any]] = form["added_tokens"]
    if any(token[flag] for token in added for flag in ("lstrip", "rstrip", "single_word")):
        return "its added tokens take white space with them"
    if any(token["normalized"] for token in added) and normalizer is not None:
        return "its added tokens are looked for in normalised text"
    if _overlap([token["content"] for token in added]):
        return "its added tokens overlap"
    return None


def _overlap(texts: Sequence[str]) -> bool:
    """Whether one text could begin inside another."""
    starts = {text[:length] for text in texts for length in range(1, len(text) + 1)}
    return any(text[at:] in starts for text in texts for at in range(1, len(text))) or any(
        one != other and one in other for one in texts for other in texts
    )
