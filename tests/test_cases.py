"""Troubles that people report of this field's libraries: each is right here, or refused by name.

The cases lie beside the repository, as the data do: stand-alone programs whose last line begins with OK or FAIL. Each
runs in a process of its own, forked from one that has imported PyTorch, which is what would take most of the time.
"""
import multiprocessing
import os
import runpy
import sys
import traceback
from pathlib import Path

import pytest
from conftest import skip_or_fail

CASES = sorted((Path(os.environ.get("ARQ_DATA", "../shared/data")).parent / "cases").glob("[0-9]*.py"))
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["torchvision", "arq_nb.lab.commands", "pandas"])


def run(path: Path, folder: Path, said: Path) -> None:
    "Run a program in a folder; what it says goes into a file."
    os.environ |= {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    os.chdir(folder)
    with said.open("w") as file:
        for stream in (1, 2): os.dup2(file.fileno(), stream)
    sys.argv = [str(path)]
    try: runpy.run_path(str(path), run_name="__main__")
    except BaseException: traceback.print_exc()


@pytest.mark.parametrize("path", CASES or [None], ids=lambda path: path.stem if path else "none")
def test_case(path, tmp_path):
    if path is None: skip_or_fail("the trouble cases are not there", "ARQ_REQUIRE_DATA")
    process = PROCESSES.Process(target=run, args=(path, tmp_path, tmp_path / "said"))
    process.start()
    process.join(180)
    process.kill()
    lines = (tmp_path / "said").read_text().strip().splitlines()
    if not any(line.startswith("OK") for line in lines) or any(line.startswith("FAIL") for line in lines):
        pytest.fail("\n".join(lines[-20:]) or "no answer", pytrace=False)
