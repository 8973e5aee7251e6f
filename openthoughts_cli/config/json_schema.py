"""The JSON Schema of each verb's config file, for editors: what a file may hold, short forms too."""

from __future__ import annotations

from typing import Any

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.schema import SHORT_KEYS, VERBS, inner_model, mapping_model

__all__ = ["json_schema"]

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def json_schema(verb: str) -> dict[str, Any]:
    """The schema (2020-12) of a config of `verb`.

    No key is required: what a file leaves out may come from an option or from `extends`.
    """
    schema = VERBS[verb].model_json_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    for model in _models(VERBS[verb]):
        part = schema if model is VERBS[verb] else definitions[model.__name__]
        part.pop("required", None)
        for name, info in model.model_fields.items():
            node = part["properties"][name]
            node.pop("identity", None)
            if name in _taking_one_or_many(model):
                part["properties"][name] = _or_one(node)
            elif (entries := mapping_model(info.annotation)) is not None:
                part["properties"][name] = _or_names(node, entries)
            elif (inner := inner_model(info.annotation)) in SHORT_KEYS:
                part["properties"][name] = _or_short(node, inner, definitions)
    schema["properties"]["extends"] = {
        "anyOf": [_TEXT, _TEXTS],
        "description": "Files to start from, relative to this one; later ones win.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"ot {verb}",
    }


def _models(model: type[ConfigModel]) -> list[type[ConfigModel]]:
    """The model and all that stand inside it."""
    found = [model]
    for info in model.model_fields.values():
        for inner in (inner_model(info.annotation), mapping_model(info.annotation)):
            found += _models(inner) if inner is not None else []
    return list(dict.fromkeys(found))


def _taking_one_or_many(model: type[ConfigModel]) -> set[str]:
    """Fields with a validator of the name that turns one value into a list of one."""
    found = model.__pydantic_decorators__.field_validators.get("_one_or_many")
    return set(found.info.fields) if found is not None else set()


def _or_one(node: dict[str, Any]) -> dict[str, Any]:
    about = {key: node[key] for key in ("default", "description", "examples") if key in node}
    forms = node.get("anyOf") or [{key: item for key, item in node.items() if key not in about}]
    ones = [form["items"] for form in forms if form.get("type") == "array"]
    return {"anyOf": [*forms, *ones], **about}


def _or_names(node: dict[str, Any], entries: type[ConfigModel]) -> dict[str, Any]:
    """`evals: [nll]`, and for an entry `nll:` (its defaults) or `nll: false` (left out)."""
    entry = {"anyOf": [{"$ref": f"#/$defs/{entries.__name__}"}, {"type": ["null", "boolean"]}]}
    about = {key: node[key] for key in ("default", "description") if key in node}
    return {
        "anyOf": [{"type": "object", "additionalProperties": entry}, _TEXTS, _TEXT],
        **about,
    }


def _or_short(
    node: dict[str, Any], inner: type[ConfigModel] | None, definitions: dict[str, Any]
) -> dict[str, Any]:
    """`engine: local` for `engine: {kind: local}`."""
    assert inner is not None
    short = definitions[inner.__name__]["properties"][SHORT_KEYS[inner]]["enum"]
    about = {key: item for key, item in node.items() if key != "$ref"}
    return {"anyOf": [{"$ref": f"#/$defs/{inner.__name__}"}, {"enum": short}], **about}
