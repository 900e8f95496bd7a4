import pytest

from gearman.options import Policies, Policy, merged


@pytest.mark.parametrize(
    ("lower", "upper", "result"),
    [
        (None, None, Policy()),
        (Policy(retries=1), None, Policy(retries=1)),
        (None, Policy(retries=1), Policy(retries=1)),
        (Policy(retries=1, ttl=5.0), Policy(retries=0), Policy(retries=0, ttl=5.0)),
        (Policy(paused=True), Policy(paused=False), Policy(paused=False)),
    ],
)
def test_fields_of_the_upper_policy_win(lower, upper, result):
    assert merged(lower, upper) == result


POLICIES = Policies(
    {
        b"mail.send": Policy(retries=9),
        b"*": Policy(retries=1, ttl=1.0, weight=1, max_queue=1),
        b"mail.*": Policy(retries=2, ttl=2.0, weight=2),
        b"*.send": Policy(retries=3, ttl=3.0),
        b"[ab]?": Policy(weight=7),
    }
)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        (b"resize", Policy(retries=1, ttl=1.0, weight=1, max_queue=1)),
        (b"mail.read", Policy(retries=2, ttl=2.0, weight=2, max_queue=1)),
        # Both globs have six bytes: the later one wins.
        (b"mail.send", Policy(retries=9, ttl=3.0, weight=2, max_queue=1)),
        (b"mail.to.send", Policy(retries=3, ttl=3.0, weight=2, max_queue=1)),
        (b"Mail.send", Policy(retries=3, ttl=3.0, weight=1, max_queue=1)),
        (b"a\xff", Policy(retries=1, ttl=1.0, weight=7, max_queue=1)),
        (b"a\n", Policy(retries=1, ttl=1.0, weight=7, max_queue=1)),
    ],
)
def test_policies_merge_from_general_to_special(name, policy):
    assert POLICIES.of(name) == policy


def test_a_function_without_a_policy_has_none():
    assert Policies().of(b"f") is None
    assert Policies({b"g": Policy(), b"f?": Policy()}).of(b"f") is None
    assert Policies({b"f": Policy()}).of(b"f") == Policy()


def test_rows_keep_their_order():
    assert list(POLICIES.rows) == [b"mail.send", b"*", b"mail.*", b"*.send", b"[ab]?"]
