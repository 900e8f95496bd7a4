from contextlib import suppress
from dataclasses import fields
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.errors import ConfigurationError, OptionError
from gearman.options import (
    KEYS,
    MAX_AFTER,
    MAX_OPTIONS,
    MAX_TIME,
    Backoff,
    Dead,
    JobOptions,
    Policy,
    Rate,
    format_options,
    job_options,
    parse_job_options,
    parse_policy,
    policy,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

times = st.floats(0, MAX_TIME)
positive = st.floats(0, MAX_TIME, exclude_min=True)
backoffs = st.one_of(
    times.map(lambda time: Backoff("fixed", time, time)),
    st.tuples(times, times).map(lambda pair: Backoff("exponential", *sorted(pair))),
)
names = st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name)
deaths = st.one_of(
    st.sampled_from([Dead("list"), Dead("none")]),
    names.map(lambda name: Dead("function", name)),
)
handles = st.from_regex(rb"[!-+\--~]{1,63}", fullmatch=True)
whole = st.integers(0, 2**31 - 1)
common = {
    "ttl": positive,
    "timeout": positive,
    "retries": whole,
    "backoff": backoffs,
    "keep": times,
    "dead": deaths,
    "need_worker": st.booleans(),
    "priority": st.integers(0, 2),
}
of_jobs = common | {
    "at": st.floats(0, 253402300799),
    "delay": times,
    "after": st.lists(handles, min_size=1, max_size=9).map(tuple),
    "trace": st.just(TRACE),
    "via": st.lists(handles, min_size=1, max_size=16).map(tuple),
    "background": st.booleans(),
}
of_functions = common | {
    "max_running": st.integers(1, 2**31 - 1),
    "rate": st.builds(
        Rate,
        st.floats(0, 2**31 - 1, exclude_min=True),
        st.sampled_from([1.0, 60.0, 3600.0]),
    ),
    "max_queue": whole,
    "paused": st.booleans(),
    "weight": st.integers(1, 1000),
}


def drawn(made, kinds):
    return st.builds(made, **{name: st.none() | kind for name, kind in kinds.items()})


def native(options):
    return {field.name: getattr(options, field.name) for field in fields(options)}


@given(drawn(JobOptions, of_jobs))
def test_options_of_a_job_are_the_same_after_writing_and_reading(options):
    assert parse_job_options(format_options(options)) == options
    assert job_options(native(options)) == options


@given(drawn(Policy, of_functions))
def test_a_policy_is_the_same_after_writing_and_reading(given_policy):
    assert parse_policy(format_options(given_policy)) == given_policy
    assert policy(native(given_policy)) == given_policy


def test_every_field_has_a_key():
    known = {key.field for key in KEYS}
    both = {field.name for made in (JobOptions, Policy) for field in fields(made)}
    assert known == both == {*of_jobs, *of_functions}


@given(st.binary(max_size=200))
def test_any_bytes_are_options_or_an_error(text):
    for parse in (parse_job_options, parse_policy):
        with suppress(OptionError):
            found = parse(text)
            assert parse(format_options(found)) == found


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
    | st.binary()
    | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(KEYS), ANYTHING)
