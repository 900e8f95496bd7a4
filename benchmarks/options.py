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
