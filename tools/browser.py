"Headless Chromium for the checks of the site and of JupyterLab: the system's own, driven by Playwright."
import os, shutil, threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
# No sandbox, since root has none in a container; no services of its own, which would look for hosts on the network.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def executable():
    "Path of the browser: ARQ_CHROMIUM, or what is installed; None where there is none."
    return os.environ.get("ARQ_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def required(): return os.environ.get("ARQ_REQUIRE_BROWSER", "0") not in ("", "0")


@contextmanager
def chromium():
    "A Playwright browser."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=OPTIONS)
        try: yield browser
        finally: browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


@contextmanager
def served(folder):
    "Address on loopback where a folder is served."
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f"http://127.0.0.1:{server.server_port}"
    finally: server.shutdown(); server.server_close()


def watch(page, problems: list, ignore=()):
    "Append to `problems` what goes wrong on a page: console errors, exceptions, requests that fail."
    def note(kind, text):
        if not any(i in text for i in ignore): problems.append(f"{kind}: {text}")
    page.on("console", lambda m: note("console", m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: note("exception", str(e)))
    page.on("requestfailed", lambda r: note("request failed", r.url))
    page.on("response", lambda r: note(f"status {r.status}", r.url) if r.status >= 400 else None)
