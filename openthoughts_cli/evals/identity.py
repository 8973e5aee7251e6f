"""What makes the answers of two requests comparable: the identity of a sampled evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.problems.problem import ProblemSet

if TYPE_CHECKING:
    from openthoughts_cli.evals.run import PromptRenderer

__all__ = ["about_evaluation", "sampled_identity"]


def sampled_identity(
    benchmark: Benchmark,
    problems: ProblemSet,
    settings: BenchmarkConfig,
    renderer: PromptRenderer,
    *,
    model: str,
    lineage: Mapping[str, Any],
) -> dict[str, Any]:
    """Model, weights, prompt, renderer, problems, sampling, and what the benchmark itself adds."""
    return {
        "benchmark": benchmark.name,
        "model": model,
        "lineage": dict(lineage),
        "prompt": benchmark.template,
        "renderer": {"model": renderer.model, "digest": renderer.digest},
        "data": {
            "source": problems.source,
            "revision": problems.revision,
            "digest": problems.digest,
            "window": problems.window,
            "problems": len(problems.problems),
            "of": problems.total or len(problems.problems),
        },
        "sampling": {
            "n": settings.n,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": settings.seed,
            "stop": list(renderer.stop_tokens),
        },
        **benchmark.describe(settings),
    }


def about_evaluation(
    benchmark: Benchmark,
    problems: ProblemSet,
    settings: BenchmarkConfig,
    *,
    step: int,
    context_tokens: int,
) -> dict[str, Any]:
    """What else a reader of the record should know; may differ when it is continued."""
    return {
        "step": step,
        "settings": settings.model_dump(mode="json"),
        "grader": benchmark.place or benchmark.name,
        "k": list(settings.ks),
        "context_tokens": context_tokens,
        "seed_policy": "a hash of (seed, problem id, first missing sample), one request of n",
        "text_is_private": benchmark.text_is_private,
        "notes": list(problems.notes),
    }
