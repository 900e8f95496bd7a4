"""How many processes functions get; the first test is GearmanManager's own example."""

import pytest

from gearman.errors import ConfigurationError
from gearman.tasks.runner.model.pools import Counts, Pool, Wanted, pools

FUNCTIONS = ["reverse_string", "Sum", "fetch_url"]


def test_counts_mean_what_they_mean_in_gearman_manager() -> None:
    counts = {
        "reverse_string": Counts(count=3),
        "Sum": Counts(dedicated_count=5, dedicated_only=True),
        "fetch_url": Counts(count=15),
    }
    assert pools(FUNCTIONS, Wanted(10, 1, counts)) == [
        Pool(10, without=frozenset({"Sum"})),
        Pool(1, only="reverse_string"),
        Pool(5, only="Sum"),
        Pool(5, only="fetch_url"),
    ]


def test_common_processes_are_enough_without_counts() -> None:
    assert pools(FUNCTIONS, Wanted(2)) == [Pool(2)]


def test_dedicated_processes_are_added_to_the_common_ones() -> None:
    counts = {"Sum": Counts(dedicated_count=4)}
    assert pools(FUNCTIONS, Wanted(2, 0, counts)) == [Pool(2), Pool(4, only="Sum")]


def test_function_may_have_less_dedicated_processes_than_the_others() -> None:
    counts = {"Sum": Counts(dedicated_count=0)}
    assert pools(["Sum", "x"], Wanted(1, 2, counts)) == [Pool(1), Pool(2, only="x")]


def test_without_common_processes_each_function_has_its_own() -> None:
    assert pools(["a", "b"], Wanted(0)) == [Pool(1, only="a"), Pool(1, only="b")]


def test_no_common_process_is_left_without_functions() -> None:
    counts = {"a": Counts(dedicated_count=1, dedicated_only=True)}
    assert pools(["a"], Wanted(3, 0, counts)) == [Pool(1, only="a")]


def test_pool_chooses_its_functions() -> None:
    assert Pool(1).choose(FUNCTIONS) == FUNCTIONS
    assert Pool(1, only="Sum").choose(FUNCTIONS) == ["Sum"]
    assert Pool(1, without=frozenset({"Sum"})).choose(FUNCTIONS) == [
        *("reverse_string", "fetch_url"),
    ]


@pytest.mark.parametrize(
    ("functions", "counts", "sentence"),
    [
        ([], {}, "the app has no tasks: decorate one with @app.task"),
        (["a"], {"b": Counts()}, "the app has no function 'b': it has a"),
        (
            ["a"],
            {"a": Counts(dedicated_only=True)},
            "the function 'a' has dedicated_only, and no process:"
            " set its dedicated_count",
        ),
    ],
)
def test_mistakes_are_told(
    functions: list[str], counts: dict[str, Counts], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pools(functions, Wanted(1, 0, counts))
    assert str(caught.value) == sentence
