"""JSON schemas: short ways to write them, and a check of what was sent.

They describe bodies and answers in the OpenAPI document, and the same ones check
bodies. Of JSON Schema, only what is written here is known.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
# Whatever a server says, as an object.
OBJECT: Final[Schema] = {"type": "object"}

_BASE64: Final = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

# Bytes: a text if they are UTF-8.
BYTES: Final[Schema] = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string", "pattern": _BASE64}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ]
}
# The same, but not empty.
NAME: Final[Schema] = {
    "oneOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "base64": {"type": "string", "pattern": _BASE64, "minLength": 4}
            },
            "required": ["base64"],
            "additionalProperties": False,
        },
    ]
}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": [*words]}


def array(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def maybe(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"oneOf": [*schema["oneOf"], {"type": "null"}]}


def record(
    properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None
) -> Schema:
    """Return the schema of an object with these properties, and no others."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": [*properties],
        "additionalProperties": False,
    }


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def check(schema: Schema, value: object, where: str = "the body") -> None:
    """Raise ValueError, with a sentence, if a value does not fit a schema."""
    if "oneOf" in schema:
        _check_one_of(schema["oneOf"], value, where)
        return
    kinds = schema.get("type", [*_TYPES])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(_is(value, kind) for kind in kinds):
        raise ValueError(f"{where} must be of type {' or '.join(kinds)}")
    if "enum" in schema and value not in schema["enum"]:
        raise ValueError(f"{where} must be one of {', '.join(schema['enum'])}")
    if isinstance(value, str):
        _check_text(schema, value, where)
    elif isinstance(value, list):
        _check_array(schema, value, where)
    elif isinstance(value, dict):
        _check_object(schema, value, where)


def _is(value: object, kind: str) -> bool:
    # A bool is an int, too.
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _check_one_of(schemas: list[Schema], value: object, where: str) -> None:
    for schema in schemas:
        if _is(value, schema["type"]):
            check(schema, value, where)
            return
    kinds = " or ".join(schema["type"] for schema in schemas)
    raise ValueError(f"{where} must be of type {kinds}")


def _check_text(schema: Schema, value: str, where: str) -> None:
    if "minLength" in schema and len(value) < schema["minLength"]:
        raise ValueError(f"{where} must not be empty")
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        raise ValueError(f"{where} is longer than {schema['maxLength']} characters")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise ValueError(f"{where} must fit {schema['pattern']}")


def _check_array(schema: Schema, value: list[object], where: str) -> None:
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        raise ValueError(f"{where} must have {least} to {most} items")
    for number, item in enumerate(value):
        check(schema.get("items", {}), item, f"{where}[{number}]")


def _check_object(schema: Schema, value: dict[str, object], where: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise ValueError(f"{where} has no {name}")
    extra = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            check(properties[name], item, f"{name} of {where}")
        elif extra is False:
            raise ValueError(f"{where} has an unknown key: {name[:80]!r}")
        elif isinstance(extra, Mapping):
            check(extra, item, f"{name[:80]!r} of {where}")
