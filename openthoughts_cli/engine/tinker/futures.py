"""From the SDK's futures to awaitables that may be given up without cancelling the request.

Awaiting an `APIFuture` directly ties the awaiter to the request: cancelling the one cancels the
other, and a training request that was queued and then cancelled leaves later ones waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from tinker import APIFuture

__all__ = ["Answer", "answered", "received"]

S = TypeVar("S")
T = TypeVar("T")


class Answer(Generic[T]):
    """A request's answer. It may be awaited more than once, and given up at any time."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(_heard)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.shield(self._task).__await__()


def _heard(task: asyncio.Task[Any]) -> None:
    """A request behind a failed one fails too; that nobody awaits it is no news for the log."""
    if not task.cancelled():
        task.exception()


def answered(future: APIFuture[S], read: Callable[[S], T]) -> Answer[T]:
    """The answer that `read` makes of the SDK's result. The request is already on its way."""

    async def work() -> T:
        return read(await received(future))

    return Answer(work())


async def received(future: APIFuture[S]) -> S:
    """The SDK's result, awaited without a string by which the request could be cancelled.

    Raises:
        OtError: the failure in this project's terms.
    """
    from openthoughts_cli.engine.tinker.failures import as_ot_error

    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(_: Future[S]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_wake, done)

    finished = future.future()
    finished.add_done_callback(tell)
    await done
    if finished.cancelled():
        raise as_ot_error(asyncio.CancelledError())
    error = finished.exception()
    if error is not None:
        raise as_ot_error(error) from error
    return finished.result()


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
