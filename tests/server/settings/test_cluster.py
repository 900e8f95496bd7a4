"""The file with the secret of a cluster."""

from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.server.settings.cluster import read_secret


def write(path: Path, content: bytes, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_without_a_file_there_is_no_secret() -> None:
    assert read_secret(None) is None


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_space_around_a_secret_does_not_count(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "secret", b" 0123456789abcdef\r\n", mode)
    assert read_secret(file) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602])
def test_only_its_owner_may_use_it(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "secret", b"0123456789abcdef", mode)
    with pytest.raises(StartupError, match=rf"mode {mode:o}\).*chmod 600"):
        read_secret(file)


@pytest.mark.parametrize("content", [b"", b"0123456789abcde\n"])
def test_a_secret_must_not_be_short(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path / "secret", content)
    with pytest.raises(StartupError, match="too short: it needs at least 16 bytes"):
        read_secret(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nothing' cannot be read"):
        read_secret(str(tmp_path / "nothing"))
