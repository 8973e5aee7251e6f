"""From the SDK's futures to awaitables that may be given up without cancelling the request.

Awaiting an `APIFuture` directly ties the awaiter to the request: cancelling the one cancels the
other, and a training request that was queued and then cancelled leaves later ones waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openthoughts_cli.engine.tinker.patience import Patience
from openthoughts_cli.errors import OtError

if TYPE_CHECKING:
    from tinker import APIFuture

__all__ = ["Answer", "Requests", "received"]

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


class Requests:
    """The requests of one client, and what becomes of them.

    Args:
        patience: how long a silent server is waited for.
        in_order: the server does them strictly one after another. After one that failed it may wait
            for its place to be filled for ever, and weights that lack a request are not those of
            the run: all later ones fail with the same error at once, and none is sent any more.
    """

    def __init__(self, patience: Patience, *, in_order: bool) -> None:
        self._patience = patience
        self._in_order = in_order
        self._numbers = itertools.count()
        self._failed: tuple[int, OtError] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def refuse_if_failed(self) -> None:
        """Call before a request is handed to the SDK. Raises the error of the one that failed."""
        if self._failed is not None:
            raise self._failed[1]

    def answered(self, future: APIFuture[S], read: Callable[[S], T]) -> Answer[T]:
        """The answer that `read` makes of the SDK's result. The request is already on its way."""
        number = next(self._numbers)

        async def work() -> T:
            try:
                return read(await self._received(future, number))
            except OtError as error:
                if self._in_order:
                    self._fail(number, error)
                raise

        return Answer(work())

    async def _received(self, future: APIFuture[S], number: int) -> S:
        finished, done = _heard_of(future)
        while not done.done():
            if self._failed is not None and self._failed[0] < number:
                raise self._failed[1]
            await self._patience.wait_for(done, self._failure)
        return _result(finished, self._patience.server)

    def _fail(self, number: int, error: OtError) -> None:
        if self._failed is None or number < self._failed[0]:
            self._failed = (number, error)
            heard, self._failure = self._failure, asyncio.get_running_loop().create_future()
            heard.set_result(None)


async def received(future: APIFuture[S], patience: Patience) -> S:
    """The SDK's result, awaited without a string by which the request could be cancelled.

    Raises:
        OtError: the failure in this project's terms.
    """
    finished, done = _heard_of(future)
    await patience.wait_for(done)
    return _result(finished, patience.server)


def _heard_of(future: APIFuture[S]) -> tuple[Future[S], asyncio.Future[None]]:
    """The SDK's own future, and one of this loop that tells when it is done."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(_: Future[S]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_wake, done)

    finished = future.future()
    finished.add_done_callback(tell)
    return finished, done


def _result(finished: Future[S], server: str) -> S:
    from openthoughts_cli.engine.tinker.failures import as_ot_error

    if finished.cancelled():
        raise as_ot_error(asyncio.CancelledError(), server=server)
    error = finished.exception()
    if error is not None:
        raise as_ot_error(error, server=server) from error
    return finished.result()


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
