"""The signature of a task's function: arguments are checked against it when submitting.

`inspect.Signature.bind` takes several microseconds. An empty function with the same
parameters is as strict, has the error messages that programmers know, and takes a
tenth of one.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, get_type_hints

# What the parameter of the empty function has as its default.
_DEFAULT = object()


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with annotations as objects, as far as they are known.

    Raises TypeError if the function has no signature.
    """
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"a task needs a function with a signature: {error}") from error
    hints = _hints(function)
    parameters = [
        each.replace(annotation=hints.get(each.name, each.annotation))
        for each in signature.parameters.values()
    ]
    result = hints.get("return", signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=result)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:
        # A name that exists for type checkers only, or no function.
        return {}


def checker(name: str, signature: inspect.Signature) -> Callable[..., None]:
    """Return a function that raises TypeError for arguments that do not fit."""
    source = f"def check({_parameters(signature)}): pass"
    names: dict[str, Any] = {"_default": _DEFAULT}
    # The names come from the program's own function.
    exec(source, names)
    check: Callable[..., None] = names["check"]
    check.__qualname__ = name
    return check


def _parameters(signature: inspect.Signature) -> str:
    parts: list[str] = []
    kind: Any = None
    for each in signature.parameters.values():
        if kind is Parameter.POSITIONAL_ONLY and each.kind is not kind:
            parts.append("/")
        if each.kind is Parameter.KEYWORD_ONLY and kind not in (
            Parameter.VAR_POSITIONAL,
            Parameter.KEYWORD_ONLY,
        ):
            parts.append("*")
        kind = each.kind
        parts.append(_parameter(each))
    if kind is Parameter.POSITIONAL_ONLY:
        parts.append("/")
    return ", ".join(parts)


def _parameter(parameter: Parameter) -> str:
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return f"*{parameter.name}"
    if parameter.kind is Parameter.VAR_KEYWORD:
        return f"**{parameter.name}"
    if parameter.default is Parameter.empty:
        return parameter.name
    return f"{parameter.name}=_default"
