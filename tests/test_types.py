"What a type checker says of a user's program, and whether the stubs are those of the source."
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = ROOT / "tests" / "user_program.py"


def run(*command):
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT)


def test_stubs_are_current():
    said = run("tools/stubs.py", "--check")
    if said.returncode: pytest.fail(said.stdout + said.stderr, pytrace=False)


@pytest.mark.parametrize("checker", [
    ["mypy"],
    ["pyright", "--pythonpath", sys.executable],
], ids=lambda command: command[0])
def test_a_users_program_has_no_type_errors(checker):
    pytest.importorskip(checker[0])
    said = run("-m", *checker, PROGRAM)
    if said.returncode: pytest.fail(said.stdout + said.stderr, pytrace=False)
