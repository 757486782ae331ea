"The rules of the house: what may import what, how long things may be, how they are written. `-k lines` runs one rule."
import ast
import inspect
import io
import json
import re
import subprocess
import sys
import textwrap
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

FLOORS = {"core": 0, "quant": 1, "certify": 1, "train": 2, "search": 3, "lab": 4}  # quant and certify: side by side
PORCH = {"__init__", "__main__", "_modidx", "moved"}  # modules in no room: they may import all, nobody imports them
LINES, CELLS, WIDTH, PARAMETERS, PUBLIC, BYTES, EACH = 350, 80, 120, 8, 200, 5_000_000, 300_000


def report(offenders) -> None:
    "Fail with a line for each offender."
    found = list(offenders)
    if found: pytest.fail("\n".join([f"{len(found)}:", *map(str, found)]), pytrace=False)


@cache
def modules() -> dict[str, ast.Module]:
    "certify.smoothing -> its syntax tree, for every module that lies in a room."
    paths = sorted((ROOT / "arq_nb").glob("*/*.py"))
    return {f"{p.parent.name}.{p.stem}": ast.parse(p.read_text("utf-8")) for p in paths if p.stem != "__init__"}


@cache
def notebooks() -> dict[str, list[dict]]:
    "nbs/01_models.ipynb -> its cells, each with its whole source."
    paths = [p for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    books = {p.relative_to(ROOT).as_posix(): json.loads(p.read_text("utf-8"))["cells"] for p in paths}
    return {name: [{**c, "source": "".join(c["source"])} for c in cells] for name, cells in books.items()}


@cache
def sources() -> list[tuple[str, str]]:
    "(where, code) of every code cell, and of every file that is written by hand."
    folders = ROOT / "tools", ROOT / "tests", ROOT / "nbs" / "experiments"
    files = [*(path for folder in folders for path in folder.glob("*.py")), ROOT / "setup.py"]
    written = [(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in sorted(files)]
    return written + [(f"{name} {cell['id']}", without_magics(cell["source"]))
                      for name, cells in notebooks().items() for cell in cells if cell["cell_type"] == "code"]


def without_magics(code: str) -> str:
    "IPython's own lines commented out."
    return re.sub(r"^(\s*)([%!])", r"\1# \2", code, flags=re.MULTILINE)


def imports(name: str, at_once: bool = False) -> set[str]:
    "Modules of the library that a module imports, at all or already when it is imported itself: room.module."
    found, tree = set(), modules()[name]
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("arq_nb.") for a in node.names if "arq_nb" in a.name}
        if not isinstance(node, ast.ImportFrom): continue
        package = ["arq_nb", *name.split(".")][:-node.level] if node.level else []
        target = ".".join(filter(None, [*package, node.module]))
        if target.split(".")[0] == "arq_nb":
            path = target.removeprefix("arq_nb").removeprefix(".")
            found |= {path} if path in modules() else {f"{path}.{a.name}".strip(".") for a in node.names}
    return found


def exported(tree: ast.Module) -> list[str]:
    "The names in `__all__`."
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def functions(tree: ast.Module):
    "Every function and method, with the name of its class before it."
    for node in tree.body:
        if isinstance(node, ast.FunctionDef): yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{f.name}", f) for f in node.body if isinstance(f, ast.FunctionDef))


def test_rooms_import_downwards():
    def allowed(mine, other):
        return mine == other or FLOORS.get(other, 9) < FLOORS[mine]
    report(f"{name} must not import {target}" for name in modules()
           for target in sorted(imports(name) - {"__version__"})
           if not allowed(name.split(".")[0], target.split(".")[0]))


def test_imports_have_no_cycles():
    left = {name: imports(name, at_once=True) & set(modules()) for name in modules()}
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free: del left[name]
    report(f"{name} <-> {', '.join(sorted(needs & set(left)))}" for name, needs in left.items())


def test_every_module_is_in_a_room():
    report(p.name for p in (ROOT / "arq_nb").glob("*.py") if p.stem not in PORCH)
    report(p.name for p in (ROOT / "arq_nb").iterdir() if p.is_dir() and any(p.glob("*.py")) and p.name not in FLOORS)


def test_module_length():
    counts = {name: len((ROOT / "arq_nb" / f"{name.replace('.', '/')}.py").read_text("utf-8").splitlines())
              for name in modules()}
    report(f"{name}: {n} lines of at most {LINES}" for name, n in counts.items() if n > LINES)


def test_notebook_length():
    counts = {name: sum("google.colab" not in c["source"] for c in cells) for name, cells in notebooks().items()}
    report(f"{name}: {n} cells of at most {CELLS}" for name, n in counts.items() if n > CELLS)


def test_lines_fit():
    report(f"{where}: {len(line)} characters: {line.strip()[:60]}..." for where, code in sources()
           for line in code.splitlines() if len(line) > WIDTH and not line.startswith("#|"))


def test_few_parameters():
    def parameters(f):
        a = f.args
        names = [x.arg for x in [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]]
        return [n for n in names if n not in ("self", "cls")]
    report(f"{name}.{f}: {len(parameters(node))} parameters of at most {PARAMETERS}" for name, tree in modules().items()
           for f, node in functions(tree) if len(parameters(node)) > PARAMETERS)


def test_few_public_names():
    counts = {name: len(exported(tree)) for name, tree in modules().items()}
    if sum(counts.values()) > PUBLIC:
        report([f"{sum(counts.values())} public names of at most {PUBLIC}",
                *(f"{n:4} {name}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))])


def test_no_semicolons():
    def semicolons(code):
        code = code.replace("import nbdev; nbdev.nbdev_export()", "")  # nbdev's own last cell
        return [t.line.strip() for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.string == ";"]
    report(f"{where}: {line[:80]}" for where, code in sources() for line in semicolons(code))


def test_short_lambdas():
    report(f"{where}: lambda of {node.end_lineno - node.lineno + 1} lines" for where, code in sources()
           for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Lambda) and node.end_lineno > node.lineno)


def test_methods_are_added_in_one_way():
    "In the class, or by `@patch` in the module of the class."
    def assigned(node):
        targets = [t for target in node.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])]
        return [t for t in targets if isinstance(t, ast.Attribute) and re.match(r"_?[A-Z]", ast.unparse(t.value))]
    report(f"{name}: {ast.unparse(t)} = ..." for name, tree in modules().items() for node in tree.body
           if isinstance(node, ast.Assign) for t in assigned(node))


def test_patches_stay_at_home():
    def is_patch(node):
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
        return any(re.match(r"patch\b", ast.unparse(d)) for d in decorators)
    def foreign(tree):
        mine = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in filter(is_patch, tree.body):
            first = node.args.args[0].annotation
            classes = ["nothing"] if first is None else re.findall(r"\w[\w.]*", ast.unparse(first))
            yield from ((node.name, c) for c in classes if c not in mine)
    report(f"{name}: {method} is patched into {cls} of another module" for name, tree in modules().items()
           for method, cls in foreign(tree))


def has_example(doc: str) -> bool:
    "Whether a paragraph of a docstring is Python code that calls something."
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        blocks = [paragraph, "\n".join(line for line in paragraph.splitlines() if line.startswith("    "))]
        for block in blocks:
            code = re.sub(r"^\s*>>> ?|^```.*$", "", textwrap.dedent(block), flags=re.MULTILINE)
            try: tree = ast.parse(textwrap.dedent(code))
            except SyntaxError: continue
            if any(isinstance(node, ast.Call) for node in ast.walk(tree)): return True
    return False


def test_public_classes_show_an_example():
    report(f"{name}.{node.name}" for name, tree in modules().items() for node in tree.body
           if isinstance(node, ast.ClassDef) and node.name in exported(tree) and not node.name.endswith("Error")
           and not has_example(ast.get_docstring(node) or ""))


def test_examples_are_shown_as_code():
    "Every line of it stands four columns in from the text, or Markdown and `help` run it into the sentence before."
    def flat(docstring: str) -> bool:
        return any(re.match(r"[\w.]+(, [\w.]+)* = \w|print\(", line) for line in docstring.splitlines()[1:])
    report(f"{name}.{node.name}" for name, tree in modules().items() for node in ast.walk(tree)
           if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and flat(ast.get_docstring(node) or ""))


def test_powers_are_shown():
    "Markdown takes the stars of `2**bits` for bold, unless they stand between backticks."
    def outside(docstring): return re.sub(r"`[^`]*`|^    .*$", "", docstring, flags=re.M)
    report(f"{name}.{node.name}" for name, tree in modules().items() for node in ast.walk(tree)
           if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and "**" in outside(ast.get_docstring(node) or ""))


def test_american_spelling():
    lines = [f"{where}: {line}" for where, code in sources() if "_moved" not in where
             for line in code.replace("_", " ").splitlines()]
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "en-GB_to_en-US", "--stdin-single-line", "-"]
    said = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True)
    assert said.returncode in (0, 65), said.stderr
    found = [line.partition(": ") for line in said.stdout.splitlines()]
    report(f"{lines[int(n) - 1].split(':')[0]}: {word}" for n, _, word in found)


