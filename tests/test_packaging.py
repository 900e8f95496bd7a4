"""Wheel and sdist of the checkout, and imports after their installation."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from configparser import ConfigParser
from importlib.metadata import EntryPoints, PathDistribution
from pathlib import Path
from zipfile import Path as ZipPath
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).resolve().parents[1]
UNWANTED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "*.so", "build", "dist"
)
_TEMPLATES = "gearman/monitor/web/templates/"
WHERE = "import gearman.queues; print(gearman.queues.__file__)"


def run(
    *command: str | Path, cwd: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": "", "GEARMAN_SPEEDUPS": "", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def call_backend(
    kind: str, checkout: Path, output: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Call the hook of the build backend that makes a wheel, sdist or editable."""
    output.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta as b; b.build_{kind}({str(output)!r})"
    return run(sys.executable, "-P", "-c", code, cwd=checkout, **environ)


def build(kind: str, checkout: Path, output: Path, **environ: str) -> Path:
    """Return the file that the build backend makes of a checkout."""
    built = call_backend(kind, checkout, output, **environ)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = output.iterdir()
    return path


def install(wheel: Path, folder: Path) -> Path:
    """Create a virtual environment with a wheel; return its Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    done = run(*pip, "--no-index", "--no-deps", wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def files(*folders: Path) -> set[str]:
    """Name the files in folders of the checkout."""
    return {
        str(path.relative_to(folder.parent))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which nothing is built."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("pristine") / "checkout", ignore=UNWANTED
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where builds find what Cython has made of the same source."""
    name = "GEARMAN_CYTHON_CACHE"
    return {name: os.environ.get(name) or str(tmp_path_factory.mktemp("cython"))}


@pytest.fixture
def checkout(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the checkout to build in."""
    return shutil.copytree(pristine, tmp_path / "checkout")


@pytest.fixture(scope="module")
def sdist(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    source = shutil.copytree(pristine, folder / "checkout")
    return build("sdist", source, folder / "dist")


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            # Python 3.11.2 has no filters, and does not ask for one.
            archive.extractall(folder)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pure wheel, built from the sdist."""
    output = tmp_path_factory.mktemp("wheel")
    return build("wheel", unpacked, output, GEARMAN_SPEEDUPS="no")


def test_sdist_holds_every_file_of_the_source_folders(
    pristine: Path, unpacked: Path
) -> None:
    names = ("gearman", "queues", "tests", "benchmarks", "docs", "examples")
    folders = [pristine / name for name in names]
    assert files(*folders) <= files(*(unpacked / name for name in names))


def test_wheel_holds_the_packages_and_the_modules_and_nothing_else(
    pristine: Path, wheel: Path
) -> None:
    inside = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = files(pristine / "gearman") | {
        f"gearman/{name}" for name in files(pristine / "queues")
    }
    assert "gearman/py.typed" in inside
    assert inside == {"gearman_pytest.py", "python3_gearman.py"} | {
        name
        for name in sources
        if name.endswith((".py", ".pyi", "py.typed"))
        or name.startswith(("gearman/monitor/web/static/", _TEMPLATES))
    }


def test_pure_wheel_fits_every_platform(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_wheel_names_its_licence_and_carries_the_text(wheel: Path) -> None:
    (info,) = (path for path in ZipPath(wheel).iterdir() if "dist-info" in path.name)
    metadata = (info / "METADATA").read_text()
    assert "License-Expression: BSD-3-Clause" in metadata
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_every_script_has_a_function_behind_it(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "env")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (info,) = site.glob("gearman_py-*.dist-info")
    scripts = PathDistribution(info).entry_points
    assert isinstance(scripts, EntryPoints)
    for script in scripts.select(group="console_scripts"):
        code = f"import {script.module}; assert callable({script.module}.{script.attr})"
        done = run(python, "-c", code, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_pytest_finds_the_fixtures_of_the_wheel(wheel: Path) -> None:
    (info,) = (path for path in ZipPath(wheel).iterdir() if "dist-info" in path.name)
    points = ConfigParser()
    points.read_string((info / "entry_points.txt").read_text())
    # pytest loads it always: so not from the package, of which it needs nothing.
    assert dict(points["pytest11"]) == {"gearman_pytest": "gearman_pytest"}


def test_bare_checkout_finds_the_queues(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    done = run(tmp_path / "env" / "bin" / "python", "-c", WHERE, cwd=checkout)
    assert done.stdout.strip() == str(checkout / "queues" / "__init__.py"), done.stderr


def test_installed_package_finds_the_queues(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "env")
    done = run(python, "-c", WHERE, cwd=tmp_path)
    assert done.stdout.strip().endswith("site-packages/gearman/queues/__init__.py")


def test_editable_install_finds_the_queues(checkout: Path, tmp_path: Path) -> None:
    editable = build("editable", checkout, tmp_path / "dist", GEARMAN_SPEEDUPS="no")
    python = install(editable, tmp_path / "env")
    done = run(python, "-c", WHERE, cwd=tmp_path)
    assert done.stdout.strip() == str(checkout / "queues" / "__init__.py"), done.stderr


def test_without_a_compiler_wanted_speedups_fail_the_build(
    checkout: Path, tmp_path: Path, cache: dict[str, str]
) -> None:
    environ = {"GEARMAN_SPEEDUPS": "yes", "CC": "false", **cache}
    failed = call_backend("wheel", checkout, tmp_path / "dist", **environ)
    assert failed.returncode != 0
    assert "'/bin/false'" in failed.stderr or "'false'" in failed.stderr
    assert list((tmp_path / "dist").glob("*.whl")) == []


def test_without_a_compiler_the_build_is_pure(
    checkout: Path, tmp_path: Path, cache: dict[str, str]
) -> None:
    wheel = build("wheel", checkout, tmp_path / "dist", CC="false", **cache)
    assert not any(name.endswith(".so") for name in ZipFile(wheel).namelist())


def test_unknown_choice_of_speedups_is_explained(
    checkout: Path, tmp_path: Path
) -> None:
    failed = call_backend(
        "wheel", checkout, tmp_path / "dist", GEARMAN_SPEEDUPS="maybe"
    )
    assert failed.returncode != 0
    assert "GEARMAN_SPEEDUPS must be yes, no or unset, not 'maybe'" in failed.stderr


def test_build_group_is_what_the_build_system_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = project["build-system"]["requires"]
    assert project["dependency-groups"]["build"] == required
