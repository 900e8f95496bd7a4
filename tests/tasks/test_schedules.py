"""Schedules of tasks are tables of the settings file, which the server understands."""

import tomllib
from pathlib import Path

import pytest

from gearman.tasks import App, Schedule
from tests import servers
from tests.tasks.stage import working


def test_a_schedule_is_a_table() -> None:
    app = App()

    @app.task(schedule="0 3 * * *", retries=3, timeout=60)
    def clean() -> None: ...

    @app.task(
        name="report\x7f",
        schedule=Schedule(
            "@daily",
            timezone="Europe/Berlin",
            args=("ü",),
            kwargs={"days": 3},
            catch_up=3600,
        ),
        priority="low",
        unique="report",
    )
    def report(kind: str, days: int) -> None: ...

    @app.task(schedule="@hourly")
    def ping(data: bytes = b"") -> None: ...

    @app.task
    def other() -> None: ...

    assert tomllib.loads(app.settings())["schedules"] == {
        "clean": {
            "cron": "0 3 * * *",
            "function": "clean",
            "workload": '{"args":[],"kwargs":{}}',
            "options": "timeout=60&retries=3",
        },
        "report\x7f": {
            "cron": "@daily",
            "timezone": "Europe/Berlin",
            "function": "report\x7f",
            "workload": '{"args":["ü"],"kwargs":{"days":3}}',
            "unique": "report",
            "priority": "low",
            "catch-up": 3600,
        },
        "ping": {"cron": "@hourly", "function": "ping"},
    }


def test_arguments_of_a_schedule_must_fit() -> None:
    app = App()

    @app.task(schedule="@daily")
    def task(number: int) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        app.settings()


def test_the_server_runs_a_schedule(tmp_path: Path) -> None:
    app = App()
    ran: list[int] = []

    @app.task(schedule=Schedule("0 3 * * *", args=(7,)), retries=1)
    def nightly(number: int) -> None:
        ran.append(number)

    file = tmp_path / "settings.toml"
    file.write_text(app.settings())
    with servers.ours("--settings", str(file)) as server:
        app.addresses = [server.address]
        with app.admin(server.address) as admin:
            assert admin.run_schedule("nightly") == "OK"
        with working(app):
            servers.until(lambda: ran)
    assert ran == [7]
