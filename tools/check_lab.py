"""JupyterLab for real: open 04_smoothing in a browser, run all cells, move a slider, see the certified radius change.

The server listens on loopback, on a copy of the notebooks in a temporary folder. Exit status 1 if anything is amiss.
"""
import argparse, json, os, secrets, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import browser
from run_tests import copy_tree

NOTEBOOK, MINUTES = "04_smoothing.ipynb", 10
STATE = """() => { const panel = window.jupyterapp.shell.currentWidget, cells = panel.content.model.cells, code = [];
  for (let i = 0; i < cells.length; i++) if (cells.get(i).type === 'code' && cells.get(i).sharedModel.source.trim()) code.push(cells.get(i));
  const outputs = code.flatMap(c => c.outputs.toJSON());
  return { kernel: panel.sessionContext.session?.kernel?.status, all: code.length, run: code.filter(c => c.executionCount !== null).length,
           errors: outputs.filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`) } }"""
QUIET = {"@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
         "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"}}  # else only cells in view are drawn


@contextmanager
def lab(folder: Path):
    "Address of a JupyterLab server for a copy of the project, into which a notebook's last cell exports."
    copy_tree(folder)
    for name, settings in QUIET.items():
        path = folder / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    env = {**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
           "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    token, log = secrets.token_hex(16), open(folder / "log", "w")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser", "--ServerApp.ip=127.0.0.1",
               "--ServerApp.port=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'nbs'}"]
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try: yield wait_for(folder / "runtime", server, folder / "log"), token
    finally:
        server.terminate()
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()


def wait_for(runtime: Path, server, log: Path):
    "The server's address, once it answers."
    for _ in range(600):
        if server.poll() is not None: sys.exit(f"JupyterLab ended with status {server.returncode}:\n{log.read_text()}")
        for path in runtime.glob("jpserver-*.json"):
            try: home = json.loads(path.read_text())["url"].rstrip("/")
            except (json.JSONDecodeError, KeyError): continue
            try: urlopen(f"{home}/api").read()
            except OSError: continue
            return home
        time.sleep(0.2)
    sys.exit(f"JupyterLab did not start in two minutes:\n{log.read_text()}")


def run_all(page):
    "Run > Run All Cells, until every cell has run."
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    for _ in range(MINUTES * 60):
        page.wait_for_timeout(1000)
        state = page.evaluate(STATE)
        if state["errors"] or (state["run"] == state["all"] and state["kernel"] == "idle"): break
    if state["errors"] or state["run"] < state["all"]: sys.exit(f"{NOTEBOOK}: {state['run']} of {state['all']} cells run, {state['kernel']}, {state['errors']}")
    return state["all"]


def move_slider(page, description: str, key: str, radius):
    "Radius before and after a key press on the slider of that description."
    before = radius()
    handle = page.locator(".widget-slider", has_text=description).locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    handle.focus()
    page.keyboard.press(key)
    for _ in range(120):
        page.wait_for_timeout(500)
        if radius() not in (before, None): return before, radius()
    sys.exit(f"the slider {description!r} was moved, but the radius is still {before}")


def main(picture: Path | None):
    problems = []
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder)) as (home, token), browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        browser.watch(page, problems)
        page.goto(f"{home}/lab/tree/{NOTEBOOK}?token={token}&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=120_000)
        page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'", timeout=120_000)
        cells = run_all(page)
        widget = page.locator(".widget-interact")
        def radius():
            text = widget.locator(".jp-OutputArea-output pre").all_inner_texts()
            return text[-1].strip() if text else None
        widget.scroll_into_view_if_needed()
        before, after = move_slider(page, "sigma", "ArrowRight", radius)
        page.wait_for_timeout(500)
        if picture: widget.screenshot(path=picture)
    print(f"JupyterLab: {cells} cells of {NOTEBOOK} run; sigma moved a step up, the radius went from {before} to {after}")
    print(*problems, f"{len(problems)} problems", sep="\n")
    return bool(problems)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, help="save a screenshot of the widget here (.png)")
    args = parser.parse_args()
    if not browser.executable():
        print("SKIPPED: no Chromium found, JupyterLab was not opened; apt-get install chromium, or set ARQ_CHROMIUM to one")
        sys.exit(1 if browser.required() else 0)
    sys.exit(main(args.picture))
