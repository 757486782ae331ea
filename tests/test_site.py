"""The site as its readers open it: every page in headless Chromium.

Each page loads without an error or a request to another host, has a title of its own that is its heading, shows its
formulas and its pictures (with alt text), fits a phone, links only to pages and headings that exist, and can be read in
the light and in the dark. `ARQ_SITE=_docs` looks at the pages that Quarto drew there instead of drawing its own.
"""
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from conftest import chromium, ROOT, watch

PUBLISHED = "https://arq-nb.github.io/arq_nb"
LOOK = """() => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 };
  const prose = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT), raw = [];
  for (let n; n = prose.nextNode();)
    if (!n.parentElement.closest('pre, code, script, style, math, mjx-container') &&
        /\\$[^$]+\\$|\\\\[a-zA-Z]+|\\\\\\(|@(fig|eq|sec|tbl)-|\\[@/.test(n.data))
      raw.push(n.data.trim().slice(0, 80));
  const formulas = [...document.querySelectorAll('math')];
  return {
    title: document.title, heading: document.querySelector('h1')?.innerText,
    headings: document.querySelectorAll('h1').length,
    raw, formulas: formulas.length,
    hidden: formulas.filter(m => !m.closest('details, .callout, mjx-container') && !seen(m))
      .map(m => m.textContent.slice(0, 80)),
    wrong: [...document.querySelectorAll('merror, mjx-merror')].map(e => e.textContent.slice(0, 80)),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80)),
    silent: [...document.images].filter(i => !i.alt.trim()).map(i => [...document.images].indexOf(i)),
    links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id) } }"""
FAINT = """() => {  // texts whose contrast is below that of WCAG's level AA
  const channels = color => (color.match(/[\\d.]+/g) || [0, 0, 0]).map(Number);
  const over = ([r, g, b, a = 1], ground) => [r, g, b].map((c, i) => a * c + (1 - a) * ground[i]);
  const light = rgb => rgb.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = e => {
    if (!e) return [255, 255, 255];
    const color = channels(getComputedStyle(e).backgroundColor);
    return color.length < 4 ? color : color[3] ? over(color, ground(e.parentElement)) : ground(e.parentElement);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = {};
  for (let n; n = texts.nextNode();) {
    const e = n.parentElement, style = getComputedStyle(e), size = parseFloat(style.fontSize);
    if (!n.data.trim() || e.closest('script, style, .skip, .anchor, .copy, .cell svg') ||
        !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const below = ground(e), text = over(channels(style.color), below);
    const [low, high] = [light(text), light(below)].sort((a, b) => a - b), ratio = (high + .05) / (low + .05);
    const needed = size >= 24 || size >= 18.6 && style.fontWeight >= 700 ? 3 : 4.5;
    if (ratio < needed) found[`${e.tagName.toLowerCase()}.${e.className}`] = `${ratio.toFixed(1)}: ${n.data.trim()}`;
  }
  return Object.entries(found).map(([where, text]) => `${where} ${text.slice(0, 60)}`) }"""
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


def visit(page, seen: list[str], address: str, own: bool):
    "What one page holds, and its problems; `seen`, what `watch` has added, also since the page before it was left."
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    page.goto(address, wait_until="load" if own else "networkidle")
    found, problems = page.evaluate(LOOK), []
    if not found["title"] or found["headings"] != 1 or not found["title"].startswith(found["heading"]):
        problems.append(f"title {found['title']!r}, {found['headings']} h1: {found['heading']!r}")
    problems += [f"formula or reference left as text: {t}" for t in found["raw"]]
    problems += [f"formula not shown: {t}" for t in found["hidden"]]
    problems += [f"formula not understood: {t}" for t in found["wrong"]]
    problems += [f"picture not shown: {s}" for s in found["broken"]]
    problems += [f"picture {i} has no alt text" for i in found["silent"]]
    for scheme in "light", "dark":
        page.emulate_media(color_scheme=scheme)
        if not own: page.reload(wait_until="networkidle")
        problems += [f"too faint in the {scheme}: {text}" for text in page.evaluate(FAINT)]
    page.set_viewport_size(PHONE)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    if wide > PHONE["width"]: problems.append(f"{wide} pixels wide on a phone of {PHONE['width']}")
    problems += seen
    seen.clear()
    return found, problems


def dead_links(links, pages: dict, home: str, folder: Path):
    "Links of a page to this site that lead nowhere."
    for link in dict.fromkeys(links):
        link = link.replace(PUBLISHED, home, 1)
        if not link.startswith(home): continue
        target, fragment = urldefrag(link[len(home) + 1:])
        target = unquote(target) or "index.html"
        if not (folder / target).is_file(): yield f"dead link: {target}"
        elif fragment and target in pages and unquote(fragment) not in pages[target]["ids"]:
            yield f"dead link: no heading {fragment!r} on {target}"


def drawn(tree: Path) -> Path:
    "The folder of a site that is made from a copy of the repository."
    made = subprocess.run([sys.executable, "tools/docs.py"], cwd=tree, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return tree / "_docs"


def test_comments_stand_at_their_parameters(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from pages import signature
    shown = ("### f\n\n```python\ndef f(\n    x:int, # see [`g`](https://site/page.html#g)\n"
             "    **changes:object\n)->int: # fields of H\n```\n\n*See [`g`](https://site/page.html#g).*")
    found = signature(shown, {"f": ("fields of H", "a sum")})
    assert "    x:int, # see `g`\n    **changes:object, # fields of H\n)->int: # a sum\n```" in found
    assert found.endswith("*See [`g`](https://site/page.html#g).*")
    assert signature(found, {"f": ("fields of H", "a sum")}) == found


@pytest.mark.browser
def test_every_page(tree):
    published = os.environ.get("ARQ_SITE")
    folder = ROOT / published if published else drawn(tree)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home, pages, problems = f"http://127.0.0.1:{server.server_port}", {}, {}
    with chromium() as browser:
        page, seen = browser.new_page(), []
        watch(page, seen)
        def asked(request):
            if not published and not request.url.startswith((home, "data:")): seen.append(f"asks: {request.url}")
        page.on("request", asked)
        for path in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html")):
            if published and path == "404.html": continue  # its links begin at the root of the published site
            pages[path], problems[path] = visit(page, seen, f"{home}/{path}", own=not published)
        page.goto("about:blank")  # what the last page raises late
        problems[path] += seen
    server.shutdown()
    titles = [page["title"] for page in pages.values()]
    for path, page in pages.items():
        problems[path] += dead_links(page["links"], pages, home, folder)
        if titles.count(page["title"]) > 1: problems[path].append(f"title {page['title']!r} is also another page's")
    assert len(pages) > 40
    found = [f"{path}: {p}" for path in pages for p in problems[path]]
    if found: pytest.fail("\n".join(found), pytrace=False)
