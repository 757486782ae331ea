"""The site as its readers open it: every page in headless Chromium.

Each page loads without an error or a request to another host, has a title of its own that is its heading, shows its
formulas and its pictures (with alt text), fits a phone, and links only to pages and headings that exist.
"""
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urldefrag

import pytest
from conftest import chromium, watch

LOOK = """() => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 };
  const prose = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT), raw = [];
  for (let n; n = prose.nextNode();)
    if (!n.parentElement.closest('pre, code, script, style') && /\\$[^$]+\\$|\\\\[a-zA-Z]+|\\\\\\(/.test(n.data))
      raw.push(n.data.trim().slice(0, 80));
  const formulas = [...document.querySelectorAll('math')];
  return {
    title: document.title, heading: document.querySelector('h1')?.innerText,
    headings: document.querySelectorAll('h1').length,
    raw, formulas: formulas.length,
    hidden: formulas.filter(m => !m.closest('details') && !seen(m)).map(m => m.textContent.slice(0, 80)),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80)),
    silent: [...document.images].filter(i => !i.alt.trim()).map(i => [...document.images].indexOf(i)),
    images: document.images.length, links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id) } }"""
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


def visit(page, address: str, home: str):
    "What one page holds, and its problems."
    problems = []
    watch(page, problems)
    page.on("request", lambda r: None if r.url.startswith((home, "data:")) else problems.append(f"asks: {r.url}"))
    page.goto(address, wait_until="load")
    found = page.evaluate(LOOK)
    if not found["title"] or found["headings"] != 1 or found["heading"] != found["title"]:
        problems.append(f"title {found['title']!r}, {found['headings']} h1: {found['heading']!r}")
    problems += [f"formula left as text: {t}" for t in found["raw"]]
    problems += [f"formula not shown: {t}" for t in found["hidden"]]
    problems += [f"picture not shown: {s}" for s in found["broken"]]
    problems += [f"picture {i} has no alt text" for i in found["silent"]]
    page.set_viewport_size(PHONE)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    if wide > PHONE["width"]: problems.append(f"{wide} pixels wide on a phone of {PHONE['width']}")
    return found, problems


def dead_links(links, pages: dict, home: str, folder):
    "Links of a page to this site that lead nowhere."
    for link in dict.fromkeys(links):
        if not link.startswith(home): continue
        target, fragment = urldefrag(link[len(home) + 1:])
        target = unquote(target) or "index.html"
        if not (folder / target).is_file(): yield f"dead link: {target}"
        elif fragment and target in pages and unquote(fragment) not in pages[target]["ids"]:
            yield f"dead link: no heading {fragment!r} on {target}"


@pytest.mark.browser
def test_every_page(tree):
    made = subprocess.run([sys.executable, "tools/docs.py"], cwd=tree, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    folder = tree / "_docs"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home, pages, problems = f"http://127.0.0.1:{server.server_port}", {}, {}
    with chromium() as browser:
        for path in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html")):
            page = browser.new_page(viewport=DESK)
            pages[path], problems[path] = visit(page, f"{home}/{path}", home)
            page.close()
    server.shutdown()
    titles = [page["title"] for page in pages.values()]
    for path, page in pages.items():
        problems[path] += dead_links(page["links"], pages, home, folder)
        if titles.count(page["title"]) > 1: problems[path].append(f"title {page['title']!r} is also another page's")
    assert len(pages) > 40
    found = [f"{path}: {p}" for path in pages for p in problems[path]]
    if found: pytest.fail("\n".join(found), pytrace=False)