def test_prose_is_spelled():
    "As the hook before a commit spells it."
    paths = [path for kind in ("*.md", "*.ini", "*.py", "*.toml", "*.yml") for path in ROOT.glob(kind)]
    command = [sys.executable, "-m", "codespell_lib", *map(str, paths)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    report(said.stdout.splitlines())


def test_pages_have_names_of_their_own():
    "The number in front of a notebook's name is no part of its page's name."
    pages = Counter(re.sub(r"(^|/)\d+[a-z]?_", r"\1", name) for name in notebooks())
    report(name for name, count in pages.items() if count > 1)


def test_results_are_those_of_the_last_line():
    "A value stands below a cell only if the cell ends with it."
    def shows(cell): return any(output["output_type"] == "execute_result" for output in cell.get("outputs", []))
    def ends(cell): return isinstance(ast.parse(without_magics(cell["source"])).body[-1], ast.Expr)
    report(f"{name} {cell['id']}" for name, cells in notebooks().items() for cell in cells
           if shows(cell) and not ends(cell))


def test_cells_import_or_compute():
    "nbdev runs every cell that imports when it makes the site, and would run what else stands there."
    def has(tree, *kinds): return any(isinstance(node, kinds) for node in ast.walk(tree))
    def mixed(code):
        tree = ast.parse(re.sub(r"except ImportError: \w+ = None", "except ImportError: pass", without_magics(code)))
        return has(tree, ast.Import, ast.ImportFrom) and has(tree, ast.Expr, ast.Assign)
    apart = re.compile(r"^#\|\s*(export|eval: false)|nbdev_export\(", re.MULTILINE)  # slow ones are run, too
    report(f"{name} {cell['id']} both imports and computes" for name, cells in notebooks().items() for cell in cells
           if cell["cell_type"] == "code" and not apart.search(cell["source"]) and mixed(cell["source"]))


def test_pictures_have_alt_text():
    def picture(cell): return any(k.startswith("image/") for o in cell.get("outputs", []) for k in o.get("data", {}))
    said = re.compile(r"^#\|\s*(hide\b|include: false|output: false|fig-alt:\s*\S)", re.MULTILINE)
    report(f"{name} {cell['id']} shows a picture: say in `#| fig-alt: \"...\"` what is seen"
           for name, cells in notebooks().items() for cell in cells
           if picture(cell) and not said.search(cell["source"]))


def test_labels():
    "A name is of one figure or formula, references find theirs on their own page, no named figure is unmentioned."
    named = re.compile(r"\{#((?:fig|eq)-[\w-]+)|^#\| label: (fig-[\w-]+)", re.MULTILINE)
    book, offenders = {}, []
    for name, cells in notebooks().items():
        text = "\n".join(cell["source"] for cell in cells)
        labels = [one or other for one, other in named.findall(text)]
        asked = set(re.findall(r"(?<![\w`\[])@((?:fig|eq)-[\w-]+)", text))
        offenders += [f"{name}: @{label} has no label" for label in asked - {*labels}]
        offenders += [f"{name}: {label} is not spoken of" for label in {*labels} - asked if label.startswith("fig")]
        offenders += [f"{name}: {label} is also in {book[label]}" for label in labels if label in book]
        book |= dict.fromkeys(labels, name)
        offenders += [f"{name}: {label} is there twice" for label in {*labels} if labels.count(label) > 1]
    report(offenders)


def test_notebooks_are_light():
    sizes = {name: (ROOT / name).stat().st_size for name in notebooks()}
    report(f"{name}: {n:,} bytes of at most {EACH:,}" for name, n in sizes.items() if n > EACH)
    if sum(sizes.values()) > BYTES:
        largest = sorted(sizes.items(), key=lambda s: -s[1])[:5]
        report([f"{sum(sizes.values()):,} bytes of at most {BYTES:,}", *(f"{name}: {n:,}" for name, n in largest)])


def test_sidebar_is_complete():
    def listed(items): return [n for i in items for n in (listed(i["contents"]) if isinstance(i, dict) else [i])]
    site = yaml.safe_load((ROOT / "_quarto.yml").read_text("utf-8"))["website"]
    pages, there = listed(site["sidebar"]["contents"]), [name.removeprefix("nbs/") for name in notebooks()]
    report([*(f"{n} is missing from the sidebar of _quarto.yml" for n in there if n not in pages),
            *(f"_quarto.yml lists {n}, which is not there" for n in pages if n not in there),
            *(f"_quarto.yml lists {n} twice" for n in {p for p in pages if pages.count(p) > 1})])


def test_titles_say_the_number():
    "The text speaks of chapters by number, and a reader of the site does not see the names of files."
    for name, cells in notebooks().items():
        number = re.match(r"nbs/0*(\d+[a-z]?)_", name)
        if number and not cells[0]["source"].startswith(f"# {number[1]} "):
            report([f"{name}: its first line should be `# {number[1]} ...`, not `{cells[0]['source'][:40]}`"])


def test_mentioned_chapters_are_links():
    "`chapter 7` is a link to it, so that nobody has to look for it."
    mention = re.compile(r"(?<!\[)\bchapters? \[?(?:\d+[a-z]?)\b(?!\]\()")
    report(f"{name} {cell['id']}: {found[0]}" for name, cells in notebooks().items() for cell in cells
           if cell["cell_type"] == "markdown" for found in mention.finditer(cell["source"])
           if not re.search(r"\b(19|20)\d\d\)?, $", cell["source"][:found.start()])  # a chapter of somebody's book
           and cell["source"][:found.start()].count("```") % 2 == 0)


def test_chapters_run_in_colab():
    "After the title comes the cell that installs the library there, and does nothing elsewhere."
    report(f"{name}: its second cell should be that of 01_models" for name, cells in notebooks().items()
           if re.match(r"nbs/\d", name) and cells[1]["source"] != notebooks()["nbs/01_models.ipynb"][1]["source"]
           or "google.colab" not in notebooks()["nbs/01_models.ipynb"][1]["source"])


def test_fences_have_a_language():
    "Else the site shows them without a ground and a button to copy, and cuts what is long."
    def bare(source): return [m[0] for m in re.finditer(r"^ *```+(.*)$", source, re.M)][::2]
    report(f"{name} {cell['id']}: ``` without a language" for name, cells in notebooks().items() for cell in cells
           if cell["cell_type"] == "markdown" for fence in bare(cell["source"]) if not fence.strip(" `"))


def test_citations_are_in_the_bibliography():
    known = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "nbs" / "references.bib").read_text("utf-8"), re.M))
    cited = {(name, key) for name, cells in notebooks().items() for cell in cells
             if cell["cell_type"] == "markdown" for key in re.findall(r"\[@(\w+)", cell["source"])}
    report([*(f"{name} cites {key}, which references.bib has not" for name, key in sorted(cited) if key not in known),
            *(f"references.bib has {key}, which nobody cites" for key in sorted(known - {key for _, key in cited}))])


