"""Events as lines of JSON, from the process that runs a cell to the one that conducts the sweep."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from openthoughts_cli import events
from openthoughts_cli.events import Event

__all__ = ["decode_event", "encode_event"]

_CLASSES: dict[str, type[Event]] = {
    name: cls
    for name, cls in vars(events).items()
    if isinstance(cls, type) and issubclass(cls, Event)
}


def encode_event(event: Event) -> dict[str, Any] | None:
    """The event as a JSON-like value, without what stands in the run's own files; None: not sent."""
    name = type(event).__name__
    if name not in _CLASSES:
        return None
    fields = dataclasses.asdict(event)
    fields.pop("record", None)  # an evaluation's record
    return {"type": name, **json.loads(json.dumps(fields, default=str))}


def decode_event(value: dict[str, Any]) -> Event | None:
    """The event again; None for what another version sends."""
    cls = _CLASSES.get(str(value.get("type")))
    if cls is None:
        return None
    names = {field.name for field in dataclasses.fields(cls)}
    try:
        return cls(**{key: item for key, item in value.items() if key in names})
    except TypeError:
        return None
