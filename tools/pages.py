"""What the pages are made of, in _proc/: nbdev's processing, and what only pages need.

    python tools/pages.py      # then `quarto render _proc`, or `make docs`, which draws the same pages without Quarto

Beside each notebook's text: where it can be had and run; answers folded together with what they print; signatures whose
comments stand at their own parameters; and an index of all public names. nbdev_proc_nbs is not called: where Quarto is
missing, it downloads and installs it with sudo.
"""
import ast
import json
import re
import runpy
from pathlib import Path

from nbdev.config import get_config
from nbdev.serve import proc_nbs

INDEX = """---
title: Every name
description: The public classes and functions of arq_nb, by name
toc: false
repo-actions: false
---

A click leads to the chapter that explains a name. The module it lies in stands beside it.

::: {.names}
"""


def markdown(text: str, name: str) -> dict:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def is_answer(cell: dict) -> bool:
    "Folded code is the answer to a question, unless it has a summary of its own."
    source = cell["source"] if cell["cell_type"] == "code" else ""
    return "#| code-fold: true" in source and "#| code-summary:" not in source


def folded_answers(cells: list[dict]):
    "The cells; an answer in a box that is closed together with what it prints."
    is_open = False
    for i, cell in enumerate(cells):
        if not is_answer(cell):
            yield cell
            continue
        if not is_open: yield markdown('::: {.callout-tip collapse="true" title="Answer"}', f"open-{i}")
        cell["source"] = cell["source"].replace("#| code-fold: true\n", "")
        yield cell
        is_open = not cell["outputs"] and i + 1 < len(cells) and is_answer(cells[i + 1])  # one answer in two cells
        if not is_open: yield markdown(":::", f"close-{i}")


def where_to_get(name: str, cfg) -> str:
    "Links to the notebook itself, and to a place where chapters run; experiments would need the files beside them."
    place = f"{cfg.user}/{cfg.repo}/blob/{cfg.branch}/nbs/{name}"
    links = [f"[Notebook](https://github.com/{place})"]
    if name[0].isdigit(): links.append(f"[Run it in Colab](https://colab.research.google.com/github/{place})")
    return "::: {.page-links}\n" + " · ".join(links) + "\n:::"


def said_of_changes(cfg) -> dict[str, tuple[str, str]]:
    "name -> the comments on `**changes` and on the result; fastcore shows the first as if it were the second."
    found = {}
    for path in sorted(cfg.lib_path.rglob("*.py")):
        lines = path.read_text("utf-8").splitlines()
        said = [line.partition("  # ")[2] for line in lines]
        for name, node in documented(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef) and node.args.kwarg and node.returns:
                found[name] = said[node.args.kwarg.lineno - 1], said[node.returns.lineno - 1]
    return found


def signature(text: str, said: dict[str, tuple[str, str]]) -> str:
    "A function as nbdev shows it, but without links inside of code, and with each comment at its own parameter."
    def plain(code): return re.sub(r"\[(`[^`]+`)\]\(https?://[^)]*\)", r"\1", code[0])
    text, name = re.sub(r"(?s)```python\n.*?\n```", plain, text), re.search(r"^#+ ([\w.]+)$", text, re.M)
    if not name or name[1] not in said: return text
    changes, result = (f" # {comment}" if comment else "" for comment in said[name[1]])
    last = re.compile(r"(\n    \*\*\w+(?::[^\n#]*?)?)(?:, #[^\n]*)?\n\)->([^\n#]*):[^\n]*\n```")
    return last.sub(lambda m: f"{m[1]}{',' * bool(changes)}{changes}\n)->{m[2]}:{result}\n```", text, count=1)


def complete(path: Path, name: str, cfg, said: dict[str, tuple[str, str]]) -> None:
    "Add to a processed notebook what its page needs, once."
    notebook = json.loads(path.read_text("utf-8"))
    if notebook["metadata"].get("complete"): return
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/markdown" in data: data["text/markdown"] = signature("".join(data["text/markdown"]), said)
    cells = list(folded_answers(notebook["cells"]))
    head = next((i for i, c in enumerate(cells) if c["cell_type"] == "raw" and c["source"].startswith("---")), -1)
    cells.insert(head + 1, markdown(where_to_get(name, cfg), "where"))
    notebook["cells"], notebook["metadata"]["complete"] = cells, True
    path.write_text(json.dumps(notebook), "utf-8")


def shown(folder: Path) -> set[str]:
    "Names that have a heading of their own on a page; what is exported in hidden cells has none."
    texts = ("".join(output.get("data", {}).get("text/markdown", "")) for path in folder.rglob("*.ipynb")
             for cell in json.loads(path.read_text("utf-8"))["cells"] for output in cell.get("outputs", []))
    return {name.lower() for text in texts for name in re.findall(r"^#+ ([\w.]+)$", text, re.M)}


def public_names(cfg, headings: set[str]):
    "(name, module, its page, first line of the docstring) of what `__all__` lists, and of their public methods."
    pages = runpy.run_path(str(cfg.lib_path / "_modidx.py"))["d"]["syms"]
    for module, symbols in pages.items():
        path = cfg.config_path / (module.replace(".", "/") + ".py")
        tree = ast.parse(path.read_text("utf-8"))
        exported = next((ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
                         and ast.unparse(node.targets[0]) == "__all__"), [])
        for name, node in documented(tree):
            heading = name if name.lower() in headings else name.split(".")[0]
            page = symbols.get(f"{module}.{heading}", [""])[0]
            said = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
            if said and page and name.split(".")[0] in exported and "._" not in f".{name}":
                yield name, module, page, said


def documented(tree: ast.Module):
    "(name, node) of functions, classes, methods, and of what `@patch` adds to a class."
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            patched = any(ast.unparse(d).startswith("patch") for d in node.decorator_list)
            owners = re.findall(r"\w+", ast.unparse(node.args.args[0].annotation)) if patched else [""]
            yield from ((f"{owner}.{node.name}".lstrip("."), node) for owner in owners)
        if isinstance(node, ast.ClassDef):
            yield node.name, node
            yield from ((f"{node.name}.{f.name}", f) for f in node.body if isinstance(f, ast.FunctionDef))


def index(cfg, headings: set[str]) -> str:
    "A page of all public names: a heading for each, since a heading is what the site's search finds first."
    names = sorted(public_names(cfg, headings), key=lambda row: row[0].lower())
    entries = (f"## [{name}]({page})\n\n`{module}` {said}\n" for name, module, page, said in names)
    return INDEX + "\n" + "\n".join(entries) + "\n:::\n"


def prepare() -> Path:
    "The folder of all that is drawn."
    cfg, folder = get_config(), proc_nbs()
    said = said_of_changes(cfg)
    for path in sorted(folder.rglob("*.ipynb")): complete(path, path.relative_to(folder).as_posix(), cfg, said)
    (folder / "names.qmd").write_text(index(cfg, shown(folder)), "utf-8")
    return folder


if __name__ == "__main__": print(f"{prepare()} is ready to be drawn")
