"""What several of the scripts' command lines have in common."""

import argparse
from collections.abc import Collection


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def add_names(
    parser: argparse.ArgumentParser, option: str, names: Collection[str]
) -> None:
    """Add an option that takes some of these names, or all."""
    parser.add_argument(
        option,
        nargs="+",
        choices=list(names),
        default=list(names),
        metavar="NAME",
        help=f"of {', '.join(names)} (default: all)",
    )


def add_number(
    parser: argparse.ArgumentParser, option: str, default: int, text: str
) -> None:
    """Add an option that takes a whole number from 1."""
    parser.add_argument(
        option,
        type=positive,
        default=default,
        metavar="N",
        help=f"{text} (default: {default})",
    )


def add_repeat(parser: argparse.ArgumentParser, times: int) -> None:
    """Add the option for how often a load is played, beside `--quick`."""
    parser.add_argument(
        "--repeat",
        type=positive,
        metavar="N",
        help=f"how often to play each load (default: {times}; with --quick 1)",
    )


def repeat(options: argparse.Namespace, times: int) -> int:
    """Return how often that is."""
    chosen: int | None = options.repeat
    return chosen or (1 if options.quick else times)