def test_any_value_is_an_option_or_an_error(key, value):
    for make in (job_options, policy):
        with suppress(OptionError):
            found = make({key.field: value})
            assert make(native(found)) == found


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (b"", JobOptions()),
        (b"at=1700000000.5", JobOptions(at=1700000000.5)),
        (b"delay=0", JobOptions(delay=0.0)),
        (b"ttl=90&timeout=1e-07", JobOptions(ttl=90.0, timeout=1e-07)),
        (b"retries=3&keep=60", JobOptions(retries=3, keep=60.0)),
        (b"backoff=fixed:1.5", JobOptions(backoff=Backoff("fixed", 1.5, 1.5))),
        (
            b"backoff=exponential:5:60",
            JobOptions(backoff=Backoff("exponential", 5.0, 60.0)),
        ),
        (b"dead=list&need-worker=1", JobOptions(dead=Dead("list"), need_worker=True)),
        (b"dead=none&need-worker=0", JobOptions(dead=Dead("none"), need_worker=False)),
        (b"dead=function:a%26%25", JobOptions(dead=Dead("function", b"a&%"))),
        (b"after=H:a:1,H:a:2", JobOptions(after=(b"H:a:1", b"H:a:2"))),
        (b"trace=" + TRACE.encode(), JobOptions(trace=TRACE)),
        (b"via=a,b", JobOptions(via=(b"a", b"b"))),
        (b"background=1&priority=low", JobOptions(background=True, priority=2)),
    ],
)
def test_text_of_options(text, options):
    assert parse_job_options(text) == options
    assert format_options(options) == text


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (b"rate=100/s", Policy(rate=Rate(100.0, 1.0))),
        (b"rate=0.5/m", Policy(rate=Rate(0.5, 60.0))),
        (b"rate=10/h", Policy(rate=Rate(10.0, 3600.0))),
        (b"max-running=2&max-queue=0", Policy(max_running=2, max_queue=0)),
        (b"paused=1&weight=1000", Policy(paused=True, weight=1000)),
    ],
)
def test_text_of_a_policy(text, policy):
    assert parse_policy(text) == policy
    assert format_options(policy) == text


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (b"backoff=exponential:5", JobOptions(backoff=Backoff("exponential", 5, 3600))),
        (
            b"backoff=exponential:7200",
            JobOptions(backoff=Backoff("exponential", 7200, 7200)),
        ),
        (b"priority=HIGH", JobOptions(priority=0)),
        (b"need%2Dworker=%31", JobOptions(need_worker=True)),
        (b"after=H%3Aa%3A1%2CH%3aa%3a2", JobOptions(after=(b"H:a:1", b"H:a:2"))),
        (b"dead=function:a=b", JobOptions(dead=Dead("function", b"a=b"))),
        (b"dead=function:a+b", JobOptions(dead=Dead("function", b"a+b"))),
    ],
)
def test_text_in_another_spelling(text, options):
    assert parse_job_options(text) == options


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({}, JobOptions()),
        ({"delay": 5, "ttl": 1.5}, JobOptions(delay=5.0, ttl=1.5)),
        ({"delay": None, "retries": 0}, JobOptions(retries=0)),
        ({"need-worker": True}, JobOptions(need_worker=True)),
        ({"need_worker": False}, JobOptions(need_worker=False)),
        ({"retries": "3", "keep": b"60"}, JobOptions(retries=3, keep=60.0)),
        ({"backoff": "fixed:2"}, JobOptions(backoff=Backoff("fixed", 2.0, 2.0))),
        ({"after": ["H:a:1", b"H:a:2"]}, JobOptions(after=(b"H:a:1", b"H:a:2"))),
        ({"after": []}, JobOptions()),
        ({"after": "H:a:1"}, JobOptions(after=(b"H:a:1",))),
        ({"priority": "LOW"}, JobOptions(priority=2)),
        ({"priority": 1}, JobOptions(priority=1)),
        (
            {"dead": "function:größe"},
            JobOptions(dead=Dead("function", "größe".encode())),
        ),
        ({"dead": "function:\udce9"}, JobOptions(dead=Dead("function", b"\xe9"))),
    ],
)
def test_values_of_python(values, options):
    assert job_options(values) == options


