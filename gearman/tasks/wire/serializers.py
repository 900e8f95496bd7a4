"""Workloads and results as bytes.

JSON is what other languages write, too:

    {"args": ["a.jpg"], "kwargs": {"width": 800}}

Short forms are read as well: an array has the positional arguments, an object without
`args` and `kwargs` has the keyword arguments, any other value is the only argument,
and an empty workload has no arguments. A group's last job has the handles of the
others in `results_of`; the worker puts the list of their results before `args`.
"""

import inspect
import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from .conversion import Convert, from_json, to_json

Name = Literal["json", "bytes", "pickle"]
Parameters = list[inspect.Parameter]

_NO_NAMES: Final[Mapping[str, Any]] = {}
_FORM: Final = frozenset({"args", "kwargs", "results_of"})
_RAW: Final = (bytes, bytearray, memoryview)
_BY_NAME: Final = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


class Arguments(NamedTuple):
    """The arguments of a job. Before `args` come the results of other jobs, if any."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = _NO_NAMES
    results_of: Sequence[str] = ()


class Serializer(Protocol):
    """Makes bytes of arguments and results, and the reverse.

    `results` names the form of the results, and `results_of` the form of those that a
    group's last job can read.
    """

    results: Name
    results_of: Name | None

    def dump_arguments(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results_of: Sequence[str] = (),
    ) -> bytes:
        """Return a workload. Raises TypeError or ValueError."""

    def load_arguments(self, data: bytes) -> Arguments:
        """Return the arguments in a workload. Raises TypeError or ValueError."""

    def dump_result(self, result: Any) -> bytes:
        """Return a result as bytes. Raises TypeError or ValueError."""

    def load_result(self, data: bytes) -> Any:
        """Return the result in bytes. Raises TypeError or ValueError."""

    def load_results(self, results: Sequence[bytes]) -> list[Any]:
        """Return the first argument of a group's last job: the results of the others.

        Raises TypeError or ValueError.
        """


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=to_json
)


_raw_decode: Final = json.JSONDecoder().raw_decode


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _load(data: bytes) -> Any:
    """Return the value in JSON. Raises ValueError."""
    text = str(data, "utf-8")
    try:
        # It takes half of the time of json.loads, which allows white space around.
        value, end = _raw_decode(text)
    except ValueError:
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


class Json:
    """JSON, with conversions by annotation. A result annotated as bytes is raw."""

    def __init__(self, signature: inspect.Signature) -> None:
        converts = {
            each.name: convert
            for each in signature.parameters.values()
            if (convert := from_json(each.annotation)) is not None
        }
        self._parameters = list(signature.parameters.values())
        self._converts: dict[str, Convert] = converts
        self._result = from_json(signature.return_annotation)
        self.results: Name = "json"
        self.results_of: Name | None = "json"
        if signature.return_annotation in (bytes, "bytes"):
            self.results = "bytes"

    def dump_arguments(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results_of: Sequence[str] = (),
    ) -> bytes:
        form = {"args": args, "kwargs": kwargs}
        if results_of:
            form["results_of"] = results_of
        return _dump(form)

    def load_arguments(self, data: bytes) -> Arguments:
        found = _read(_load(data)) if data else Arguments()
        return self._converted(found) if self._converts else found

    def dump_result(self, result: Any) -> bytes:
        return _raw(result) if self.results == "bytes" else _dump(result)

    def load_result(self, data: bytes) -> Any:
        if self.results == "bytes":
            return bytes(data)
        # A worker in another language may send nothing where this one sends null.
        value = _load(data) if data else None
        return value if self._result is None else self._result(value)

    def load_results(self, results: Sequence[bytes]) -> list[Any]:
        values = [_load(data) if data else None for data in results]
        (parameter,) = self._positional(1)
        convert = self._converts.get(parameter.name)
        return values if convert is None else convert(values)

    def _converted(self, found: Arguments) -> Arguments:
        args = list(found.args)
        # The results of other jobs are the first argument.
        first = 1 if found.results_of else 0
        parameters = self._positional(first + len(args))[first:]
        for index, parameter in enumerate(parameters):
            convert = self._converts.get(parameter.name)
            if convert is not None:
                args[index] = convert(args[index])
        kwargs = {
            name: convert(value) if (convert := self._of_keyword(name)) else value
            for name, value in found.kwargs.items()
        }
        return Arguments(args, kwargs, found.results_of)

    def _positional(self, count: int) -> Parameters:
        """Return the parameters of the first `count` positional arguments."""
        chosen: Parameters = []
        for parameter in self._parameters:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                return chosen + [parameter] * (count - len(chosen))
            if len(chosen) < count:
                chosen.append(parameter)
        return chosen

    def _of_keyword(self, name: str) -> Convert | None:
        rest = None
        for parameter in self._parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                rest = self._converts.get(parameter.name)
            elif parameter.name == name and parameter.kind in _BY_NAME:
                return self._converts.get(name)
        return rest


def _read(value: Any) -> Arguments:
    """Return the arguments that a JSON value stands for. Raises ValueError."""
    if type(value) is not dict:
        return Arguments(value if isinstance(value, list) else [value])
    # `get` takes less time than the comparison of keys, and this is the usual form.
    args, kwargs = value.get("args"), value.get("kwargs")
    if type(args) is list and type(kwargs) is dict and len(value) == 2:
        return Arguments(args, kwargs)
    if not value or not value.keys() <= _FORM:
        return Arguments((), value)
    results_of = value.get("results_of", [])
    args = value.get("args", [])
    # PHP writes an empty object as an empty array.
    kwargs = value.get("kwargs", {}) or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("the workload needs an array `args` and an object `kwargs`")
    if not isinstance(results_of, list):
        raise ValueError("`results_of` must be an array of handles")
    return Arguments(args, kwargs, tuple(results_of))


class Raw:
    """Bytes as they are, for a task with one parameter, which is bytes or str.

    A result is bytes, text or None; if the function is annotated with another type, the
    result is JSON.
    """

    def __init__(self, signature: inspect.Signature) -> None:
        names = list(signature.parameters)
        if len(names) != 1:
            raise TypeError(
                f"a task of bytes has one parameter, not {len(names)}: use JSON"
            )
        (self._name,) = names
        self._text = signature.parameters[self._name].annotation in (str, "str")
        self._kind = signature.return_annotation
        self._json: Json | None = None
        self.results: Name = "bytes"
        self.results_of: Name | None = None
        if self._kind not in (bytes, str, None, type(None), Any, signature.empty):
            self._json = Json(signature)
            self.results = "json"

    def dump_arguments(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results_of: Sequence[str] = (),
    ) -> bytes:
        if results_of:
            raise TypeError("a task of bytes cannot have the results of other jobs")
        return _raw(args[0] if args else kwargs.get(self._name, b""))

    def load_arguments(self, data: bytes) -> Arguments:
        return Arguments((str(data, "utf-8") if self._text else bytes(data),))

    def dump_result(self, result: Any) -> bytes:
        return _raw(result) if self._json is None else self._json.dump_result(result)

    def load_result(self, data: bytes) -> Any:
        if self._json is not None:
            return self._json.load_result(data)
        if self._kind is str:
            return str(data, "utf-8")
        return None if self._kind in (None, type(None)) else bytes(data)

    def load_results(self, results: Sequence[bytes]) -> list[Any]:
        raise TypeError("a task of bytes cannot have the results of other jobs")


def _raw(value: Any) -> bytes:
    if isinstance(value, _RAW):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    if value is None:
        return b""
    raise TypeError(f"bytes, str or None is needed, not {type(value).__name__}")


class Pickle:
    """Any object of Python. Whoever can submit jobs can run code in the worker."""

    results: Name = "pickle"
    results_of: Name | None = "pickle"

    def dump_arguments(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results_of: Sequence[str] = (),
    ) -> bytes:
        return pickle.dumps((args, kwargs, results_of))

    def load_arguments(self, data: bytes) -> Arguments:
        return Arguments(*pickle.loads(data))

    def dump_result(self, result: Any) -> bytes:
        return pickle.dumps(result)

    def load_result(self, data: bytes) -> Any:
        return pickle.loads(data)

    def load_results(self, results: Sequence[bytes]) -> list[Any]:
        return list(map(pickle.loads, results))


def serializer(name: Name | None, signature: inspect.Signature) -> Serializer:
    """Return a serializer by its name. Without one, it is JSON, or bytes for bytes.

    Raises ValueError for another name, and TypeError if the function is not for bytes.
    """
    if name is None:
        kinds = [each.annotation for each in signature.parameters.values()]
        name = "bytes" if kinds in ([bytes], ["bytes"]) else "json"
    if name == "json":
        return Json(signature)
    if name == "bytes":
        return Raw(signature)
    if name == "pickle":
        return Pickle()
    raise ValueError(f"serializer is json, bytes or pickle, not {name!r:.80}")
