"""The notebooks as a static site in _docs/: nbdev's processing, then nbconvert. Quarto makes a fuller one.

nbdev_proc_nbs is not called: where Quarto is missing, it downloads and installs it with sudo.
"""
import re, shutil
from html import escape
from pathlib import Path

import yaml
from nbconvert import HTMLExporter
from nbdev.config import get_config
from nbdev.serve import proc_nbs
from nbformat import read
from pygments.formatters import HtmlFormatter

from readme import apply_options

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
<script async src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"></script>
<script>MathJax = {{tex: {{inlineMath: [['$', '$'], ['\\\\(', '\\\\)']], tags: 'none'}}}};</script></head>
<body><nav>{nav}</nav><main><h1>{title}</h1><p class="subtitle">{description}</p>{body}</main></body></html>
"""
CSS = """

body { display: flex; gap: 2rem; max-width: 72rem; margin: 0 auto; padding: 1rem; font: 16px/1.6 system-ui, sans-serif; }
nav { flex: 0 0 13rem; font-size: .9rem; } nav ul { list-style: none; padding-left: .8rem; margin: .2rem 0 .8rem; } nav > ul { padding: 0; position: sticky; top: 1rem; }
main { flex: 1; min-width: 0; } .subtitle { opacity: .75; font-size: 1.1rem; } a { color: #2a76dd; } a[aria-current] { font-weight: bold; }
pre { overflow-x: auto; padding: .6rem .8rem; border-radius: 4px; font-size: .87rem; }
.jp-InputPrompt, .jp-OutputPrompt, .prompt, .anchor-link { display: none; }
table { border-collapse: collapse; } th, td { border-bottom: 1px solid #8886; padding: .2rem .7rem; text-align: left; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid #8886; }
@media (max-width: 50rem) { body { display: block; } }
"""


def front_matter(nb):
    "Take nbdev's front matter off a processed notebook."
    for cell in nb.cells:
        if cell.cell_type == "raw" and cell.source.startswith("---"):
            nb.cells.remove(cell)
            return yaml.safe_load(cell.source.strip().strip("-"))
    return {}


def site_links(html: str, pages: dict, site: str):
    "Links to notebooks and to the published site, as links within this one."
    html = html.replace(f'href="{site}/', 'href="')
    html = re.sub(r'<h\d id="[^"]+"', lambda m: m[0].lower(), html)  # nbdev's links to names are in lower case
    html = re.sub(r'href="([\w./-]+\.ipynb)(#[^"]*)?"', lambda m: f'href="{pages.get(m[1], m[1])}{m[2] or ""}"', html)
    return re.sub(r'\{target="_blank"[^}]*\}|\{target=&quot;_blank&quot;[^}]*\}', "", html)  # Quarto's notation on links


def navigation(items, pages: dict, titles: dict, current: str):
    def entry(item):
        if isinstance(item, dict): return f"<li>{escape(item['section'])}{navigation(item['contents'], pages, titles, current)}</li>"
        here = ' aria-current="page"' if item == current else ""
        return f'<li><a href="{pages[item]}"{here}>{escape(titles[item])}</a></li>' if item in pages else ""
    return f"<ul>{''.join(map(entry, items))}</ul>"


def main():
    cfg = get_config()
    processed, out = proc_nbs(), cfg.doc_path
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(processed, out, ignore=shutil.ignore_patterns("*.ipynb", "*.yml", "_*", ".*"))
    sidebar = yaml.safe_load((cfg.config_path / "_quarto.yml").read_text())["website"]["sidebar"]["contents"]
    notebooks = {p.relative_to(processed).as_posix(): read(p, as_version=4) for p in sorted(processed.rglob("*.ipynb"))}
    heads = {name: front_matter(nb) for name, nb in notebooks.items()}
    pages = {name: str(Path(name).with_name(head.get("output-file", Path(name).stem + ".html"))) for name, head in heads.items()}
    titles = {name: str(head.get("title", name)) for name, head in heads.items()}
    css = CSS + HtmlFormatter().get_style_defs(".highlight") + (cfg.nbs_path / "styles.css").read_text()
    exporter = HTMLExporter(template_name="basic")
    for name, nb in notebooks.items():
        apply_options(nb.cells)
        up = "../" * name.count("/")
        body, _ = exporter.from_notebook_node(nb)
        page = PAGE.format(title=escape(titles[name]), description=escape(str(heads[name].get("description", ""))), css=css, body=body,
                           nav=navigation(sidebar, {k: up + v for k, v in pages.items()}, titles, name))
        (out / pages[name]).parent.mkdir(parents=True, exist_ok=True)
        (out / pages[name]).write_text(site_links(page, pages, cfg.doc_host + cfg.doc_baseurl), encoding="utf-8")
    print(f"{len(pages)} pages in {out}: open {out / 'index.html'}")


if __name__ == "__main__": main()