NUMBER = "a number of seconds, at most 100 years"
POSITIVE = "a number of seconds above 0, at most 100 years"
RATE = "a number of jobs in a second, minute or hour, such as 100/s, 5/m or 10/h"
BACKOFF = (
    "fixed:SECONDS or exponential:SECONDS or exponential:SECONDS:LONGEST, where LONGEST"
    " is not below SECONDS"
)
FLAG = "0 or 1 (in a settings file also true or false)"
DEAD = "list, none or function:NAME"
AFTER = "at most 1000 handles of jobs, with commas between them"
VIA = "at most 16 names of servers, with commas between them"
FORM = "a W3C traceparent, such as 00-(32 hex digits)-(16 hex digits)-01"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        *((f"at={text}", "a time in seconds since 1970") for text in ("-1", "1e99")),
        *((f"delay={text}", NUMBER) for text in ("", "-1", "+1", " 1", "1_0", "5s")),
        *((f"delay={text}", NUMBER) for text in ("nan", "inf", "3155760001", "٣")),
        *((f"ttl={text}", POSITIVE) for text in ("0", "1e-400", "1.")),
        ("timeout=0.0", POSITIVE),
        *(
            (f"retries={text}", "a whole number from 0 to 2147483647")
            for text in ("-1", "1.0", "2147483648", "99999999999", "")
        ),
        *((f"backoff={kind}", BACKOFF) for kind in ("fixed", "fixed:", "fixed:1:2")),
        *((f"backoff={kind}", BACKOFF) for kind in ("linear:1", "5", "exponential")),
        *((f"backoff=exponential:{times}", BACKOFF) for times in ("2:1", "1:2:3")),
        *((f"dead={text}", DEAD) for text in ("", "lists", "function", "function:")),
        ("dead=function:a\0", DEAD),
        *((f"after={text}", AFTER) for text in ("", "H:a:1,", "a b", "a" * 64, "é")),
        *((f"need-worker={text}", FLAG) for text in ("", "2", "true", "yes")),
        ("trace=", FORM),
        *((f"via={text}", VIA) for text in ("", "a,", "a b", ",".join("a" * 17))),
        ("trace=" + TRACE.upper(), FORM),
        ("trace=" + TRACE.replace("00-", "ff-"), FORM),
        ("trace=00-" + "0" * 32 + TRACE[35:], FORM),
        ("trace=" + TRACE[:36] + "0" * 16 + "-01", FORM),
        ("background=on", FLAG),
        *((f"priority={text}", "high, normal or low") for text in ("", "0", "higher")),
    ],
)
def test_wrong_value_of_a_job_is_named_with_what_is_allowed(text, allowed):
    key, _, value = text.partition("=")
    with pytest.raises(OptionError) as caught:
        parse_job_options(f"{key}={quote_from_bytes(value.encode())}".encode())
    value = value.replace("\0", r"\x00")
    assert str(caught.value) == f"{key} must be {allowed}, not '{value}'"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("max-running=0", "a whole number from 1 to 2147483647"),
        *((f"rate={text}", RATE) for text in ("", "5", "0/s", "5/d", "5/", "x/s")),
        ("max-queue=-1", "a whole number from 0 to 2147483647"),
        ("paused=maybe", FLAG),
        *((f"weight={n}", "a whole number from 1 to 1000") for n in ("0", "1001")),
    ],
)
def test_wrong_value_of_a_policy_is_named_with_what_is_allowed(text, allowed):
    key, _, value = text.partition("=")
    with pytest.raises(OptionError) as caught:
        parse_policy(text.encode())
    assert str(caught.value) == f"{key} must be {allowed}, not '{value}'"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"delay": True}, "this bool"),
        ({"delay": float("nan")}, "'nan'"),
        ({"delay": float("inf")}, "'inf'"),
        ({"delay": 10**9000}, "'a number of 29898 bits'"),
        ({"delay": {"a": 1}}, "this dict"),
        ({"delay": "\ud800"}, "this str"),
        ({"retries": 1.0}, "this float"),
        ({"background": 1}, "this int"),
        ({"priority": 3}, "'3'"),
        ({"priority": -1}, "'-1'"),
        ({"backoff": Backoff("linear", 1, 2)}, "'linear:1:2'"),
        ({"dead": Dead("gone")}, "'gone'"),
        ({"after": ["a,b"]}, "this list"),
        ({"after": ("\udce9",)}, "this tuple"),
        ({"after": [5]}, "this list"),
        ({"trace": 5}, "this int"),
        ({"keep": "9" * 99}, f"'{'9' * 80}...'"),
    ],
)
def test_wrong_value_of_python_is_named(values, found):
    (key,) = values
    with pytest.raises(OptionError) as caught:
        job_options(values)
    assert str(caught.value).startswith(f"{key} must be ")
    assert str(caught.value).endswith(f", not {found}")