def test_site_and_settings_agree():
    from configparser import ConfigParser
    ini = ConfigParser(delimiters=["="])
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    cfg, site = ini["DEFAULT"], yaml.safe_load((ROOT / "_quarto.yml").read_text("utf-8"))["website"]
    expected = {"title": cfg["title"], "description": cfg["description"], "repo-url": cfg["git_url"],
                "repo-branch": cfg["branch"], "site-url": cfg["doc_host"] + cfg["doc_baseurl"]}
    report(f"_quarto.yml has {k}: {site.get(k)!r}, settings.ini has {v!r}" for k, v in expected.items()
           if site.get(k) != v)
    report(f"{card}: {path}" for card in ("open-graph", "twitter-card")
           if (path := site[card]["image"]) != f"/{site['image']}")
    assert Path(ROOT / "nbs" / site["image"]).is_file()
    assert site["page-footer"]["right"] == f"arq_nb {cfg['version']}"


def test_readme_has_no_dead_links():
    text = (ROOT / "README.md").read_text("utf-8")
    targets = re.findall(r'(?:\]\(|src="|href=")(?![a-z]+:|#)([^)"\s#]+)', text)
    report(f"README.md links to {target}, which is not there" for target in targets if not (ROOT / target).exists())


def test_lint():
    said = subprocess.run([sys.executable, "-m", "ruff", "check", "--output-format", "concise"], cwd=ROOT,
                          capture_output=True, text=True)
    report(said.stdout.splitlines() + said.stderr.splitlines() if said.returncode else [])
