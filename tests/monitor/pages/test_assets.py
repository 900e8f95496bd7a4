"""Files that pages load, and what is told after an action."""

import re

from gearman.monitor.web import assets
from gearman.monitor.web.remarks import MOST, Remark, Remarks


def test_version_is_in_the_path() -> None:
    assert re.fullmatch(r"/static/[0-9a-f]{12}", assets.PATH)
    assert assets.version() == assets.VERSION


def test_scripts_import_only_files_that_are_there() -> None:
    for script in assets.FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert (assets.FOLDER / name).is_file(), (script, name)


def test_nothing_is_loaded_from_outside() -> None:
    for path in assets.FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE), path


def test_scripts_write_no_html() -> None:
    for script in assets.FOLDER.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|eval\(", script.read_text()
        )


def test_remark_is_found_by_its_key_only() -> None:
    remarks = Remarks()
    key = remarks.add(Remark("done"))
    assert remarks.find(key) == Remark("done")
    assert remarks.find("") is None


def test_old_remarks_are_dropped() -> None:
    remarks = Remarks()
    first = remarks.add(Remark("first"))
    for _ in range(MOST):
        remarks.add(Remark("other"))
    assert remarks.find(first) is None
