"""The notebooks as a static site in _docs/: nbdev's processing, then nbconvert. Quarto makes a fuller one.

The pages need no network: formulas become MathML, which browsers draw themselves, and pictures lie in the pages.
nbdev_proc_nbs is not called: where Quarto is missing, it downloads and installs it with sudo.
"""
import posixpath
import re
import shutil
from html import escape
from pathlib import Path

import yaml
from jinja2 import DictLoader
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbdev.config import get_config
from nbdev.serve import proc_nbs
from nbformat import read
from pygments.formatters import HtmlFormatter
from readme import apply_options

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description}">
<meta property="og:title" content="{title}"><meta property="og:description" content="{description}">
<meta property="og:type" content="article"><meta property="og:image" content="{site}/{picture}">
<link rel="icon" href="data:,"><style>{css}</style></head>
<body><header><a href="{up}index.html">{name}</a><a href="{repository}">Source on GitHub</a></header>
<div class="page"><nav aria-label="Chapters">{nav}</nav>
<main><h1>{title}</h1><p class="subtitle">{description}</p>{body}<footer>{neighbors}</footer></main></div></body></html>
"""
FOLDED = """{%- extends 'basic/index.html.j2' -%}
{% block input %}
{%- if cell.metadata.fold %}<details class="code-fold"><summary>Code</summary>{{ super() }}</details>
{%- else %}{{ super() }}{% endif %}
{%- endblock input %}"""


class Renderer(IPythonRenderer):
    "Markdown with headings named as Quarto names them, and each formula as MathML, or an error if it cannot be."
    def heading(self, text, level, **_):
        name = re.sub(r"[^\w\s.-]", "", re.sub(r"<[^>]+>", "", text)).strip().lower().replace(" ", "-")
        return f'<h{level} id="{name}">{text}</h{level}>\n'
    def block_math(self, body): return self.math(body, "block")
    def inline_math(self, body): return self.math(body, "inline")
    def latex_environment(self, name, body):
        return self.math(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")
    def math(self, body, display):
        body = re.sub(r"(\\\\|\\begin\{\w+\})\s*\[", r"\1{}[", body.strip())  # else a bracket there is an option
        try: mathml = convert(body.replace("\\arg", "\\operatorname{arg}"), display=display)
        except Exception as e: raise ValueError(f"formula {body!r}: {type(e).__name__} {e}") from e
        if left := re.findall(r"\\[a-zA-Z]+", mathml): raise ValueError(f"formula {body!r}: latex2mathml has no {left}")
        return mathml


def markdown(source: str): return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def front_matter(nb):
    "Take nbdev's front matter off a processed notebook."
    for cell in nb.cells:
        if cell.cell_type == "raw" and cell.source.startswith("---"):
            nb.cells.remove(cell)
            return yaml.safe_load(cell.source.strip().strip("-"))
    return {}


def site_links(html: str, pages: dict, site: str, name: str, up: str):
    "Links of the notebook `name` to others and to the published site, as links within this one."
    def page_of(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1]))
        return f'href="{up}{pages[target]}{match[2] or ""}"' if target in pages else match[0]
    html = re.sub(rf'href="{re.escape(site)}/(\w)', rf'href="{up}\1', html)
    html = re.sub(r'href="([\w./-]+\.ipynb)(#[^"]*)?"', page_of, html)
    return re.sub(r'\{target=("|&quot;)_blank("|&quot;)[^}]*\}', "", html)  # Quarto's notation on links


def reading_order(items):
    return [name for i in items for name in (reading_order(i["contents"]) if isinstance(i, dict) else [i])]


def navigation(items, pages: dict, titles: dict, current: str):
    def entry(item):
        if isinstance(item, dict):
            inner = navigation(item["contents"], pages, titles, current)
            return f"<li>{escape(item['section'])}{inner}</li>"
        here = ' aria-current="page"' if item == current else ""
        if item not in pages: return ""
        return f'<li><a href="{pages[item]}"{here}>{escape(titles[item])}</a></li>'
    return f"<ul>{''.join(map(entry, items))}</ul>"


def neighbors(order, pages: dict, titles: dict, current: str):
    "Links to the page before and the page after."
    i = order.index(current) if current in order else 0
    before, after = order[i - 1] if i else None, order[i + 1] if i + 1 < len(order) else None
    def link(name, left="", right=""):
        return f'<a href="{pages[name]}">{left}{escape(titles[name])}{right}</a>' if name else "<span></span>"
    return link(before, "← ") + link(after, "", " →")


def highlighting():
    "Colors for code, light and dark."
    light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
    plain = ".highlight { background: none !important; } .highlight pre { line-height: 1.45 !important; }"
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{plain}"


def main():
    cfg = get_config()
    processed, out = proc_nbs(), cfg.doc_path
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(processed, out, ignore=shutil.ignore_patterns("*.ipynb", "*.yml", "_*", ".*", "results"))
    website = yaml.safe_load((cfg.config_path / "_quarto.yml").read_text())["website"]
    sidebar, order = website["sidebar"]["contents"], reading_order(website["sidebar"]["contents"])
    notebooks = {name: read(processed / name, as_version=4) for name in sorted(order) if (processed / name).exists()}
    heads = {name: front_matter(nb) for name, nb in notebooks.items()}
    pages = {n: str(Path(n).with_name(head.get("output-file", f"{Path(n).stem}.html"))) for n, head in heads.items()}
    titles = {name: str(head.get("title", name)) for name, head in heads.items()}
    css = Path(__file__).with_suffix(".css").read_text() + highlighting() + (cfg.nbs_path / "styles.css").read_text()
    exporter = HTMLExporter(extra_loaders=[DictLoader({"folded.html.j2": FOLDED})], template_file="folded.html.j2")
    exporter.register_filter("markdown2html", markdown)
    for name, nb in notebooks.items():
        apply_options(nb.cells)
        up = "../" * name.count("/")
        from_here = {k: up + v for k, v in pages.items()}
        try: body, _ = exporter.from_notebook_node(nb)
        except ValueError as e: raise SystemExit(f"{name}: {e}") from e
        page = PAGE.format(
            title=escape(titles[name]), description=escape(str(heads[name].get("description", ""))), css=css, body=body,
            up=up, name=escape(website["title"]), repository=website["repo-url"], site=website["site-url"],
            picture=website["image"], nav=navigation(sidebar, from_here, titles, name),
            neighbors=neighbors(order, from_here, titles, name))
        (out / pages[name]).parent.mkdir(parents=True, exist_ok=True)
        page = site_links(page, pages, cfg.doc_host + cfg.doc_baseurl, name, up)
        (out / pages[name]).write_text(page, encoding="utf-8")
    print(f"{len(pages)} pages in {out}: open {out / 'index.html'}")


if __name__ == "__main__": main()
