"""One finding of `ot doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from openthoughts_cli.redaction import redact

__all__ = ["Check", "Status", "fail", "ok", "warn", "worst"]

Status = Literal["ok", "warn", "fail"]

_BY_WEIGHT: tuple[Status, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what is so, and what to do about it.

    `warn`: something that some commands need is not there. `fail`: what every use needs, or what
    the settings ask for, is not there. `fix` is empty only where there is nothing to mend.
    """

    group: str
    name: str
    status: Status
    text: str
    fix: str = ""

    def __post_init__(self) -> None:
        # Both may quote an address of the environment, or a server.
        object.__setattr__(self, "text", redact(self.text))
        object.__setattr__(self, "fix", redact(self.fix))

    def __repr__(self) -> str:
        fix = f" ({self.fix})" if self.fix else ""
        return f"<{self.status} {self.group}, {self.name}: {self.text}{fix}>"

    def as_record(self) -> dict[str, str]:
        """The finding as JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "status": self.status,
            "text": self.text,
            "fix": self.fix,
        }


def ok(group: str, name: str, text: str) -> Check:
    """A finding that needs nothing."""
    return Check(group, name, "ok", text)


def warn(group: str, name: str, text: str, fix: str) -> Check:
    """A finding that stands in the way of some commands."""
    return Check(group, name, "warn", text, fix)


def fail(group: str, name: str, text: str, fix: str) -> Check:
    """A finding that must be mended first."""
    return Check(group, name, "fail", text, fix)


def worst(checks: Iterable[Check]) -> Status:
    """The gravest status; `ok` of nothing."""
    weight = max((_BY_WEIGHT.index(check.status) for check in checks), default=0)
    return _BY_WEIGHT[weight]
