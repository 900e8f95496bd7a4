"""The jobs that a submission may join."""

from .model import Function, Job


class Uniques:
    """The jobs that a submission may join, by their unique.

    The jobs of all functions are in one table, since GET_STATUS_UNIQUE names a unique
    and no function. The unique "-" stands for the workload itself; such jobs are in the
    function's `twins`. An empty unique joins nothing, nor does "-" with an empty
    workload.
    """

    __slots__ = ("_first", "_others")

    def __init__(self) -> None:
        self._first: dict[bytes, Job] = {}
        # Jobs of further functions, if several functions use one unique.
        self._others: dict[bytes, dict[Function, Job]] = {}

    def first(self, unique: bytes) -> Job | None:
        """Return the first job of this unique, whatever its function."""
        return self._first.get(unique)

    def find(self, function: Function, unique: bytes, workload: bytes) -> Job | None:
        """Return the job that a submission of this function and unique joins."""
        if unique == b"-":
            return function.twins.get(workload)
        job = self._first.get(unique)
        if job is None or job.function is function:
            return job
        others = self._others.get(unique)
        return None if others is None else others.get(function)

    def add(self, job: Job) -> None:
        """Make submissions find this job, instead of an earlier one."""
        unique = job.unique
        if unique == b"-":
            if job.workload:
                job.function.twins[job.workload] = job
        elif unique:
            first = self._first.setdefault(unique, job)
            if first is job:
                return
            if first.function is job.function:
                self._first[unique] = job
            else:
                others = self._others.setdefault(unique, {})
                others[job.function] = job

    def remove(self, job: Job) -> None:
        """Make submissions not find this job any more."""
        unique = job.unique
        if unique == b"-":
            if job.function.twins.get(job.workload) is job:
                del job.function.twins[job.workload]
            return
        others = self._others.get(unique) if self._others else None
        if self._first.get(unique) is job:
            if others is None:
                del self._first[unique]
                return
            function = next(iter(others))
            self._first[unique] = others.pop(function)
        elif others is not None and others.get(job.function) is job:
            del others[job.function]
        if others is not None and not others:
            del self._others[unique]
