"""The relays of a settings file, and what is wrong with them."""

import ssl
from pathlib import Path

import pytest

from gearman.errors import ConfigurationError
from gearman.server.relay.model import Relay, TlsFiles
from gearman.server.settings.settings_file import read_settings
from gearman.server.settings.tables.relays import tls_context

GOOD = "servers = ['far']\nfunctions = ['f']\n"


def read(folder: Path, text: str) -> tuple[Relay, ...]:
    file = folder / "settings.toml"
    file.write_text(text)
    return read_settings(str(file)).relays


def test_relays_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        [relay.central]
        servers = ["far", "[::1]:4731", "unix:/run/g"]
        functions = ["mail.*", "report"]
        max-jobs = 5
        max-bytes = "2M"
        keep-uniques = true
        [relay.other]
        servers = ["x.example:1"]
        functions = ["*"]
        tls = true
        """,
    )
    assert found == (
        Relay(
            "central",
            (("far", 4730), ("::1", 4731), ("unix:/run/g", 0)),
            (b"mail.*", b"report"),
            None,
            5,
            2 * 1024 * 1024,
            True,
        ),
        Relay("other", (("x.example", 1),), (b"*",), TlsFiles()),
    )
    assert [found[0].has(name) for name in (b"mail.a", b"report", b"mail")] == [
        *(True, True, False)
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("relay = 1", "relay must be a table"),
        ("[relay.'a b']\n" + GOOD, '[relay."a b"]: the name of a relay has 1 to 24'),
        ("[relay.a]\nx = 1", "[relay.a]: 'x' is no key of a relay: there are servers,"),
        ("[relay.a]\nfunctions = ['f']", "servers must be a list of texts, such as"),
        ("[relay.a]\nservers = [1]\nfunctions = ['f']", "servers must be a list"),
        ("[relay.a]\nservers = []\nfunctions = ['f']", "servers must be a list of"),
        ("[relay.a]\nservers = ['a:b']\nfunctions = ['f']", "servers: 'a:b' is no ad"),
        ("[relay.a]\nservers = ['a']", "functions must be a list of texts, such as"),
        ("[relay.a]\nservers = ['a']\nfunctions = ['']", "functions: a name has 1 to"),
        (f"[relay.a]\n{GOOD}tls = 1", "tls must be true or false"),
        (f"[relay.a]\n{GOOD}ca-file = 'x'", "ca-file is only for a relay with tls ="),
        (f"[relay.a]\n{GOOD}tls = true\nca-file = 1", "ca-file must be the name of a"),
        (f"[relay.a]\n{GOOD}tls = true\nca-file = 'x'", "ca-file cannot be used: No "),
        (f"[relay.a]\n{GOOD}tls = true\nkey-file = 'x'", "but no certificate-file"),
        (f"[relay.a]\n{GOOD}max-jobs = 0", "max-jobs must be a number from 1 to"),
        (f"[relay.a]\n{GOOD}max-jobs = true", "max-jobs must be a number from 1 to"),
        (f"[relay.a]\n{GOOD}max-bytes = 'x'", "max-bytes must be a number of bytes"),
        (f"[relay.a]\n{GOOD}max-bytes = 1.5", "max-bytes must be a number, or a text"),
        (f"[relay.a]\n{GOOD}keep-uniques = 1", "keep-uniques must be true or false"),
    ],
)
def test_mistake_is_told(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert error in str(caught.value)


def test_certificates_are_read(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    text = f"[relay.a]\n{GOOD}tls = true\ncertificate-file = 'bad.pem'"
    with pytest.raises(ConfigurationError, match="certificate-file cannot be used: "):
        read(tmp_path, text)
    assert tls_context(TlsFiles()).verify_mode == ssl.CERT_REQUIRED
