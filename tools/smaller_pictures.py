"""Pictures in the notebooks' outputs with 256 colors, where that makes them smaller: nobody sees it, and git does.

    python tools/smaller_pictures.py nbs/*.ipynb nbs/experiments/*.ipynb
"""
import base64
import io
import json
import sys
from pathlib import Path

from PIL import Image

WORTH = 25_000   # characters from which on a picture is looked at


def smaller(png: str) -> str:
    "The same picture with a palette, unless it is not smaller."
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P": return png
    out = io.BytesIO()
    image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=True)
    found = base64.b64encode(out.getvalue()).decode()
    return found if len(found) < 0.8 * len(png) else png


def shrink(path: Path) -> int:  # characters saved
    "All pictures of a notebook."
    text = path.read_text()
    notebook, saved = json.loads(text), 0
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png", "")
            png = "".join(png)
            if len(png) < WORTH: continue
            found = smaller(png.strip()) + ("\n" if png.endswith("\n") else "")
            saved += len(png) - len(found)
            output["data"]["image/png"] = found
    if saved: path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return saved


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        if saved := shrink(path): print(f"{saved:9,d} {path}")
