"""The notebooks as a static site in _docs/: nbdev's processing, then nbconvert. Quarto makes a fuller one.

The pages need no network: formulas become MathML, which browsers draw themselves, and pictures lie in the pages.
nbdev_proc_nbs is not called: where Quarto is missing, it downloads and installs it with sudo.
"""
import posixpath, re, shutil
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
<main><h1>{title}</h1><p class="subtitle">{description}</p>{body}<footer>{neighbours}</footer></main></div></body></html>
"""
FOLDED = """{%- extends 'basic/index.html.j2' -%}
{% block input %}{% if cell.metadata.fold %}<details class="code-fold"><summary>Code</summary>{{ super() }}</details>{% else %}{{ super() }}{% endif %}{% endblock input %}"""
CSS = """
:root { color-scheme: light dark; --ground: #fff; --text: #212529; --link: #0a58ca; --code: #f5f6f8; --rule: #8886; }
@media (prefers-color-scheme: dark) { :root { --ground: #1b1e21; --text: #dee2e6; --link: #8ab8ff; --code: #262a2e; } }
body { margin: 0; font: 16px/1.6 system-ui, sans-serif; background: var(--ground); color: var(--text); overflow-wrap: break-word; }
header { display: flex; justify-content: space-between; padding: .6rem 1.2rem; border-bottom: 1px solid var(--rule); } header a:first-child { font-weight: bold; }
.page { display: flex; gap: 2.5rem; max-width: 72rem; margin: 0 auto; padding: 1rem 1.2rem; }
nav { flex: 0 0 13rem; font-size: .9rem; } nav ul { list-style: none; padding-left: .8rem; margin: .2rem 0 .8rem; }
nav > ul { padding: 0; position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow-y: auto; } main { flex: 1; min-width: 0; max-width: 50rem; } .subtitle { opacity: .8; font-size: 1.1rem; }
a { color: var(--link); } header a, nav a { text-decoration: none; } a[aria-current] { font-weight: bold; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
pre { overflow-x: auto; padding: .6rem .8rem; border-radius: 4px; font-size: .87rem; line-height: 1.45; background: var(--code); overflow-wrap: normal; }
code { background: var(--code); padding: .1em .25em; border-radius: 3px; font-size: .9em; } pre code { padding: 0; } a code { color: inherit; }
.output_text pre { background: none; border-left: 2px solid var(--rule); border-radius: 0; }
.prompt { display: none; }
.output_html, .output_markdown, .text_cell_render { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; } th, td { border-bottom: 1px solid var(--rule); padding: .2rem .7rem; text-align: left; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; } math[display="block"] { overflow-x: auto; overflow-y: hidden; padding: .2rem 0; } math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "DejaVu Math TeX Gyre", math; font-size: 1.08em; }
hr { border: 0; border-top: 1px solid var(--rule); margin: 1.6rem 0 .6rem; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid var(--rule); }
footer { display: flex; justify-content: space-between; margin: 3rem 0 1rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
@media (max-width: 50rem) { .page { flex-direction: column; } nav { order: 2; flex: none; } nav > ul { position: static; max-height: none; } }
"""


class Renderer(IPythonRenderer):
    "Markdown with each formula as MathML, and headings named as Quarto names them; a formula that cannot be converted is an error."
    def heading(self, text, level, **_):
        name = re.sub(r"[^\w\s.-]", "", re.sub(r"<[^>]+>", "", text)).strip().lower().replace(" ", "-")
        return f'<h{level} id="{name}">{text}</h{level}>\n'
    def block_math(self, body): return self.math(body, "block")
    def inline_math(self, body): return self.math(body, "inline")
    def latex_environment(self, name, body): return self.math(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")
    def math(self, body, display):
        body = re.sub(r"(\\\\|\\begin\{\w+\})\s*\[", r"\1{}[", body.strip())  # else a bracket there is read as an option
        try: mathml = convert(body.replace("\\arg", "\\operatorname{arg}"), display=display)
        except Exception as e: raise ValueError(f"formula {body!r}: {type(e).__name__} {e}") from e
        if left := re.findall(r"\\[a-zA-Z]+", mathml): raise ValueError(f"formula {body!r}: {left} is unknown to latex2mathml")
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
    return re.sub(r'\{target="_blank"[^}]*\}|\{target=&quot;_blank&quot;[^}]*\}', "", html)  # Quarto's notation on links


def reading_order(items): return [name for i in items for name in (reading_order(i["contents"]) if isinstance(i, dict) else [i])]


def navigation(items, pages: dict, titles: dict, current: str):
    def entry(item):
        if isinstance(item, dict): return f"<li>{escape(item['section'])}{navigation(item['contents'], pages, titles, current)}</li>"
        here = ' aria-current="page"' if item == current else ""
        return f'<li><a href="{pages[item]}"{here}>{escape(titles[item])}</a></li>' if item in pages else ""
    return f"<ul>{''.join(map(entry, items))}</ul>"


def neighbours(order, pages: dict, titles: dict, current: str):
    "Links to the page before and the page after."
    i = order.index(current) if current in order else 0
    before, after = order[i - 1] if i else None, order[i + 1] if i + 1 < len(order) else None
    link = lambda name, before, after: f'<a href="{pages[name]}">{before}{escape(titles[name])}{after}</a>' if name else "<span></span>"
    return link(before, "← ", "") + link(after, "", " →")


def highlighting():
    "Colours for code, light and dark."
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
    notebooks = {name: read(p, as_version=4) for p in sorted(processed.rglob("*.ipynb")) if (name := p.relative_to(processed).as_posix()) in order}
    heads = {name: front_matter(nb) for name, nb in notebooks.items()}
    pages = {name: str(Path(name).with_name(head.get("output-file", Path(name).stem + ".html"))) for name, head in heads.items()}
    titles = {name: str(head.get("title", name)) for name, head in heads.items()}
    css = CSS + highlighting() + (cfg.nbs_path / "styles.css").read_text()
    exporter = HTMLExporter(extra_loaders=[DictLoader({"folded.html.j2": FOLDED})], template_file="folded.html.j2")
    exporter.register_filter("markdown2html", markdown)
    for name, nb in notebooks.items():
        apply_options(nb.cells)
        up = "../" * name.count("/")
        from_here = {k: up + v for k, v in pages.items()}
        try: body, _ = exporter.from_notebook_node(nb)
        except ValueError as e: raise SystemExit(f"{name}: {e}")
        page = PAGE.format(title=escape(titles[name]), description=escape(str(heads[name].get("description", ""))), css=css, body=body, up=up,
                           name=escape(website["title"]), repository=website["repo-url"], site=website["site-url"], picture=website["image"],
                           nav=navigation(sidebar, from_here, titles, name), neighbours=neighbours(order, from_here, titles, name))
        (out / pages[name]).parent.mkdir(parents=True, exist_ok=True)
        (out / pages[name]).write_text(site_links(page, pages, cfg.doc_host + cfg.doc_baseurl, name, up), encoding="utf-8")
    print(f"{len(pages)} pages in {out}: open {out / 'index.html'}")


if __name__ == "__main__": main()
