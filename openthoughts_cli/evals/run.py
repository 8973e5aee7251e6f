"""One sampled evaluation: ask, record, grade, score; begun once, continued as often as needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import Completion, Sampler
from openthoughts_cli.errors import (
    AuthError,
    BudgetError,
    EngineError,
    ModelError,
    NetworkError,
    OtError,
)
from openthoughts_cli.evals.asking import Ask, Requests, sampling_seed
from openthoughts_cli.evals.benchmark import Benchmark, Grade, Verdict
from openthoughts_cli.evals.identity import about_evaluation, sampled_identity
from openthoughts_cli.evals.records import EvalDirectory, Sample, Scores
from openthoughts_cli.evals.scoring import Tally, running_metrics, score_samples, tally
from openthoughts_cli.events import (
    EvalDone,
    EvalProgress,
    EvalStarted,
    Listener,
    Notice,
    silent,
)
from openthoughts_cli.problems.problem import Problem, ProblemSet

__all__ = ["MAX_CONCURRENT_REQUESTS", "PromptRenderer", "evaluate"]

MAX_CONCURRENT_REQUESTS = 256


class PromptRenderer(Protocol):
    """What an evaluation needs of `chat.renderer.Renderer`."""

    @property
    def model(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def stop_tokens(self) -> tuple[int, ...]: ...
    def prompt(self, question: str) -> tuple[int, ...]: ...
    def answer_text(self, tokens: Sequence[int]) -> str: ...


async def evaluate(
    benchmark: Benchmark,
    sampler: Sampler,
    renderer: PromptRenderer,
    settings: BenchmarkConfig,
    *,
    directory: Path,
    step: int,
    lineage: Mapping[str, Any],
    listener: Listener = silent,
    concurrency: int = MAX_CONCURRENT_REQUESTS,
) -> Scores:
    """Measure a sampler's weights on a benchmark.

    Every answer is on disk before it is graded for long, and an answer that is on disk is never
    asked again: run the same call again to continue.

    Args:
        directory: where the records are or will be; see `evals.records`.
        step: the optimiser steps in the weights; 0 for a base model.
        lineage: whose weights these are; part of what must agree when continuing.
        concurrency: most requests in flight at once (each of n samples).

    Raises:
        ConflictError: the directory holds another evaluation.
        ModelError: a prompt leaves no room for an answer in the model's context.
        EngineError: not one request was answered.
        BudgetError, AuthError: no further request can be sent; what came is recorded.
        OtError: the problems cannot be had.
    """
    chosen = benchmark.configured(settings)
    problems = await asyncio.to_thread(chosen.load_once, settings)
    work = _Evaluation(
        chosen, problems, sampler, renderer, settings, EvalDirectory(directory), step, listener
    )
    return await work.run(lineage, concurrency)


class _Evaluation:
    def __init__(
        self,
        benchmark: Benchmark,
        problems: ProblemSet,
        sampler: Sampler,
        renderer: PromptRenderer,
        settings: BenchmarkConfig,
        directory: EvalDirectory,
        step: int,
        listener: Listener,
    ) -> None:
        self._benchmark = benchmark
        self._problems = problems
        self._sampler = sampler
        self._renderer = renderer
        self._settings = settings
        self._directory = directory
        self._step = step
        self._listener = listener
        self._samples: dict[str, dict[int, Sample]] = {}
        self._tallies: dict[str, Tally] = {}
        self._failed = 0
        self._first_failure: OtError | None = None
        self._fatal: OtError | None = None
        self._requests = Requests(sampler, settings, renderer.stop_tokens)
        self._graders: ThreadPoolExecutor | None = None

    async def run(self, lineage: Mapping[str, Any], concurrency: int) -> Scores:
        prompts = await asyncio.to_thread(self._render)
        self._begin(lineage)
        wanted = {problem.id for problem in self._problems.problems}
        self._samples = {
            problem: {i: sample for i, sample in samples.items() if i < self._settings.n}
            for problem, samples in self._directory.samples().items()
            if problem in wanted
        }
        self._say_start()
        asks = self._owed(prompts)
        with contextlib.ExitStack() as stack:
            if self._benchmark.grading_threads:
                self._graders = stack.enter_context(
                    ThreadPoolExecutor(self._benchmark.grading_threads, "ot-grade")
                )
            slots = asyncio.Semaphore(concurrency)
            await _all_of(
                [self._finish_problem(problem) for problem in self._problems.problems]
                + [self._ask(ask, slots) for ask in asks]
            )
        if self._fatal is not None:
            raise self._fatal
        return self._finish()

    def _begin(self, lineage: Mapping[str, Any]) -> None:
        model = self._sampler.model
        parts = (self._benchmark, self._problems, self._settings)
        identity = sampled_identity(*parts, self._renderer, model=model.name, lineage=lineage)
        about = about_evaluation(*parts, step=self._step, context_tokens=model.context_tokens)
        self._directory.begin(identity, about)

    def _render(self) -> dict[str, tuple[int, ...]]:
        """All prompts as tokens, before anything is asked."""
        context = self._sampler.model.context_tokens
        prompts: dict[str, tuple[int, ...]] = {}
        for problem in self._problems.problems:
            tokens = self._renderer.prompt(self._benchmark.prompt(problem))
            if len(tokens) >= context:
                raise ModelError(
                    f"{self._benchmark.name} problem {problem.id}: its prompt of {len(tokens):,} "
                    f"tokens leaves no room in the {context:,} of {self._sampler.model.name}",
                    hint="choose a model with a longer context, or other problems",
                )
            prompts[problem.id] = tokens
        return prompts

    def _owed(self, prompts: Mapping[str, tuple[int, ...]]) -> list[Ask]:
        asks: list[Ask] = []
        for problem in self._problems.problems:
            recorded = self._samples.setdefault(problem.id, {})
            missing = tuple(i for i in range(self._settings.n) if i not in recorded)
            if missing:
                asks.append(Ask(problem, prompts[problem.id], missing))
        return asks

    def _say_start(self) -> None:
        settings = self._settings
        if settings.temperature == 0 and settings.n > 1:
            self._listener(
                Notice(
                    f"{self._benchmark.name}: at temperature 0 the {settings.n} answers to a "
                    "problem are nearly the same, and pass@k says little: use 0.6 to 1.0, or n 1",
                    "warning",
                )
            )
        done = sum(map(len, self._samples.values()))
        total = len(self._problems.problems) * settings.n
        self._listener(EvalStarted(self._benchmark.name, self._step, total))
        if done:
            text = f"{self._benchmark.name}: {done} of {total} answers were recorded already"
            self._listener(Notice(text))

    async def _ask(self, ask: Ask, slots: asyncio.Semaphore) -> None:
        async with slots:
            if self._fatal is not None:
                return
            seed = sampling_seed(self._settings.seed, ask.problem.id, ask.missing[0])
            try:
                completions = await self._requests.send(
                    ask.prompt, n=len(ask.missing), seed=seed, wait=lambda: self._fatal is None
                )
            except (BudgetError, AuthError, ModelError) as error:
                self._fatal = self._fatal or error
                return
            except (EngineError, NetworkError) as error:
                self._fail(ask, error)
                return
        await asyncio.gather(
            *(
                self._take(ask.problem, index, completion, seed)
                for index, completion in zip(ask.missing, completions, strict=False)
            )
        )

    def _fail(self, ask: Ask, error: OtError) -> None:
        self._failed += len(ask.missing)
        self._first_failure = self._first_failure or error
        self._directory.append_error(ask.problem.id, len(ask.missing), error.code, error.message)
        self._progress(ask.problem)

    async def _take(self, problem: Problem, index: int, answer: Completion, seed: int) -> None:
        """Record an answer and its grade: at once where grading is quick, else first the answer."""
        sample = Sample(
            problem=problem.id,
            index=index,
            completion=self._renderer.answer_text(answer.tokens),
            tokens=len(answer.tokens),
            finish_reason=answer.finish_reason,
            grade=None,
        )
        if self._graders is None:
            sample = _with_grade(sample, self._grade(problem, sample.completion))
            self._directory.append_sample(sample, seed=seed)
        else:
            self._directory.append_sample(sample, seed=seed)
            self._samples[problem.id][index] = sample
            self._progress(problem)
            sample = await self._grade_later(problem, sample)
        self._samples[problem.id][index] = sample
        self._progress(problem)

    async def _finish_problem(self, problem: Problem) -> None:
        """Grade what an earlier attempt recorded but did not grade."""
        recorded = self._samples.get(problem.id, {})
        for index, sample in list(recorded.items()):
            if not sample.is_graded:
                recorded[index] = await self._grade_later(problem, sample)
        if recorded:
            self._progress(problem)

    async def _grade_later(self, problem: Problem, sample: Sample) -> Sample:
        loop = asyncio.get_running_loop()
        grade = await loop.run_in_executor(self._graders, self._grade, problem, sample.completion)
        graded = _with_grade(sample, grade)
        self._directory.append_grade(graded)
        return graded

    def _grade(self, problem: Problem, text: str) -> Grade:
        try:
            return self._benchmark.grade(problem, text)
        except OtError as error:  # the sandbox, the disk: not the answer's fault
            return Grade(None, None, Verdict.NOT_GRADED, error.message)

    def _progress(self, problem: Problem) -> None:
        samples = list(self._samples.get(problem.id, {}).values())
        self._tallies[problem.id] = tally(problem, samples)
        done = self._failed + sum(entry.graded for entry in self._tallies.values())
        total = len(self._problems.problems) * self._settings.n
        sampled = sum(map(len, self._samples.values()))
        metrics = running_metrics(self._tallies, self._failed) | {"sampled": float(sampled)}
        self._listener(EvalProgress(self._benchmark.name, self._step, done, total, metrics))

    def _finish(self) -> Scores:
        settings = self._settings
        made = score_samples(
            self._benchmark.name,
            self._step,
            self._problems.problems,
            self._samples,
            n=settings.n,
            ks=settings.ks,
            votes=self._benchmark.votes,
            config=self._directory.config()["identity"],
        )
        if made is None:
            raise self._nothing_to_score()
        metrics, record = made
        if metrics["errors"]:
            text = (
                f"{self._benchmark.name}: {metrics['errors']:.0f} answers are missing because of "
                "errors; they count as neither right nor wrong"
            )
            self._listener(Notice(text, "warning"))
        self._directory.write_scores(record)
        self._listener(EvalDone(self._benchmark.name, self._step, metrics, record))
        return Scores(self._benchmark.name, self._step, metrics, record)

    def _nothing_to_score(self) -> OtError:
        """No graded answer: an error, never a score of 0."""
        if self._first_failure is not None:
            return EngineError(
                f"{self._benchmark.name}: not one answer came back: {self._first_failure.message}",
                hint=self._first_failure.hint,
            )
        diagnoses = (
            sample.grade.diagnosis
            for by_index in self._samples.values()
            for sample in by_index.values()
            if sample.grade is not None
        )
        why = next(diagnoses, "the engine returned no answers")
        return EngineError(
            f"{self._benchmark.name}: not one answer could be graded: {why}",
            hint="check the sandbox with `ot doctor`; the answers are kept, and `ot runs regrade` "
            "grades them without an engine",
        )


def _with_grade(sample: Sample, grade: Grade) -> Sample:
    return Sample(
        sample.problem, sample.index, sample.completion, sample.tokens, sample.finish_reason, grade
    )


async def _all_of(jobs: Sequence[Awaitable[None]]) -> None:
    """Run all; when one raises or this is cancelled, stop the others before going on."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
