"""Outputs of the notebooks without what nobody misses, since git keeps every byte for good.

Photographs get the fewest colors that cannot be told from theirs, drawings a palette of grays and a few colors: a third
of the bytes. A table that is there as HTML is not kept as text once more, has no style of its own, and no line for each
of its cells.

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
GRAYS, COLORS = 10, 12  # of a drawing, beside those that it has most of


def photograph(image: Image.Image) -> Image.Image:
    "With the smallest palette that cannot be told from it."
    for colors in (16, 32, 64, 128, 256):
        found = image.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
        change = np.subtract(found.convert("RGB"), image, dtype=float)
        if np.sqrt(np.mean(change ** 2)) <= UNSEEN: break
    return found


def frequent(pixels: np.ndarray, most: int, least: int) -> list[tuple[int, ...]]:
    "The colors that stand in most pixels, and in not too few."
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    return [tuple(colors[i].tolist()) for i in np.argsort(-counts)[:most] if counts[i] > least]


def drawing(image: Image.Image, colored: np.ndarray) -> Image.Image:
    "With grays at equal distances and a few colors; rare colors, such as that of one line, stay what they are."
    pixels = np.asarray(image).reshape(-1, 3)
    plain, vivid = pixels[~colored], pixels[colored]
    palette = [(level,) * 3 for level in np.linspace(0, 255, GRAYS).round().astype(int).tolist()]
    palette += frequent(plain, 4, 200) + frequent(vivid, 6, 60)
    if len(vivid):
        few = Image.fromarray(vivid[None]).quantize(COLORS, method=Image.Quantize.MAXCOVERAGE)
        palette += [tuple(color) for color in np.reshape(few.getpalette(), (-1, 3)).tolist()]
    palette = np.array([*dict.fromkeys(palette)])
    colors, place = np.unique(pixels, axis=0, return_inverse=True)
    nearest = ((colors[:, None].astype(float) - palette) ** 2).sum(-1).argmin(1)
    used, index = np.unique(nearest[place.ravel()], return_inverse=True)
    found = Image.fromarray(index.reshape(image.height, image.width).astype(np.uint8), "P")
    found.putpalette(palette[used].astype(np.uint8).ravel().tolist())
    return found


def smaller(png: str) -> str:
    "The same picture with a small palette, unless that is not smaller."
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P": return png  # has been here before: a second time would add up
    image = image.convert("RGB")
    colored = np.ptp(np.asarray(image).reshape(-1, 3).astype(int), axis=1) > 20
    found = photograph(image) if colored.mean() > 1 / 3 else drawing(image, colored)
    found.save(out := io.BytesIO(), "PNG", optimize=True)
    return min(png, base64.b64encode(out.getvalue()).decode(), key=len)


def shrink(path: Path) -> int:  # characters saved
    "All pictures and tables of a notebook."
    text = path.read_text("utf-8")
    notebook, saved = json.loads(text), 0
    for data in (output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if "text/html" in data:
            html = "".join(data["text/html"])
            plain = re.sub(r"(?s)<style scoped>.*?</style>\n?", "", html)
            data["text/html"] = re.sub(r">\s+<", "><", plain).splitlines(keepends=True)   # no spaces between cells
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
