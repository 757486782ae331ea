"Twins without answers: `make exercises`."
import json
import re
import sys

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
