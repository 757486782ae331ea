"""Open every page of a static site in headless Chromium, and look for what a reader would stumble over.

    python tools/check_site.py [FOLDER] [--pictures FOLDER]

Without FOLDER the site is built anew in _docs/. Each page must load without an error or a request to another host,
have a title of its own that is its heading, show its formulas and its pictures (with alt text), fit a phone, and link
only to pages and headings that exist. Exit status 1 and a line for each problem otherwise.
"""
import argparse, sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import browser

LOOK = """() => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 };
  const prose = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT), raw = [];
  for (let n; n = prose.nextNode();) if (!n.parentElement.closest('pre, code, script, style') && /\\$[^$]+\\$|\\\\[a-zA-Z]+|\\\\\\(/.test(n.data)) raw.push(n.data.trim().slice(0, 80));
  const formulas = [...document.querySelectorAll('math')];
  return {
    title: document.title, heading: document.querySelector('h1')?.innerText, headings: document.querySelectorAll('h1').length,
    raw, formulas: formulas.length, hidden: formulas.filter(m => !m.closest('details') && !seen(m)).map(m => m.textContent.slice(0, 80)),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80)),
    silent: [...document.images].filter(i => !i.alt.trim()).map(i => [...document.images].indexOf(i)),
    images: document.images.length, links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id) } }"""
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def visit(page, address: str, path: str, home: str):
    "What one page holds, and its problems."
    problems = []
    browser.watch(page, problems)
    page.on("request", lambda r: None if r.url.startswith((home, "data:")) else problems.append(f"asks another host: {r.url}"))
    page.goto(address, wait_until="load")
    found = page.evaluate(LOOK)
    if not found["title"] or found["headings"] != 1 or found["heading"] != found["title"]: problems.append(f"title {found['title']!r}, {found['headings']} h1: {found['heading']!r}")
    problems += [f"formula left as text: {t}" for t in found["raw"]] + [f"formula not shown: {t}" for t in found["hidden"]]
    problems += [f"picture not shown: {s}" for s in found["broken"]] + [f"picture {i} has no alt text" for i in found["silent"]]
    page.set_viewport_size(PHONE)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    if wide > PHONE["width"]: problems.append(f"{wide} pixels wide on a phone of {PHONE['width']}")
    return found, problems


def dead_links(path: str, pages: dict, home: str, folder: Path):
    "Links of a page to this site that lead nowhere."
    for link in dict.fromkeys(pages[path]["links"]):
        if not link.startswith(home): continue
        target, fragment = urldefrag(link[len(home) + 1:])
        target = unquote(target) or "index.html"
        if not (folder / target).is_file(): yield f"dead link: {target}"
        elif fragment and target in pages and unquote(fragment) not in pages[target]["ids"]: yield f"dead link: no heading {fragment!r} on {target}"


def check(folder: Path):
    "Problems of a site, and what was looked at."
    paths, pages, problems = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html")), {}, {}
    with browser.served(folder) as home, browser.chromium() as chromium:
        for path in paths:
            page = chromium.new_page(viewport=DESK)
            pages[path], problems[path] = visit(page, f"{home}/{path}", path, home)
            page.close()
        for path in paths: problems[path] += dead_links(path, pages, home, folder)
    titles = [p["title"] for p in pages.values()]
    for path, page in pages.items():
        if titles.count(page["title"]) > 1: problems[path].append(f"title {page['title']!r} is also another page's")
    count = lambda key: sum(p[key] if isinstance(p[key], int) else len(p[key]) for p in pages.values())
    summary = f"{len(pages)} pages, {count('formulas')} formulas, {count('images')} pictures, {count('links')} links"
    return [f"{path}: {p}" for path in paths for p in problems[path]] + ([] if pages else [f"no pages in {folder}"]), summary


def pictures(folder: Path, out: Path, names):
    "Screenshots of pages, light and dark, for a look."
    out.mkdir(parents=True, exist_ok=True)
    with browser.served(folder) as home, browser.chromium() as chromium:
        for scheme in "light", "dark":
            for name in names:
                page = chromium.new_page(viewport=DESK, color_scheme=scheme)
                page.goto(f"{home}/{name}", wait_until="load")
                page.screenshot(path=out / f"{Path(name).stem}-{scheme}.png", full_page=False)
                page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the site; built anew if left out")
    parser.add_argument("--pictures", type=Path, help="also save screenshots of all pages, light and dark, in this folder")
    args = parser.parse_args()
    if not browser.executable():
        print("SKIPPED: no Chromium found, the site was not looked at; apt-get install chromium, or set ARQ_CHROMIUM to one")
        sys.exit(1 if browser.required() else 0)
    if not args.folder:
        import docs
        docs.main()
    folder = args.folder or Path(docs.get_config().doc_path)
    problems, summary = check(folder)
    if args.pictures: pictures(folder, args.pictures, sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html")))
    print(*problems, f"{summary}: {len(problems)} problems", sep="\n")
    sys.exit(bool(problems))
