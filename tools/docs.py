"""The site in _docs/ without Quarto: the pages of tools/pages.py, drawn by pandoc, the converter inside Quarto.

    python tools/docs.py

So Markdown, formulas, citations and anchors are read as on the published site. The pages need no network: formulas
become MathML, which browsers draw themselves. Search, copying and the switch between light and dark are in docs.js.
"""
import base64
import json
import posixpath
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import pypandoc
import yaml
from nbdev.config import get_config
from nbformat import read
from pages import prepare
from readme import apply_options

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description}">
<meta property="og:title" content="{title}"><meta property="og:description" content="{description}">
<meta property="og:type" content="article"><meta property="og:image" content="{site}{picture}">
<link rel="icon" href="{up}{favicon}"><link rel="stylesheet" href="{up}docs.css">
<link rel="stylesheet" href="{up}styles.css"><script src="{up}search.js"></script>
<script src="{up}docs.js" data-up="{up}"></script></head>
<body><a class="skip" href="#quarto-document-content">Skip to the text</a>
<header><a href="{up}index.html">{name}</a>{bar}<input type="search" placeholder="Search" aria-label="Search">
<button id="mode" aria-label="Light or dark">◐</button></header>
<div class="page"><details class="chapters"><summary>Chapters</summary><nav aria-label="Chapters">{nav}</nav></details>
<main id="quarto-document-content"><h1>{title}</h1><p class="subtitle">{description}</p>{body}
<nav class="neighbors" aria-label="Before and after">{neighbors}</nav><footer>{footer}</footer></main>
<aside><nav aria-label="On this page">{toc}<p>{edit}
<a href="#quarto-document-content">Back to top</a></p></nav></aside></div></body></html>
"""
CONTENTS = "$toc$\n<!-- body -->\n$body$"  # pandoc's template


def pandoc(text: str, *options: str, folder: Path) -> str:
    "HTML of a page. What pandoc warns of (a formula it cannot read, a missing reference) is an error."
    command = [pypandoc.get_pandoc_path(), "--from", "markdown", "--to", "html5", "--mathml", "--wrap", "none",
               "--fail-if-warnings", *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", cwd=folder)
    if done.returncode: raise ValueError(done.stderr)
    return done.stdout


def fenced(text: str, attributes: str) -> str:
    fence = "`" * (2 + max(map(len, re.findall("`+", text)), default=1))
    return f"{fence} {{{attributes}}}\n{text.rstrip()}\n{fence}"


def output_text(output, cell: dict, pictures: Path, stem: str) -> str:
    "One output of a cell as Markdown; a picture goes into a file."
    if output["output_type"] == "stream": return fenced("".join(output["text"]), ".output")
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items() if not isinstance(text, dict)}
    for kind, suffix in ("image/svg+xml", "svg"), ("image/png", "png"):
        if kind not in data: continue
        path = pictures / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[kind].encode() if suffix == "svg" else base64.b64decode(data[kind]))
        says, name = cell["metadata"], f"{pictures.name}/{path.name}"
        image = f'<img src="{name}" alt="{escape(says["alt"])}">'
        if not says.get("caption"): return f"```{{=html}}\n<p>{image}</p>\n```"
        return f'::: {{#{says["label"]} .figure}}\n```{{=html}}\n{image}\n```\n\n{says["caption"]}\n:::'
    if "text/markdown" in data: return data["text/markdown"]
    if "text/html" in data: return fenced(f'<div class="wide">{data["text/html"]}</div>', "=html")
    return fenced(data.get("text/plain", ""), ".output")


def cell_text(cell: dict, pictures: Path, stem: str) -> str:
    "A cell as Markdown."
    if cell["cell_type"] != "code": return cell["source"]
    says, parts = cell["metadata"], []
    if not says["transient"]["remove_source"]:
        code = fenced(cell["source"], ".python")
        parts.append(f"<details><summary>{says['fold']}</summary>\n\n{code}\n\n</details>" if says["fold"] else code)
    parts += [output_text(o, cell, pictures, f"{stem}-{j}") for j, o in enumerate(cell["outputs"])]
    return "::: {.cell}\n" + "\n\n".join(parts) + "\n:::" if parts else ""


def numbered(text: str) -> str:
    "Figures and equations that have a name get a number, and references to them become links, as Quarto does it."
    labels = re.findall(r"\{#((?:fig|eq)-[\w-]+)", text)
    number = {label: sum(other[:2] == label[:2] for other in labels[:i + 1]) for i, label in enumerate(labels)}
    word = {"fig": "Figure", "eq": "Equation"}
    def named(match):
        label = f"{match[1]}-{match[2]}"
        if label not in number: raise ValueError(f"@{label}: nothing that is shown has this name")
        return f"[{word[match[1]]} {number[label]}](#{label})"
    text = re.sub(r"(?s)\$\$((?:[^$]|\\\$)+)\$\$ *\{#(eq-[\w-]+)\}",
                  lambda m: f"::: {{#{m[2]} .equation}}\n$${m[1]}$$ ({number[m[2]]})\n:::", text)
    text = re.sub(r"(?s)(::: \{#(fig-[\w-]+) \.figure\}\n.*?\n```\n\n)",
                  lambda m: f"{m[1]}Figure {number[m[2]]}: ", text)
    text = re.sub(r"!\[([^\]]*)\]\(([^)]*)\)\{#(fig-[\w-]+) fig-alt=",
                  lambda m: f"![Figure {number[m[3]]}: {m[1]}]({m[2]}){{#{m[3]} alt=", text)
    return re.sub(r"(?<![\w`\[])@(fig|eq)-([\w-]+)", named, text)


def folded(html: str) -> str:
    "Quarto's closed boxes as `details`, which need no program."
    start = re.compile(r'<div class="callout-\w+"[^>]*title="([^"]*)"[^>]*>')
    while match := start.search(html):
        depth, end = 1, match.end()
        while depth:
            tag = re.compile(r"<(/?)div\b").search(html, end)
            depth, end = depth + (-1 if tag[1] else 1), tag.end()
        inner = html[match.end():end - len("</div")]
        closed = f'<details class="answer"><summary>{match[1]}</summary>{inner}</details>'
        html = html[:match.start()] + closed + html[end + 1:]
    return html


def site_links(html: str, pages: dict, site: str, name: str, up: str) -> str:
    "Links of the page `name` to others and to the published site, as links within this one."
    def page_of(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1]))
        return f'href="{up}{pages[target]}{match[2] or ""}"' if target in pages else match[0]
    html = re.sub(rf'href="{re.escape(site)}/(\w)', rf'href="{up}\1', html)
    return re.sub(r'href="([\w./-]+\.(?:ipynb|qmd))(#[^"]*)?"', page_of, html)


def reading_order(items) -> list[str]:
    return [name for i in items for name in (reading_order(i["contents"]) if isinstance(i, dict) else [i])]


def navigation(items, pages: dict, titles: dict, current: str) -> str:
    def entry(item):
        if isinstance(item, str) and item not in pages: return ""
        if isinstance(item, dict):
            inner = navigation(item["contents"], pages, titles, current)
            return f"<li>{escape(item['section'])}{inner}</li>"
        here = ' aria-current="page"' if item == current else ""
        return f'<li><a href="{pages[item]}"{here}>{escape(titles[item])}</a></li>'
    return f"<ul>{''.join(map(entry, items))}</ul>"


def neighbors(order, pages: dict, titles: dict, current: str) -> str:
    "Links to the page before and the page after."
    i = order.index(current) if current in order else None
    before = order[i - 1] if i else None
    after = order[i + 1] if i is not None and i + 1 < len(order) else None
    def link(name, left="", right=""):
        return f'<a href="{pages[name]}">{left}{escape(titles[name])}{right}</a>' if name else "<span></span>"
    return link(before, "← ") + link(after, "", " →")


def read_page(path: Path) -> tuple[dict, list[dict]]:
    "Front matter and cells of a processed notebook or Markdown file."
    if path.suffix == ".qmd":
        _, head, text = path.read_text("utf-8").split("---\n", 2)
        return yaml.safe_load(head), [{"cell_type": "markdown", "source": text}]
    cells = read(path, as_version=4).cells
    apply_options(cells)
    head = next((c for c in cells if c.cell_type == "raw" and c.source.startswith("---")), None)
    return (yaml.safe_load(head.source.strip().strip("-")) if head else {}), [c for c in cells if c is not head]


class Site:
    "What all pages share: settings, what is drawn, and where it goes."
    def __init__(self, cfg, processed: Path):
        self.config = yaml.safe_load((cfg.config_path / "_quarto.yml").read_text("utf-8"))
        self.out, self.website = cfg.doc_path, self.config["website"]
        self.sidebar = self.website["sidebar"]["contents"]
        names = [*reading_order(self.sidebar), *(p.name for p in sorted(processed.glob("*.qmd")))]
        self.found = {name: read_page(processed / name) for name in names if (processed / name).exists()}
        self.pages = {name: str(Path(name).with_name(head.get("output-file", f"{Path(name).stem}.html")))
                      for name, (head, _) in self.found.items()}
        self.titles = {name: str(head.get("title", name)) for name, (head, _) in self.found.items()}
        self.order = [name for name in reading_order(self.sidebar) if name in self.pages]
        template = processed / "_contents.html"
        template.write_text(CONTENTS, "utf-8")
        references = [f"--{key}={cfg.nbs_path / self.config[key]}" for key in ("bibliography", "csl")]
        self.options = [f"--template={template}", "--citeproc", "--metadata=link-citations", *references]
        self.footer = pandoc(" · ".join(self.website["page-footer"].values()), folder=self.out)

    def draw(self, name: str) -> list[list[str]]:
        "Write a page; what the search may find on it: (words, page, anchor, title)."
        head, cells = self.found[name]
        pictures = (self.out / name).with_name(f"{Path(name).stem}_files")
        contents = ["--toc", "--toc-depth=3"] if head.get("toc", True) else []
        title = ["--metadata", f"title={self.titles[name]}"]
        try:
            text = numbered("\n\n".join(cell_text(cell, pictures, f"cell-{i}") for i, cell in enumerate(cells)))
            if "[@" in text: text += "\n\n## References\n\n::: {#refs}\n:::\n"
            drawn = pandoc(text, *self.options, *contents, *title, folder=self.out)
        except ValueError as e: raise SystemExit(f"{name}: {e}") from e
        toc, body = drawn.split("<!-- body -->", 1)
        path = self.out / self.pages[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page(name, toc, folded(body)), "utf-8")
        heads = re.findall(r'<h[23][^>]*\bid="([^"]+)"[^>]*>(.*?)</h[23]>', body)
        return [[self.titles[name], self.pages[name], "", ""],
                *([re.sub(r"<annotation.*?</annotation>|<[^>]+>", "", words), self.pages[name], f"#{anchor}",
                   self.titles[name]] for anchor, words in heads)]

    def page(self, name: str, toc: str, body: str) -> str:
        "A whole page."
        site, head, up = self.website, self.found[name][0], "../" * name.count("/")
        place = f"{site['repo-url']}/edit/{site['repo-branch']}/nbs"
        here = {key: up + page for key, page in self.pages.items()}
        items = [item for side in ("left", "right") for item in site["navbar"][side]]
        shown = [(i["href"], i.get("text") or i["aria-label"]) for i in items]
        bar = (f'<a href="{here.get(href, href)}">{escape(text)}</a>' for href, text in shown)
        html = PAGE.format(
            title=escape(self.titles[name]), description=escape(str(head.get("description", ""))),
            site=site["site-url"], picture=site["open-graph"]["image"], favicon=site["favicon"],
            name=escape(site["title"]), bar="".join(bar),
            nav=navigation(self.sidebar, here, self.titles, name), up=up, toc=toc, body=body, footer=self.footer,
            neighbors=neighbors(self.order, here, self.titles, name),
            edit=f'<a href="{place}/{name}">Edit this page</a><br>' if head.get("repo-actions", True) else "")
        return site_links(html, self.pages, site["site-url"], name, up)


def main():
    cfg, processed = get_config(), prepare()
    sources = "*.ipynb", "*.qmd", "*.yml", "*.scss", "*.bib", "*.csl", "matplotlibrc", "_*", ".*", "results"
    shutil.rmtree(cfg.doc_path, ignore_errors=True)
    shutil.copytree(processed, cfg.doc_path, ignore=shutil.ignore_patterns(*sources))
    for file in "docs.css", "docs.js": shutil.copy(Path(__file__).with_name(file), cfg.doc_path)
    site = Site(cfg, processed)
    with ThreadPoolExecutor() as threads: places = [p for found in threads.map(site.draw, site.pages) for p in found]
    (site.out / "search.js").write_text(f"const PLACES = {json.dumps(places, ensure_ascii=False)}\n", "utf-8")
    print(f"{len(site.pages)} pages in {site.out}: open {site.out / 'index.html'}")


if __name__ == "__main__": main()
