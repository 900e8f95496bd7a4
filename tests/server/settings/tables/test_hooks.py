"""The hooks of a settings file, and what is wrong with them."""

from pathlib import Path

import pytest

from gearman.commands import MAX_FUNCTION
from gearman.errors import ConfigurationError
from gearman.server.protocols.events import NAMES, Wish
from gearman.server.settings.settings_file import read_settings
from gearman.server.settings.tables.hooks import Hook


def read(folder: Path, text: str) -> tuple[Hook, ...]:
    file = folder / "settings.toml"
    file.write_text(text)
    return read_settings(str(file)).hooks


def test_hooks_are_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\n")
    found = read(
        tmp_path,
        """
        [[hooks]]
        url = "https://example.com:8443/x?y"
        secret-file = "key"
        [[hooks]]
        name = "audit"
        command = "logger -t 'gearman jobs'"
        events = ["lost", "expired"]
        functions = ["mail*"]
        [[hooks]]
        command = ["logger", "a b"]
        [[hooks]]
        url = "http://[::1]/"
        secret = "s"
        [[hooks]]
        function = "on event"
        """,
    )
    everything = Wish(NAMES, ())
    some = Wish(frozenset({"lost", "expired"}), (b"mail*",))
    assert found == (
        Hook("hook 1", everything, url="https://example.com:8443/x?y", secret=b"abc"),
        Hook("audit", some, command=("logger", "-t", "gearman jobs")),
        Hook("hook 3", everything, command=("logger", "a b")),
        Hook("hook 4", everything, url="http://[::1]/", secret=b"s"),
        Hook("hook 5", everything, function=b"on event"),
    )
    kinds = [hook.kind for hook in found]
    assert kinds == ["url", "command", "command", "url", "function"]
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("hooks = 1", "hooks must be tables, each with the head [[hooks]]"),
        ("hooks = [1]", "hooks must be tables, each with the head [[hooks]]"),
        ("[hooks]\nurl = 'x'", "hooks must be tables, each with the head"),
        ("[[hooks]]", "one of url, command, function must say where the events go"),
        (
            "[[hooks]]\nurl = 'http://a'\ncommand = 'b'",
            "where the events go, not url and command",
        ),
        ("[[hooks]]\nurls = 'x'", "'urls' is no key of a hook: there are name, url"),
        ("[[hooks]]\nurl = 'a.example'", "url must be an address such as https://"),
        ("[[hooks]]\nurl = 'ftp://a'", "url must be an address such as https://"),
        ("[[hooks]]\nurl = 'http://a:x/'", "url must be an address such as https://"),
        ("[[hooks]]\nurl = 'http://[/'", "url must be an address such as https://"),
        ("[[hooks]]\nurl = 'http://a/b c'", "url must be an address such as https://"),
        ("[[hooks]]\nurl = 'http://u:p@a/'", "url must have no user and password"),
        ("[[hooks]]\nurl = 1", "url must be a text, which is not empty"),
        ('[[hooks]]\ncommand = "a \'b"', "command can't be split: No closing"),
        ("[[hooks]]\ncommand = []", "command must be a text, or a list of texts"),
        ("[[hooks]]\ncommand = [1]", "command must be a text, or a list of texts"),
        ("[[hooks]]\ncommand = ['']", "command must be a text, or a list of texts"),
        ("[[hooks]]\ncommand = 1", "command must be a text, or a list of texts"),
        ('[[hooks]]\ncommand = ["a\\u0000"]', "command must be a text, or a list"),
        (
            f"[[hooks]]\nfunction = '{'f' * (MAX_FUNCTION + 1)}'",
            f"function must have 1 to {MAX_FUNCTION} bytes",
        ),
        ("[[hooks]]\nfunction = 'f'\nevents = 1", "events must be a list of texts"),
        ("[[hooks]]\nfunction = 'f'\nevents = ['x']", "events: 'x' is no event"),
        ("[[hooks]]\nfunction = 'f'\nfunctions = [1]", "functions must be a list of"),
        ("[[hooks]]\nfunction = 'f'\nsecret = 's'", "only for a hook with a url"),
        (
            "[[hooks]]\nurl = 'http://a'\nsecret = 's'\nsecret-file = 's'",
            "there are secret and secret-file: leave one out",
        ),
        (
            "[[hooks]]\nurl = 'http://a'\nsecret-file = 'no'",
            "no' cannot be read: No such file or directory",
        ),
        ("[[hooks]]\nurl = 'http://a'\nsecret-file = 'empty'", "empty' is empty"),
        (
            "[[hooks]]\nname='n'\nfunction='f'\n[[hooks]]\nname='n'\nfunction='g'",
            "[[hooks]] number 2: name 'n' is that of another hook",
        ),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert error in str(caught.value)
