"""The settings file: what is read from it, and the sentence for each mistake."""

import sys
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gearman.errors import ConfigurationError
from gearman.options import Backoff, Dead, JobOptions, Policy, Rate, Schedule
from gearman.server.settings.config import Config
from gearman.server.settings.options import GROUPS
from gearman.server.settings.settings_file import (
    CHANGEABLE,
    Settings,
    SettingsFile,
    open_settings,
    read_settings,
)
from gearman.server.settings.tables import schedules
from gearman.server.settings.tables.schedules import local_zone, set_schedule

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def _no_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def read(file: Path, text: str) -> Settings:
    file.write_text(text)
    return read_settings(str(file))


def refused(file: Path, text: str) -> str:
    """Return the sentence for a mistake, without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        read(file, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"{file}: ")
    return sentence.removeprefix(f"{file}: ")


# -- the file


def test_empty_file_sets_nothing(file: Path) -> None:
    settings = read(file, "")
    assert settings.policies.rows == {}
    assert (settings.schedules, settings.limits) == ((), {})
    assert settings.over(Config()) == Config()


def test_no_file_is_no_settings() -> None:
    assert open_settings(None) is None


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_settings(f"{tmp_path}/none")
    assert str(caught.value) == (
        f"{tmp_path}/none: the settings file cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a b", "this is no TOML: Expected '=' after a key"),
        ("a = " + "[" * 5000, "this is no TOML: "),
        ("[function.f]", "there is no table [function]: the tables are "),
        ("'a b' = 1", 'there is no table ["a b"]: the tables are [functions.NAME],'),
        ("functions = 1", "functions must be a table"),
        ("limits = 1", "limits must be a table"),
        ("functions.f = 1", "[functions.f]: f must be a table"),
        ("schedules.s = []", "[schedules.s]: s must be a table"),
    ],
)
def test_what_is_no_settings_file_is_refused(
    file: Path, text: str, sentence: str
) -> None:
    assert refused(file, text).startswith(sentence)


def test_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigurationError, match="settings.toml: this is no TOML: "):
        read_settings(str(file))


# -- functions


def test_policies_have_the_names_of_functions_or_globs(file: Path) -> None:
    settings = read(
        file,
        """
        [functions.resize]
        retries = 3
        rate = "100/s"
        [functions."größe.*"]
        ttl = 1.5
        paused = true
        [functions."*"]
        dead = "list"
        """,
    )
    assert settings.policies.rows == {
        b"resize": Policy(retries=3, rate=Rate(100.0, 1.0)),
        "größe.*".encode(): Policy(ttl=1.5, paused=True),
        b"*": Policy(dead=Dead("list")),
    }
    assert settings.policies.of(b"resize") == Policy(
        retries=3, rate=Rate(100.0, 1.0), dead=Dead("list")
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[functions.f]\nretries = -1",
            "[functions.f]: retries must be a whole number from 0 to 2147483647, not"
            " '-1'",
        ),
        (
            "[functions.'a*']\nbackground = true",
            "[functions.\"a*\"]: 'background' is no key of a policy: there are ttl,",
        ),
        (
            "[functions.mail.send]\nretries = 1",
            "[functions.mail]: 'send' must be no table: is [functions.\"mail.send\"]"
            " meant, with quotes?",
        ),
        ("[functions.'']", '[functions.""]: the name of a function has 1 to 8180 byte'),
        ('[functions."a\\u0000"]', r'[functions."a\x00"]: the name of a function has '),
    ],
)
def test_mistake_in_a_policy_is_told_with_its_place(
    file: Path, text: str, sentence: str
) -> None:
    assert refused(file, text).startswith(sentence)


# -- limits


def test_limits_are_those_of_the_command_line(file: Path) -> None:
    settings = read(
        file,
        """
        [limits]
        max-jobs = 5
        max-memory = "2G"
        max-connections-per-address = "7"
        """,
    )
    changed = replace(
        Config(), max_jobs=5, max_memory=2 * 1024**3, max_connections_per_address=7
    )
    assert settings.over(Config()) == changed
    assert settings.over(Config(max_jobs=3, max_functions=4)) == replace(
        changed, max_functions=4
    )


@pytest.mark.parametrize("name", CHANGEABLE)
def test_limit_that_can_change_is_an_option(file: Path, name: str) -> None:
    assert any(f"--{name}" in names for names, _ in GROUPS["limits"])
    settings = read(file, f"[limits]\n{name} = 4096")
    changed: dict[str, Any] = {name.replace("-", "_"): 4096}
    assert settings.over(Config()) == replace(Config(), **changed)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max-jobs = -1", "max-jobs must be a whole number from 0 to 2147483647, not"),
        ("max-jobs = 1.5", "max-jobs must be a number, or a text such as '64M', not "),
        ("max-jobs = true", "max-jobs must be a number, or a text such as '64M', not "),
        ("max-memory = '1x'", "max-memory must be a number of bytes from 0 to "),
        ("max-packet = 5", "max-packet is an option of the command line only: there a"),
        ("max-job = 5", "'max-job' is no limit that can change: there are max-connec"),
        ("max_jobs = 5", "'max_jobs' is no limit that can change: there are max-conn"),
        ("backlog = 5", "'backlog' is no limit that can change: there are max-connec"),
    ],
)
def test_mistake_in_a_limit_is_told(file: Path, text: str, sentence: str) -> None:
    assert refused(file, f"[limits]\n{text}").startswith(f"[limits]: {sentence}")


# -- schedules


def test_schedule_has_all_that_its_job_needs(file: Path) -> None:
    file.with_name("report.json").write_bytes(b"\0\xff")
    settings = read(
        file,
        """
        [schedules.nightly]
        cron = "30 3 * * *"
        timezone = "Europe/Berlin"
        function = "report"
        workload-file = "report.json"
        unique = "nightly"
        priority = "low"
        options = { retries = 3, backoff = "fixed:60" }
        catch-up = 3600
        paused = true

        [schedules.hourly]
        cron = "@hourly"
        timezone = "UTC"
        function = "größe"
        workload = "€"
        options = "ttl=60&priority=high"
        """,
    )
    nightly, hourly = settings.schedules
    assert nightly == Schedule(
        "nightly",
        "30 3 * * *",
        BERLIN,
        b"report",
        b"\0\xff",
        b"nightly",
        JobOptions(retries=3, backoff=Backoff("fixed", 60.0, 60.0), priority=2),
        3600.0,
        True,
    )
    assert hourly == Schedule(
        "hourly",
        "@hourly",
        ZoneInfo("UTC"),
        "größe".encode(),
        "€".encode(),
        options=JobOptions(ttl=60.0, priority=0),
    )
    assert (nightly.fields, hourly.fields) == ("30 3 * * *", "0 * * * *")


def test_schedule_needs_a_time_and_a_function_only(file: Path) -> None:
    text = "[schedules.s]\ncron = '@daily'\nfunction = 'f'"
    (schedule,) = read(file, text).schedules
    assert schedule == Schedule("s", "@daily", local_zone(), b"f")
    # Otherwise every schedule would seem changed after a reload.
    assert read(file, text).schedules == (schedule,)


def test_schedule_that_is_read_again_is_the_same(file: Path) -> None:
    text = "[schedules.s]\ncron = '@daily'\nfunction = 'f'\ntimezone = 'Europe/Paris'"
    assert read(file, text).schedules == read(file, text).schedules


def test_local_zone_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("Europe/Berlin", ":Europe/Berlin"):
        monkeypatch.setenv("TZ", text)
        assert local_zone() is BERLIN
    monkeypatch.setenv("TZ", "")
    assert local_zone() is UTC


def test_environment_without_a_name_of_a_zone_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST")
    sentence = refused(file, "[schedules.s]\ncron = '@daily'\nfunction = 'f'")
    assert sentence.startswith(
        "[schedules.s]: timezone is missing, and the environment's TZ can't be used: "
    )
    assert sentence.endswith(", not 'CET-1CEST'")


def test_local_zone_is_that_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncached = schedules._zone_of_the_machine.__wrapped__
    monkeypatch.setattr(schedules, "_LOCAL_TIME", str(tmp_path / "none"))
    assert uncached() is UTC
    assert isinstance(local_zone(), (ZoneInfo, type(UTC)))
    (tmp_path / "zone").write_bytes(ZONE)
    monkeypatch.setattr(schedules, "_LOCAL_TIME", str(tmp_path / "zone"))
    assert str(uncached()) == str(tmp_path / "zone")


# A zone file of version 1 with one time type: UTC+1, "CET".
ZONE = (
    b"TZif" + bytes(16) + b"".join(n.to_bytes(4) for n in (0, 0, 0, 0, 1, 4))
) + b"\0\0\x0e\x10\0\0CET\0"


GOOD = {"cron": "'@daily'", "function": "'f'"}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"cron": None}, "cron is missing"),
        ({"function": None}, "function is missing"),
        ({"cron": "5"}, "cron must be a text in quotes, not this int"),
        ({"function": "''"}, "function must be a text of 1 to 8180 bytes without zero"),
        ({"function": r'"a\u0000"'}, "function must be a text of 1 to 8180 bytes"),
        ({"unique": f"'{'u' * 65}'"}, "unique must be a text of 1 to 64 bytes without"),
        ({"timezone": "'Europe/Atlantis'"}, "timezone must be the name of a time zone"),
        ({"timezone": "'../x'"}, "timezone must be the name of a time zone that this"),
        ({"timezone": "'Europe'"}, "timezone must be the name of a time zone that thi"),
        ({"timezone": "''"}, "timezone must be the name of a time zone that this mach"),
        ({"workload": "5"}, "workload must be a text in quotes, not this int"),
        (
            {"workload": "''", "workload-file": "'a'"},
            "there are workload and workload-file: leave one out",
        ),
        ({"workload-file": r'"\u0000"'}, r"workload-file '"),
        ({"priority": "'top'"}, "priority must be high, normal or low, not 'top'"),
        (
            {"priority": "'low'", "options": "'priority=low'"},
            "priority is also in options: leave one out",
        ),
        ({"options": "5"}, "options must be a table, or a text such as 'retries=3&tt"),
        ({"options": "'retries=x'"}, "retries must be a whole number from 0 to"),
        ({"options": "{ rate = '1/s' }"}, "'rate' is no option of a job: there are a"),
        ({"options": "{ at = 5 }"}, "options must be without at in a schedule"),
        ({"options": "'background=0'"}, "options must be without background in a sch"),
        ({"catch-up": "-1"}, "catch-up must be a number of seconds, at most 100 year"),
        ({"paused": "'on'"}, "paused must be 0 or 1 (in a settings file also true or"),
        ({"retries": "5"}, "'retries' is no key of a schedule: there are cron, time"),
    ],
)
def test_mistake_in_a_schedule_is_told_with_its_key(
    file: Path, keys: dict[str, str | None], sentence: str
) -> None:
    lines = [f"{key} = {value}" for key, value in (GOOD | keys).items() if value]
    text = "\n".join(["[schedules.nightly]", *lines])
    assert refused(file, text).startswith(f"[schedules.nightly]: {sentence}")


@pytest.mark.parametrize("name", ['""', '"a b"', r'"a\tb"'])
def test_name_of_a_schedule_is_a_word_of_admin_commands(file: Path, name: str) -> None:
    text = f"[schedules.{name}]\ncron = '@daily'\nfunction = 'f'"
    assert ": the name must be a word without spaces and" in refused(file, text)


def test_workload_that_cannot_be_read_is_told(file: Path) -> None:
    text = "[schedules.s]\ncron = '@daily'\nfunction = 'f'\nworkload-file = 'none'"
    assert refused(file, text) == (
        f"[schedules.s]: workload-file '{file.parent}/none' cannot be read: No such"
        " file or directory"
    )


@pytest.mark.parametrize(
    "cron",
    [
        *("", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *"),
        *("* * * 13 *", "* * * * 8", "a * * * *", "*/0 * * * *", "0 0 30 2 *"),
        *("@reboot", "@Daily", "daily", "9" * 5000 + " * * * *"),
    ],
)
def test_time_of_a_schedule_is_that_of_cron(file: Path, cron: str) -> None:
    sentence = refused(file, f"[schedules.s]\ncron = '{cron}'\nfunction = 'f'")
    assert sentence.startswith(
        "[schedules.s]: cron must be minute, hour, day of month, month and day of week,"
        " such as '30 3 * * *', or one of @yearly, "
    )
    assert len(sentence) < 500


def test_missing_cronsim_is_told_with_its_extra(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    sentence = refused(file, "[schedules.s]\ncron = '@daily'\nfunction = 'f'")
    assert sentence.startswith("[schedules.s]: schedules need cronsim (")
    assert sentence.endswith("): install it by pip install 'gearman-py[cron]'")
    assert read(file, "[functions.f]\nretries = 1").policies.rows


# -- reading it again


def test_good_file_replaces_the_settings_and_a_bad_one_does_not(file: Path) -> None:
    file.write_text("[limits]\nmax-jobs = 5")
    settings = SettingsFile(str(file))
    file.write_text("[limits]\nmax-jobs = 6\n[functions.f]\n[functions.g]")
    assert settings.reload()
    assert settings.current.limits == {"max_jobs": 6}
    assert (
        str(settings.current) == "2 policies, 0 schedules, 1 limits, 0 hooks, 0 relays"
    )
    file.write_text("[limits]\nmax-jobs = x")
    assert not settings.reload()
    assert settings.current.limits == {"max_jobs": 6}


# -- schedules that are set by commands


def test_command_sets_a_schedule_with_the_keys_of_a_table() -> None:
    text = (
        b"cron=30%203%20*%20*%20*&timezone=Europe/Berlin&function=f%FF&workload=%00%FF"
        b"&unique=u&priority=low&options=retries%3D3%26ttl%3D60&catch-up=3600&paused=1"
        b"&owner=shop"
    )
    assert set_schedule("s", text) == Schedule(
        *("s", "30 3 * * *", ZoneInfo("Europe/Berlin"), b"f\xff"),
        *(b"\0\xff", b"u", JobOptions(retries=3, ttl=60.0, priority=2)),
        *(3600.0, True, "shop"),
    )
    schedule = set_schedule("s", b"cron=@daily&function=f")
    assert schedule == Schedule("s", "@daily", local_zone(), b"f", owner="")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "cron is missing"),
        (b"cron", "'cron' must be key=value, and has no ="),
        (b"cron=%4", "'%4' must have two hexadecimal digits"),
        (b"cron=@daily&cron=@daily", "cron is given twice: leave one out"),
        (b"cron=%FF&function=f", "cron must be minute, hour, day of month"),
        (b"timezone=%FF&cron=@daily&function=f", "timezone must be the name of a time"),
        (b"cron=@daily&function=f&workload-file=/etc/passwd", "workload-file is for"),
        (b"cron=@daily&function=f&owner=a%20b", "owner must be a word of at most 64"),
        (b"cron=@daily&function=f&owner=%FF", "owner must be a word of at most 64"),
        (b"cron=@daily&function=f&owner=" + b"a" * 65, "owner must be a word of at"),
        (b"cron=@daily&function=f&x=1", "'x' is no key of a schedule: there are cron"),
        (b"cron=@daily&function=f&catch-up=-1", "catch-up must be a number of seconds"),
    ],
)
def test_mistake_in_a_command_is_told(text: bytes, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        set_schedule("s", text)
    assert str(caught.value).startswith(sentence)
