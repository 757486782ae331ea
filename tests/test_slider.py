"JupyterLab as a reader uses it: open chapter 2 in a browser, run all cells, move a slider, see the radius change."
import json
import os
import re
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import chromium, watch

NOTEBOOK, MINUTES = "02_smoothing.ipynb", 10
STATE = """() => {
  const panel = window.jupyterapp.shell.currentWidget, cells = panel.content.model.cells, code = [];
  for (let i = 0; i < cells.length; i++)
    if (cells.get(i).type === 'code' && cells.get(i).sharedModel.source.trim()) code.push(cells.get(i));
  const outputs = code.flatMap(c => c.outputs.toJSON());
  return {
    kernel: panel.sessionContext.session?.kernel?.status,
    left: code.filter(c => c.executionCount === null).length,
    errors: outputs.filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`) } }"""
IDLE = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
APP, BOOK = "@jupyterlab/apputils-extension/notification", "@jupyterlab/notebook-extension/tracker"
SETTINGS = {f"{APP}.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
            f"{BOOK}.jupyterlab-settings": {"windowingMode": "none"}}  # else only cells in view are drawn


def answered(address: str) -> bool:
    try: return bool(urlopen(address).read())
    except OSError: return False


def address_of(server, runtime: Path) -> str:
    "Where a server listens, once it answers."
    for _ in range(600):
        assert server.poll() is None, "JupyterLab has ended"
        for path in runtime.glob("jpserver-*.json"):
            try: home = json.loads(path.read_text())["url"].rstrip("/")
            except (json.JSONDecodeError, KeyError): continue
            if answered(f"{home}/api"): return home
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not start in two minutes")


@contextmanager
def jupyterlab(tree: Path):
    "The address of a JupyterLab that knows a copy of the project, and its token."
    state = tree / "jupyter"
    for name, settings in SETTINGS.items():
        (state / "settings" / name).parent.mkdir(parents=True, exist_ok=True)
        (state / "settings" / name).write_text(json.dumps(settings))
    folders = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
               "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime"}
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
               "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}",
               f"--ServerApp.root_dir={tree / 'nbs'}"]
    env = {**os.environ, "PYTHONPATH": str(tree), **{name: str(state / folder) for name, folder in folders.items()}}
    server = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try: yield address_of(server, state / "runtime"), token
    finally:
        server.terminate()
        server.wait(20)


def without_flagged(notebook: Path) -> None:
    "Take out the cells for a GPU, as every reader without one does."
    book = json.loads(notebook.read_text("utf-8"))
    flag = re.compile(r"^#\|\s*(cuda|slow|notest)", re.M)
    book["cells"] = [c for c in book["cells"] if not flag.search("".join(c["source"]))]
    notebook.write_text(json.dumps(book), "utf-8")


def run_all(page) -> None:
    "Run > Run All Cells, until every cell has run."
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    for _ in range(MINUTES * 60):
        page.wait_for_timeout(1000)
        state = page.evaluate(STATE)
        assert not state["errors"]
        if not state["left"] and state["kernel"] == "idle": return
    raise AssertionError(f"{state['left']} cells have not run")


@pytest.mark.browser
def test_slider_moves_the_radius(tree):
    problems: list[str] = []
    without_flagged(tree / "nbs" / NOTEBOOK)
    with jupyterlab(tree) as (home, token), chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        watch(page, problems)
        page.goto(f"{home}/lab/tree/{NOTEBOOK}?token={token}&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=120_000)
        page.wait_for_function(IDLE, timeout=120_000)
        run_all(page)
        widget = page.locator(".widget-interact")
        def radius(): return (widget.locator(".jp-OutputArea-output pre").all_inner_texts() or [""])[-1].strip()
        before = radius()
        handle = widget.locator(".widget-slider", has_text="sigma").locator(".noUi-handle")
        handle.scroll_into_view_if_needed()
        handle.focus()
        page.keyboard.press("ArrowRight")
        for _ in range(120):
            page.wait_for_timeout(500)
            if radius() not in (before, ""): break
        after = radius()
    assert float(before) > 0 and float(after) > 0 and before != after
    assert not problems
