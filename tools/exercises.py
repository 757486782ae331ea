"""The book without its answers: a twin of every chapter, with gaps to fill. `make exercises` makes them in _exercises/.

An answer is marked in one of three ways; the first is nbgrader's, whose own tools therefore understand it, too:

- code between `### BEGIN SOLUTION` and `### END SOLUTION`, below a comment `# YOUR CODE: what is to be done`. In the
  twin an error that says what is to be done takes its place. What follows in the cell checks it, and stays;
- a whole code cell that begins with `# Solution 2: ...`;
- text between `<details>` and `</details>`.

Other cells that are folded in the book keep their code and lose their output: guess first, then run them.
"""
import copy
import json
import re
import sys
from pathlib import Path

GAP = re.compile(r"^( *)# YOUR CODE: ([^\n]+(?:\n *# [^\n]+)*)\n *### BEGIN SOLUTION\n.*?\n *### END SOLUTION$",
                 re.MULTILINE | re.DOTALL)
WHOLE = re.compile(r"\A(?:#\|[^\n]*\n)*# Solution(s? [\d, and]*\d)?\b")
TEXT = re.compile(r"<details>.*?</details>", re.DOTALL)
LEFT_OVER = {"code": re.compile(r"^ *### (?:BEGIN|END) SOLUTION", re.MULTILINE), "markdown": re.compile("</?details")}
FOLDED = re.compile(r"^#\|\s*code-fold: true\n", re.MULTILINE)


def gap(answer: re.Match) -> str:
    "The lines that stand in a twin where an answer was."
    indent, task = answer[1], " ".join(line.strip(" #") for line in answer[2].splitlines())
    return f"{indent}# YOUR CODE: {answer[2]}\n{indent}raise NotImplementedError({json.dumps(f'YOUR CODE: {task}')})"


def without_answer(source: str, kind: str) -> str:
    "The source of a cell with gaps in place of answers; `ValueError` if a mark lacks its other half or its task."
    if kind == "code" and (whole := WHOLE.match(source)): return f"# YOUR CODE: exercise{whole[1] or ''}"
    made = FOLDED.sub("", GAP.sub(gap, source)) if kind == "code" else TEXT.sub("*Your answer:*", source)
    if kind in LEFT_OVER and LEFT_OVER[kind].search(made):
        raise ValueError(f"an answer without its beginning, its end or its task:\n{source}")
    return made


def twin(notebook: dict) -> dict:
    "A copy of a notebook without its answers, and without the last cell, which exports a module."
    made = copy.deepcopy(notebook)
    made["cells"] = [c for c in made["cells"] if "nbdev.nbdev_export()" not in "".join(c["source"])]
    for cell in made["cells"]:
        old = "".join(cell["source"])
        new = without_answer(old, cell["cell_type"])
        if cell["cell_type"] == "code" and new != old: cell["outputs"] = []
        new = new.replace("](experiments/", "](../nbs/experiments/") if cell["cell_type"] == "markdown" else new
        cell["source"] = new.splitlines(keepends=True)
    return made


def gaps(notebook: dict) -> list[dict]:
    "The cells of a notebook that its readers complete."
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and GAP.search("".join(c["source"]))]


def write(book: Path, folder: Path) -> str:
    "Twins of the chapters of a book. A file that is there already, with somebody's answers, is left alone."
    folder.mkdir(parents=True, exist_ok=True)
    made, kept, count = 0, 0, 0
    for path in sorted(book.glob("*.ipynb")):
        if path.name == "index.ipynb": continue
        notebook, target = json.loads(path.read_text("utf-8")), folder / path.name
        text = json.dumps(twin(notebook), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        count += len(gaps(notebook))
        if target.exists(): kept += 1
        else:
            target.write_text(text, "utf-8")
            made += 1
    return f"{made} chapters written to {folder}, {kept} that were there left as they are; {count} gaps to fill"


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    print(write(root / "nbs", Path(sys.argv[1]) if len(sys.argv) > 1 else root / "_exercises"))
