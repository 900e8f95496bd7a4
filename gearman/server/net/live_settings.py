"""Settings that can change while the server runs."""

import time

from ..broker import Broker
from ..connections.access import ConnectionCounter
from ..settings.config import Config
from ..settings.cron import CronTimes
from ..settings.memory import Budget
from ..settings.process import connections_allowed
from ..settings.settings_file import Settings
from ..settings.tables.schedules import set_schedule


def load(settings: Settings, broker: Broker) -> None:
    """Give the broker the policies and schedules of a settings file; there may be none.

    From then on, commands may set schedules.
    """
    broker.policies.load(settings.policies)
    broker.schedules.read = set_schedule
    broker.schedules.load(settings.schedules, CronTimes(), time.time())


def set_limits(
    config: Config, budget: Budget, broker: Broker, counter: ConnectionCounter
) -> None:
    """Set the limits of the broker and of connections.

    What is above a lowered limit already, stays.
    """
    counter.limit = config.max_connections or connections_allowed()
    counter.limit_per_address = config.max_connections_per_address
    _change_usual_limit(broker, config.max_jobs_per_function)
    limits = broker.limits
    limits.jobs = config.max_jobs
    limits.job_memory = budget.jobs
    limits.memory = budget.total
    limits.functions = config.max_functions
    limits.functions_per_worker = config.max_functions_per_worker
    broker.dead.age = config.dead_age
    broker.dead.keep_at_most(config.max_dead)
    broker.results.keep_at_most(config.max_results)


def _change_usual_limit(broker: Broker, limit: int) -> None:
    """Set --max-jobs-per-function, but not for functions with a limit of their own."""
    usual = [broker.limits.jobs_per_function] * 3
    broker.limits.jobs_per_function = limit
    for function in broker.functions.known.values():
        if function.limits == usual:
            function.limits = [limit] * 3
