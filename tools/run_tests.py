"""The book by `nbdev_test`, then tests/ by pytest. The last line is `N passed, N failed`, over notebooks and tests.

Longer than two lines of a Makefile only because of that sum, of the order, and to see that no notebook leaves a file
behind.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

BIN, ROOT = Path(sys.executable).parent, Path(__file__).resolve().parent.parent
WORKERS = min((os.cpu_count() or 1) + 1, 8)   # one more than cores: some wait for browsers and for other processes
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // WORKERS)), "PYTHONUNBUFFERED": "1"}


def run(*command: str) -> tuple[str, int]:
    "Exit status of a command, and what it says, which is shown while it is said."
    process = subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    for line in process.stdout:
        print(line, end="", flush=True)
        said.append(line)
    return "".join(said), process.wait()


def litter() -> set[str]: return set(subprocess.getoutput("git status --porcelain --untracked-files=all").splitlines())


def book() -> tuple[int, int]:
    "How many notebooks passed, and how many failed."
    said, status = run(f"{BIN}/nbdev_test", "--n_workers", str(WORKERS), "--timing", "--do_print")
    done = said.count("- Completed ")   # two workers may write into one line
    failed = len(re.findall(r"^\t.*\.ipynb$", said, re.M))
    return done - failed, max(failed, int(status != 0))


def tests() -> tuple[int, int]:
    "The same for pytest's tests; what cannot be collected has failed."
    longest = ROOT / "tests/test_site.py"   # first, so that it is not alone at the end
    files = map(str, sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: (path != longest, path)))
    said, status = run(sys.executable, "-m", "pytest", *files, "-n", str(WORKERS), "--dist", "loadfile",
                       "--no-loadscope-reorder", "--durations=5")
    passed, failed, errors = (sum(map(int, re.findall(rf"(\d+) {what}", said.splitlines()[-1])))
                              for what in ("passed", "failed", "error"))
    return passed, max(failed + errors, int(status != 0))


if __name__ == "__main__":
    before = litter()
    (good, bad), left = book(), litter() - before
    for line in sorted(left): print(f"a notebook left this behind: {line}")
    passed, failed = tests()
    failed += bad + bool(left)
    print(f"{good + passed} passed, {failed} failed")
    sys.exit(bool(failed))
