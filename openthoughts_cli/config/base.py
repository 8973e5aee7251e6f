"""The base of all config models: frozen, strict about keys, documented beneath each field."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["ConfigModel", "PlainName", "label"]


class ConfigModel(BaseModel):
    """A frozen model that refuses unknown keys.

    A field made with `label` (a name, a place, how loud to be) does not change what is computed;
    every other field bears identity.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    def identity(self) -> dict[str, Any]:
        """The identity-bearing fields as JSON-like values, nested models included."""
        return {
            name: _identity_of(getattr(self, name))
            for name, info in type(self).model_fields.items()
            if not _is_label(info.json_schema_extra)
        }


def _plain_name(value: str) -> str:
    """Refuse a name that could leave its directory or upset a shell.

    Raises:
        ValueError: with the rule.
    """
    allowed = all(c.isascii() and (c.isalnum() or c in "-_.") for c in value)
    if not value or not allowed or not value[0].isalnum() or len(value) > 120:
        raise ValueError(
            f"{value!r} is not a usable name: letters, digits, '-', '_' and '.', "
            "starting with a letter or digit, at most 120 characters"
        )
    return value


PlainName: TypeAlias = Annotated[str, AfterValidator(_plain_name)]
"""A name that cannot leave its directory or upset a shell."""


def label(default: Any, **constraints: Any) -> Any:
    """A field that names, places, limits or watches a result without changing it."""
    return Field(default=default, json_schema_extra={"identity": False}, **constraints)


def _is_label(extra: Any) -> bool:
    return isinstance(extra, dict) and extra.get("identity") is False


def _identity_of(value: Any) -> Any:
    if isinstance(value, ConfigModel):
        return value.identity()
    if isinstance(value, dict):
        return {str(key): _identity_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_identity_of(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