def test_a_rate_has_a_unit():
    with pytest.raises(OptionError, match=r", not '5/30'$"):
        policy({"rate": Rate(5.0, 30.0)})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"delays=1", "'delays' is no option of a job: there are at, delay, ttl, "),
        (b"rate=1/s", "'rate' is no option of a job: there are at, delay, ttl, "),
        (b"=1", "'' is no option of a job: "),
        (b"\xff=1", r"'\xff' is no option of a job: "),
        (b"delay=1&delay=1", "delay is given twice: leave one out"),
        (b"delay", "'delay' must be key=value, and has no ="),
        (b"delay=1&", "'' must be key=value, and has no ="),
        (b"delay=%3", "'%3' must have two hexadecimal digits after each %"),
        (b"delay=%zz", "'%zz' must have two hexadecimal digits after each %"),
    ],
)
def test_text_that_is_no_list_of_options(text, sentence):
    with pytest.raises(OptionError) as caught:
        parse_job_options(text)
    assert str(caught.value).startswith(sentence)


def test_a_shown_value_cannot_steer_a_terminal():
    with pytest.raises(OptionError, match=r", not '\\x1b\[31m\\x0a'$"):
        parse_job_options(b"ttl=%1b[31m\n")


def test_an_option_of_jobs_only_is_no_key_of_a_policy():
    with pytest.raises(OptionError, match=r"^'delay' is no key of a policy: there are"):
        policy({"delay": 1})


def test_a_name_in_both_spellings_is_given_twice():
    with pytest.raises(OptionError, match=r"^need-worker is given twice"):
        job_options({"need-worker": True, "need_worker": True})


def test_equal_short_texts_share_their_result():
    assert parse_job_options(b"retries=3") is parse_job_options(b"retries=3")
    after = b"after=" + b"h" * 63 + b"," + b"i" * 63 + b"," + b"j" * 63
    text = after + b"&dead=function:" + b"f" * 100
    assert parse_job_options(text) == parse_job_options(text)
    assert parse_job_options(text) is not parse_job_options(text)


def test_a_refused_text_is_refused_again():
    for _ in range(2):
        with pytest.raises(OptionError):
            parse_job_options(b"retries=x")


def test_an_option_error_is_found_by_both_of_its_bases():
    assert issubclass(OptionError, ConfigurationError)
    assert issubclass(OptionError, ValueError)


@pytest.mark.parametrize("length", [MAX_OPTIONS, MAX_OPTIONS + 1])
def test_a_text_has_a_limit(length):
    text = b"dead=function:".ljust(length, b"f")
    with pytest.raises(OptionError) as caught:
        parse_job_options(text)
    too_long = f"options must have at most {MAX_OPTIONS} bytes, not {length}"
    assert (str(caught.value) == too_long) == (length > MAX_OPTIONS)


def test_options_that_are_too_long_are_not_written():
    assert job_options({"after": ["%" * 63] * 300}).after
    with pytest.raises(OptionError, match="at most 65536 bytes, not 66505$"):
        format_options(job_options({"after": ["%" * 63] * 350}))


def test_a_job_waits_for_a_limited_number_of_others():
    handles = (b"h" * 63,) * MAX_AFTER
    options = JobOptions(after=handles)
    assert parse_job_options(format_options(options)) == options
    with pytest.raises(OptionError, match="at most 1000 handles"):
        job_options({"after": [*handles, b"h"]})


def test_nothing_is_written_for_a_job_that_waits_for_no_other():
    assert format_options(JobOptions(after=())) == b""
