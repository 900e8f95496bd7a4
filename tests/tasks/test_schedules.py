"""Schedules of tasks are tables of the settings file, which the server understands."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.errors import NotAccepted
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


class TestRegistered:
    """Schedules that the server knows from the app."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[servers.Server]:
        file = tmp_path / "settings.toml"
        file.write_text("[schedules.filed]\ncron = '@daily'\nfunction = 'other'\n")
        with servers.ours("--settings", str(file)) as started:
            yield started

    @staticmethod
    def known(app: App) -> dict[str, tuple[str, str | None]]:
        with app.admin(app.addresses[0]) as admin:
            return {
                each["name"]: (each["cron"], each["owner"])
                for each in admin.get_schedules()
            }

    def test_server_runs_them(self, server: servers.Server) -> None:
        app = App(server.address, name="shop")
        ran: list[object] = []

        @app.task(serializer="pickle", schedule=Schedule("0 3 * * *", args=({7},)))
        def nightly(numbers: set[int]) -> None:
            ran.append(numbers)

        assert app.register_schedules() == ["nightly"]
        with app, app.admin(server.address) as admin:
            assert admin.run_schedule("nightly") == "OK"
            with working(app):
                servers.until(lambda: ran)
        assert ran == [{7}]

    def test_they_are_replaced_and_removed(self, server: servers.Server) -> None:
        first = App(server.address, name="shop")
        timing = Schedule("0 3 * * *", timezone="Europe/Berlin", catch_up=3600)
        first.task(name="a", schedule=timing, retries=3)(print_nothing)
        first.task(name="b", schedule="@daily")(print_nothing)
        assert first.register_schedules() == first.register_schedules() == ["a", "b"]
        other = App(server.address, name="other")
        other.task(name="c", schedule="@daily")(print_nothing)
        assert other.register_schedules() == ["c"]
        second = App(server.address)
        second.task(name="a", schedule="@hourly")(print_nothing)
        assert second.register_schedules("shop") == ["a"]
        known = {"filed": ("@daily", None), "a": ("@hourly", "shop")}
        assert self.known(first) == {**known, "c": ("@daily", "other")}

    def test_schedule_of_the_file_stays(self, server: servers.Server) -> None:
        app = App(server.address, name="shop")
        app.task(name="filed", schedule="@hourly")(print_nothing)
        assert app.register_schedules() == []
        assert self.known(app) == {"filed": ("@daily", None)}

    def test_schedule_of_another_app_is_refused(self, server: servers.Server) -> None:
        app = App(server.address, name="shop")
        app.task(name="a", schedule="@daily")(print_nothing)
        app.register_schedules()
        app.task(name="b", schedule="@daily")(print_nothing)
        with pytest.raises(NotAccepted, match="refused: a: shop has set it"):
            app.register_schedules("other")
        assert self.known(app)["b"] == ("@daily", "other")

    def test_app_must_have_a_name(self) -> None:
        with pytest.raises(ValueError, match="give the app a name"):
            App().register_schedules()


def print_nothing() -> None: ...
