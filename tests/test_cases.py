"""Troubles that people report of this field's libraries: each is right here, or refused by name.

The cases lie beside the repository, as the data do: stand-alone programs whose last line begins with OK or FAIL.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = sorted((Path(os.environ["ARQ_DATA"]).parent / "cases").glob("[0-9]*.py"))


@pytest.mark.parametrize("path", CASES or [None], ids=lambda path: path.stem if path else "none")
def test_case(path, tmp_path, monkeypatch):
    if path is None: pytest.skip("the trouble cases are not there")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    said = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=180, cwd=tmp_path)
    last = (said.stdout.split("\n\n")[-1].strip().splitlines() or [""])[-1]
    if not last.startswith("OK"): pytest.fail(f"{last or 'no answer'}\n{said.stderr[-2000:]}", pytrace=False)
