"Exercises: what every chapter has, and twins without answers, `make exercises`."
import ast
import json
import re
import sys
from collections import Counter
from functools import cache

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
from exercises import gaps, twin, write  # noqa: E402

CODE = '''#| code-fold: true
# Exercise 1: twice as much
def double(x):
    # YOUR CODE: give back twice `x`,
    # whatever it is
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

assert double(2) == 4, "2 doubled is 4"
'''
TASK = "YOUR CODE: give back twice `x`, whatever it is"


def cell(source, kind="code", **more):
    if kind == "code": more = {"outputs": [{"output_type": "stream", "name": "stdout", "text": ["4\n"]}], **more}
    return {"cell_type": kind, "id": "0", "metadata": {}, "source": source.splitlines(keepends=True), **more}


def source_of(cell) -> str: return "".join(cell["source"])


def test_gap_says_what_is_to_be_done_until_it_is_filled():
    notebook = {"cells": [cell(CODE)]}
    made = twin(notebook)["cells"][0]
    assert made["outputs"] == []
    assert "code-fold" not in source_of(made)
    assert "2 * x" not in source_of(made)
    with pytest.raises(NotImplementedError, match=TASK): exec(source_of(made), {})
    exec(CODE, {})
    with pytest.raises(AssertionError, match="2 doubled is 4"): exec(CODE.replace("2 * x", "x"), {})
    assert source_of(notebook["cells"][0]) == CODE


def test_other_answers():
    cells = [cell("#| code-fold: true\n# Solution 2: of course\nx = 1"), cell("#| code-fold: true\nprint(4)"),
             cell("print(4)"), cell("Why?\n\n<details><summary>Answer</summary>\n\nSo.\n\n</details>\n", "markdown"),
             cell("import nbdev; nbdev.nbdev_export()")]
    whole, folded, shown, text = twin({"cells": cells})["cells"]
    assert source_of(whole) == "# YOUR CODE: exercise 2"
    assert (source_of(folded), folded["outputs"]) == ("print(4)", [])
    assert len(shown["outputs"]) == 1
    assert source_of(text) == "Why?\n\n*Your answer:*\n"


@pytest.mark.parametrize("broken", [CODE.replace("    ### END SOLUTION\n", ""), CODE.replace("# YOUR CODE: ", "# ")])
def test_half_a_mark_is_refused(broken):
    with pytest.raises(ValueError, match="an answer without"): twin({"cells": [cell(broken)]})


@cache
def chapters() -> dict[str, list[dict]]:
    "01 -> its cells, for every chapter that can have exercises."
    paths = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
    books = {p.name.split("_")[0]: json.loads(p.read_text("utf-8"))["cells"] for p in paths}
    return {number: cells for number, cells in books.items() if number not in ("00a", "97", "98")}


def asked(cells) -> dict[int, str]:
    "Number -> what an exercise asks for: gap, pencil, guess or change (several in one where a text says so)."
    text = "\n".join(source_of(c) for c in cells if c["cell_type"] == "markdown").partition("## Exercises")[2]
    kinds = {"Fill the gap": "gap", "fill the gap": "gap", "With a pencil": "pencil", "Guess before you run": "guess",
             "What changes if": "change"}
    found = re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)
    return {int(n): " ".join(kind for words, kind in kinds.items() if words in said) for n, said in found
            if said.startswith("**")}


def test_every_chapter_has_exercises():
    "Two gaps, a question for a pencil and a guess; in the machinery (25 and further) a gap and a question."
    missing = []
    for number, cells in chapters().items():
        count = Counter(" ".join(asked(cells).values()).split())
        gaps_ = sum(source_of(c).count("### BEGIN SOLUTION") for c in cells)
        machinery = int(re.match(r"\d+", number)[0]) >= 25
        enough = gaps_ and count["pencil"] + count["guess"] if machinery else \
            gaps_ >= 2 and count["pencil"] and count["guess"]
        if not enough: missing.append((number, gaps_, dict(count)))
    assert missing == []


def test_every_exercise_has_its_answer():
    "In a cell of its number, or in a text that is folded; and no answer lacks its question."
    wrong = []
    for number, cells in chapters().items():
        text = "\n".join(source_of(c) for c in cells if c["cell_type"] == "markdown")
        code = {int(n): source_of(c) for c in cells if c["cell_type"] == "code"
                for heads in re.findall(r"^# (?:Exercise|Solution)s? ([\d, and]*\d)", source_of(c), re.MULTILINE)
                for n in re.findall(r"\d+", heads)}
        for n, kinds in asked(cells).items():
            if "gap" in kinds and "### BEGIN SOLUTION" not in code.get(n, ""): wrong.append((number, n, "no gap"))
            if n not in code and f"<summary>Answer {n}</summary>" not in text: wrong.append((number, n, "no answer"))
        wrong += [(number, n, "not asked for") for n in code if n not in asked(cells)]
    assert wrong == []


def test_every_gap_says_what_is_wrong():
    "Behind an answer stand assertions with a sentence."
    silent = []
    for number, cells in chapters().items():
        for c in gaps({"cells": cells}):
            checks = [node for node in ast.walk(ast.parse(source_of(c))) if isinstance(node, ast.Assert)]
            if not any(node.msg for node in checks): silent.append((number, c["id"]))
    assert silent == []


def test_twins_of_the_book(tmp_path):
    said = write(ROOT / "nbs", tmp_path)
    made = {p.name: p.read_text("utf-8") for p in tmp_path.glob("*.ipynb")}
    assert len(made) == len(list((ROOT / "nbs").glob("*.ipynb"))) - 1
    answer = re.compile(r"^ *(### BEGIN SOLUTION|# Solution|<details>)", re.MULTILINE)
    left = [(name, c["id"]) for name, text in made.items() for c in json.loads(text)["cells"]
            if answer.search(source_of(c))]
    assert left == []
    assert "0 that were there" in said
    (tmp_path / "01a_bounds.ipynb").write_text("{}")
    assert f"{len(made)} that were there left as they are" in write(ROOT / "nbs", tmp_path)
    assert (tmp_path / "01a_bounds.ipynb").read_text() == "{}"


def test_a_chapter_from_its_gaps_to_its_end():
    "Each gap of chapter 1a raises its task; filled with the book's answer it passes, and so does what follows."
    shell = pytest.importorskip("execnb.shell").CaptureShell()
    chapter = json.loads((ROOT / "nbs" / "01a_bounds.ipynb").read_text("utf-8"))
    answers = {c["id"]: source_of(c) for c in gaps(chapter)}
    assert len(answers) == 2
    for made in twin(chapter)["cells"]:
        if made["cell_type"] != "code": continue
        shell.run(source_of(made))
        if made["id"] not in answers:
            assert shell.exc is None, f"{made['id']}: {shell.exc}"
            continue
        assert isinstance(shell.exc, NotImplementedError)
        assert str(shell.exc).startswith("YOUR CODE: ")
        shell.run(answers[made["id"]])
        assert shell.exc is None, f"{made['id']}: {shell.exc}"
