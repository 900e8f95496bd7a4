"""Files of the history, which are closed at the end of each test."""

from collections.abc import Iterator

import pytest

from gearman.monitor.history.file import File


@pytest.fixture(autouse=True)
def _files_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[File] = []
    init = File.__init__

    def remember(file: File, path: str) -> None:
        init(file, path)
        opened.append(file)

    monkeypatch.setattr(File, "__init__", remember)
    yield
    for file in opened:
        file.close()
