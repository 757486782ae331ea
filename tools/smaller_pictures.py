"""Outputs of the notebooks without what nobody misses, since git keeps every byte for good.

Pictures get the fewest colors that cannot be told from theirs, a third of the bytes. A table that is there as HTML is
not kept as text once more, nor with a style of its own.

    python tools/smaller_pictures.py nbs/*.ipynb nbs/experiments/*.ipynb
"""
import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

WORTH = 2_000  # characters from which on a picture is looked at
UNSEEN = 1.2   # root mean square of the change, in steps of 1/255


def smaller(png: str) -> str:
    "The same picture with the smallest palette that cannot be told from it, unless that is not smaller."
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P": return png  # has been here before: a second time would add up
    image = image.convert("RGB")
    for colors in (16, 32, 64, 128, 256):
        found = image.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
        change = np.subtract(found.convert("RGB"), image, dtype=float)
        if np.sqrt(np.mean(change ** 2)) <= UNSEEN: break
    found.save(out := io.BytesIO(), "PNG", optimize=True)
    return min(png, base64.b64encode(out.getvalue()).decode(), key=len)


def shrink(path: Path) -> int:  # characters saved
    "All pictures and tables of a notebook."
    text = path.read_text("utf-8")
    notebook, saved = json.loads(text), 0
    for data in (output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if "text/html" in data:
            html = "".join(data["text/html"])
            data["text/html"] = re.sub(r"(?s)<style scoped>.*?</style>\n?", "", html).splitlines(keepends=True)
            saved += len(html) - len("".join(data["text/html"])) + len("".join(data.pop("text/plain", "")))
        png = "".join(data.get("image/png", ""))
        if len(png) < WORTH: continue
        data["image/png"] = smaller(png.strip()) + ("\n" if png.endswith("\n") else "")
        saved += len(png) - len(data["image/png"])
    if saved: path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    return saved


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        if saved := shrink(path): print(f"{saved:9,d} {path}")
