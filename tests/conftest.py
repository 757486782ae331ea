"What the tests share: where the repository is, a copy of it, a browser, and what happens where data or a browser lack."
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("ARQ_DATA", str(ROOT.parent / "shared" / "data"))
os.environ.setdefault("MPLBACKEND", "Agg")  # pictures need no screen
BROWSERS = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
# No sandbox, since root has none in a container; no services that would look for hosts on the network.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]


def skip_or_fail(reason: str, variable: str) -> None:
    "Skip loudly; where the environment variable is set, as in CI, what is missing is a failure."
    if os.environ.get(variable, "0") not in ("", "0"):
        pytest.fail(f"required here ({variable}): {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def seeded() -> None:
    "Networks with random weights are the same ones, whichever tests came before."
    if torch := sys.modules.get("torch"): torch.manual_seed(0)


@pytest.fixture
def data() -> Path:
    "The folder of the image archives."
    folder = Path(os.environ["ARQ_DATA"])
    if not folder.is_dir(): skip_or_fail(f"no image archives in {folder}: set ARQ_DATA", "ARQ_REQUIRE_DATA")
    return folder


def copy_repository(folder: Path) -> Path:
    "A copy of what is, or would be, in the repository."
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode: pytest.skip("not in a git repository")
    for name in filter(None, listed.stdout.split("\0")):
        if not (ROOT / name).exists(): continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture
def tree(tmp_path) -> Path: return copy_repository(tmp_path)


@contextmanager
def chromium():
    "The system's Chromium, headless; ARQ_CHROMIUM names another."
    found = os.environ.get("ARQ_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        skip_or_fail("no Chromium found: apt-get install chromium, or set ARQ_CHROMIUM to one", "ARQ_REQUIRE_BROWSER")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


def watch(page, problems: list[str]) -> None:
    "Append to `problems` what goes wrong on a page: console errors, exceptions, requests that fail."
    page.on("console", lambda m: problems.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(f"exception: {e}"))
    def failed(request):
        if request.failure != "net::ERR_ABORTED":  # which the page itself has given up, when it was loaded again
            problems.append(f"request failed: {request.url}")
    page.on("requestfailed", failed)
    page.on("response", lambda r: problems.append(f"status {r.status}: {r.url}") if r.status >= 400 else None)


def launch(script: str, *args: str, count: int = 2) -> str:
    "What a script prints that is run in several processes on this machine's CPU; `RuntimeError` if it fails."
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(script)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*command, str(path), *args], capture_output=True, text=True, env=environment)
    if done.returncode: raise RuntimeError(done.stdout + done.stderr)
    return done.stdout
