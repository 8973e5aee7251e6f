"""Faults on demand, by seed: a Tinker server that disturbs what it is asked, and counts how often.

A schedule is a value: everything follows from its seed, the route and how often that was asked.
Passing faults are those that the SDK or this tool must get over; a schedule may also have an
ending, a fault that no client can get over, after which `mend` makes the server well again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_server import TinkerServer

__all__ = ["DisturbedServer", "Ending", "Fault", "FaultSchedule"]

Fault: TypeAlias = Literal[
    "429",
    "429-retry-after",
    "500",
    "502",
    "503",
    "402",
    "400-empty",
    "408",
    "410",
    "dropped-before",
    "dropped-after",
    "half-sent",
    "reset",
    "stall",
    "late",
    "duplicate",
    "restart",
]
Ending: TypeAlias = Literal[
    "never", "unpaid", "revoked", "forgotten", "gone", "silent", "sampler-lost"
]

_WIRE: tuple[Fault, ...] = ("dropped-before", "dropped-after", "half-sent", "reset")
_SLOW: tuple[Fault, ...] = ("stall", "late", "duplicate", "restart")
_BUSY: tuple[Fault, ...] = ("429", "429-retry-after", "500", "502", "503")
_EVERYWHERE: tuple[Fault, ...] = (*_WIRE, *_SLOW, *_BUSY)
# The SDK pauses on 402, and takes a bodyless 400 for a proxy's, while it hands requests in.
_HANDED_IN: tuple[Fault, ...] = (*_EVERYWHERE, "402", "400-empty")
_FAULTS_OF: dict[str, tuple[Fault, ...]] = {
    "forward_backward": _HANDED_IN,
    "optim_step": _HANDED_IN,
    "save_weights": _HANDED_IN,
    "save_weights_for_sampler": _HANDED_IN,
    "asample": _HANDED_IN,
    "get_server_capabilities": _HANDED_IN,
    "retrieve_future": (*_EVERYWHERE, "400-empty", "408", "410"),
    "healthz": (*_WIRE, "stall"),
}
_CHANGING = ("forward_backward", "optim_step")


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """Which faults a server commits.

    `kinds` of passing faults, each request meeting one with `chance`; never two in a row on one
    route. `ending` begins when `ending_at` requests have changed weights.
    """

    seed: int
    kinds: tuple[Fault, ...]
    chance: float
    ending: Ending | None = None
    ending_at: int = 0

    @classmethod
    def of(cls, seed: int, *, changes: int) -> FaultSchedule:
        """The schedule of a seed, for a run of so many requests that change weights."""
        draw = random.Random(f"schedule/{seed}")
        kinds = tuple(draw.sample(get_args(Fault), draw.randint(1, 5)))
        chance = draw.choice((0.04, 0.08, 0.12))
        if draw.random() < 0.6:
            return cls(seed, kinds, chance)
        kinds = tuple(kind for kind in kinds if kind != "402")  # its pause is a silence of 5 s
        ending: Ending = draw.choice(get_args(Ending))
        return cls(seed, kinds, chance, ending, draw.randrange(changes))

    def fault(self, route: str, number: int) -> Fault | None:
        """What befalls the `number`th request (from 0) of a route."""
        kind = self._drawn(route, number)
        return None if kind is None or self._drawn(route, number - 1) is not None else kind

    def _drawn(self, route: str, number: int) -> Fault | None:
        draw = random.Random(f"{self.seed}/{route}/{number}")
        survivable = _FAULTS_OF.get(route, _EVERYWHERE)
        possible: list[Fault] = [kind for kind in self.kinds if kind in survivable]
        if number < 0 or not possible or draw.random() >= self.chance:
            return None
        return draw.choice(possible)


class DisturbedServer(TinkerServer):
    """A Tinker server with a schedule. `injected` counts the faults by their kind."""

    def __init__(self, schedule: FaultSchedule | None, **options: Any) -> None:
        super().__init__(**options)
        self.schedule = schedule
        self.injected: Counter[str] = Counter()
        self.ended: Ending | None = None
        self._asked: Counter[str] = Counter()
        self._changes = 0
        self._restarted = False

    def mend(self) -> None:
        """Make an end of the ending; passing faults go on."""
        if self.schedule is not None:
            self.schedule = dataclasses.replace(self.schedule, ending=None)
        self.ended = None
        self.http.call(self.http.come_back())

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        return self.closing(request, await self._met_by_faults(request))

    async def _met_by_faults(self, request: HttpRequest) -> HttpResponse:
        route = _route_of(request.path)
        number = self._asked[route]
        self._asked[route] += 1
        if self.schedule is None:
            return await super()._respond(request)
        self._begin_ending(route)
        if self.ended is not None:
            final = await self._answer_at_the_end(self.ended, route, request)
            if final is not None:
                self.requests.append(request)
                return final
        kind = self.schedule.fault(route, number)
        if kind == "410" and b":sample:" not in request.body:
            kind = None  # a lost training result is an ending
        if kind == "restart":
            kind = None if self._restarted else kind
            self._restarted = True
        if kind is None:
            return await super()._respond(request)
        self.injected[kind] += 1
        return await self._disturbed(kind, request)

    async def _disturbed(self, kind: Fault, request: HttpRequest) -> HttpResponse:
        before = _instead(kind)
        if before is not None:
            self.requests.append(request)
            return before
        if kind == "restart":
            self.http.leave(0.3)
            await asyncio.sleep(60)  # cut off with the connection
        if kind == "410":
            self.lost.add(request.json()["request_id"])
        if kind == "stall":
            await asyncio.sleep(0.3)
        if kind == "duplicate":
            await super()._respond(request)
        response = await super()._respond(request)
        if kind == "late":
            await asyncio.sleep(0.3)
        delivery = {
            "dropped-after": "nothing",
            "half-sent": "half",
            "reset": "reset",
            "duplicate": "twice",
        }.get(kind, "whole")
        return dataclasses.replace(response, delivery=delivery)

    def _begin_ending(self, route: str) -> None:
        schedule = self.schedule
        if schedule is None or schedule.ending is None or self.ended is not None:
            return
        if route not in _CHANGING or sum(len(r.changes) for r in self.history) < schedule.ending_at:
            return
        self.ended = schedule.ending
        self.injected[f"ending: {self.ended}"] += 1
        if self.ended == "forgotten":
            self.forget()
        elif self.ended == "gone":
            self.http.leave(None)

    async def _answer_at_the_end(
        self, ending: Ending, route: str, request: HttpRequest
    ) -> HttpResponse | None:
        if ending == "unpaid":
            return json_response({"detail": "billing: no payment"}, 402)
        if ending == "revoked":
            return json_response({"detail": "this key was revoked"}, 401)
        if ending in ("silent", "gone"):
            await asyncio.sleep(600)
        if ending == "never" and route == "retrieve_future" and b":train:" in request.body:
            await asyncio.sleep(self.poll_s)
            return json_response({"type": "try_again", "queue_state": "active"})
        if ending == "sampler-lost" and route == "asample":
            self.samplers.clear()
        return None


def _instead(kind: Fault) -> HttpResponse | None:
    """The answer that takes the place of the work; None when the work is done."""
    if kind == "429-retry-after":
        busy = json_response({"detail": "too many requests"}, 429)
        return dataclasses.replace(busy, headers={"retry-after": "0.2"})
    if kind == "400-empty":
        return HttpResponse(400)
    if kind == "408":
        return json_response({"type": "try_again", "queue_state": "paused_capacity"}, 408)
    if kind == "dropped-before":
        return HttpResponse(delivery="nothing")
    if kind == "402":
        return json_response({"detail": "billing: the balance is used up"}, 402)
    if kind in ("429", "500", "502", "503"):
        return json_response({"detail": f"the scripted fault {kind}"}, int(kind))
    return None


def _route_of(path: str) -> str:
    name = re.sub("^/api/v1/", "", path)
    return name if name.startswith("client/") else name.split("/", 1)[0]
