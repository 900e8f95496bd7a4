"""Workers, tasks and encoders for the programs of both libraries.

They are written as programs for python-gearman 2.0.2 are, and run on Python 2.7 and
on 3.
"""

import json
import pickle

import gearman


class CountedWorker(gearman.GearmanWorker):
    """Works until `wanted` jobs have ended."""

    wanted = 0

    def work_through(self, wanted):
        self.wanted = wanted
        self.work(poll_timeout=0.5)
        return self.wanted

    def after_poll(self, any_activity):
        return self.wanted > 0

    def on_job_execute(self, current_job):
        try:
            return gearman.GearmanWorker.on_job_execute(self, current_job)
        finally:
            self.wanted -= 1


class JSONEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return json.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string):
        return json.loads(decodable_string)


class PickleEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return pickle.dumps(encodable_object, 2)

    @classmethod
    def decode(cls, decodable_string):
        return pickle.loads(decodable_string)


def echo(worker, job):
    return job.data


def upper(worker, job):
    return job.data.upper()


def fail(worker, job):
    raise ValueError("no good: " + job.data)
