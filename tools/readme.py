"README.md from nbs/index.ipynb, as nbdev_readme would make it, without Quarto. Run in the repository."
import re

from execnb.nbio import nb2str
from nbconvert import MarkdownExporter
from nbdev.config import get_config
from nbdev.process import NBProcessor
from nbdev.processors import clean_magics, filter_stream_, hide_, hide_line, rm_export, strip_ansi
from nbformat import reads

IMAGES = "nbs/images"
_OPTION = re.compile(r"^#\|\s*([\w-]+):\s*(.*?)\s*$", re.M)
_LINK = re.compile(r'(\]\(|src="|href=")(?![a-z]+:|#|/)([^)"\s]+)')


def apply_options(cells):
    "What Quarto does with `#| echo: false` and its like: hide. What is said of figures goes into the metadata."
    for cell in cells:
        if cell.cell_type != "code": continue
        options = {name: said.strip("\"'") for name, said in _OPTION.findall(cell.source)}
        cell.source = _OPTION.sub("", cell.source).strip("\n")
        if "false" in (options.get("output"), options.get("include")): cell.outputs = []
        hidden = not cell.source or "false" in (options.get("echo"), options.get("include"))
        folded = options.get("code-fold") == "true"
        figure = {"alt": options.get("fig-alt", ""), "caption": options.get("fig-cap"), "label": options.get("label")}
        cell.metadata = figure | {"fold": folded and options.get("code-summary", "Code"),
                                  "transient": {"remove_source": hidden}}


def from_root(text):
    "Relative links of a notebook in nbs/, seen from the repository's root."
    return _LINK.sub(lambda m: m[1] + (m[2][3:] if m[2].startswith("../") else f"nbs/{m[2]}"), text)


def readme(notebook):
    "(markdown, {path: picture})"
    procs = [strip_ansi, hide_line, filter_stream_, rm_export, clean_magics, hide_]
    nb = reads(nb2str(NBProcessor(notebook, procs, process=True).nb), as_version=4)
    nb.metadata["language_info"] = {"name": "python"}
    apply_options(nb.cells)
    for cell in nb.cells:
        if cell.cell_type == "markdown": cell.source = from_root(cell.source)
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/markdown" in data: data["text/markdown"] = from_root(data["text/markdown"])
    where = {"unique_key": "readme", "output_files_dir": IMAGES}
    text, resources = MarkdownExporter().from_notebook_node(nb, where)
    for i, cell in enumerate(nb.cells):
        picture = rf"!\[\w*\]\(({IMAGES}/readme_{i}_)"
        if cell.metadata.get("alt"): text = re.sub(picture, rf"![{cell.metadata['alt']}](\1", text)
    text = re.sub(r"\n(\s*\n){2,}", "\n\n", text).strip()
    return f"<!-- Made from nbs/index.ipynb by `make readme`: edit the notebook. -->\n\n{text}\n", resources["outputs"]


if __name__ == "__main__":
    cfg = get_config()
    text, pictures = readme(cfg.nbs_path / cfg.readme_nb)
    for old in (cfg.config_path / IMAGES).glob("readme_*"): old.unlink()
    for path, picture in pictures.items():
        (cfg.config_path / path).parent.mkdir(parents=True, exist_ok=True)
        (cfg.config_path / path).write_bytes(picture)
    (cfg.config_path / "README.md").write_text(text, encoding="utf-8")
