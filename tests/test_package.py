"""The package stands without notebook tools, and beside the fastcore that users get.

The wheel is unpacked beside the present environment, whose notebook tools are made unimportable: seconds. Marked
slow: sdist and wheel in dist/, the wheel in an empty environment with what it asks for alone, the front door and the
command there (some 5 GB and minutes); PYTHON chooses the interpreter. `make package` runs all.
"""
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import copy_repository, ROOT

PROGRAM = ROOT / "tests" / "wheel_program.py"


def run(*command, cwd: Path, **environment) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    "The wheel's files."
    tree = copy_repository(tmp_path_factory.mktemp("package"))
    pip = sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"
    run(*pip, "--wheel-dir", "dist", ".", cwd=tree)
    with zipfile.ZipFile(next((tree / "dist").glob("*.whl"))) as wheel: wheel.extractall(tree / "unpacked")
    return tree / "unpacked"


def test_wheel_holds_types_and_networks(unpacked):
    held = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*")}
    asked = ["arq_nb/py.typed", *(p.relative_to(ROOT).as_posix() for p in (ROOT / "arq_nb").rglob("*.pyi")),
             *(p.relative_to(ROOT).as_posix() for p in (ROOT / "arq_nb" / "pretrained").iterdir())]
    assert not [name for name in asked if name not in held]


def test_page_of_the_package_has_whole_links(unpacked):
    "A page of PyPI knows no repository that a relative link could start from."
    page = next(unpacked.glob("*.dist-info/METADATA")).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#]+)", page)
    assert targets and not [target for target in targets if not target.startswith("https://")]


@pytest.mark.parametrize("fastcore", ["of nbdev", "newest"])
def test_wheel_without_notebook_tools(unpacked, tmp_path, fastcore):
    path = [unpacked]
    if fastcore == "newest":
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", "newest", "--no-deps", "fastcore"]
        if subprocess.run(command, cwd=tmp_path, capture_output=True).returncode:
            pytest.skip("the newest fastcore cannot be installed (no network?)")
        path.insert(0, tmp_path / "newest")
    run(sys.executable, PROGRAM, "without-tools", cwd=unpacked, PYTHONPATH=os.pathsep.join(map(str, path)))


@pytest.mark.slow
def test_wheel_in_an_empty_environment(tmp_path):
    run(sys.executable, "-m", "build", "--outdir", ROOT / "dist", ROOT, cwd=ROOT)
    wheel = max((ROOT / "dist").glob("*.whl"), key=lambda p: p.stat().st_mtime)
    run(os.environ.get("PYTHON", sys.executable), "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env/bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    print(run(python, PROGRAM, cwd=tmp_path))
    print(run(python, "-m", "arq_nb", "--help", cwd=tmp_path))
