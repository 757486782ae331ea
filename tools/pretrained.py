"""Make the networks that ship with the package from run folders of `arq-nb train`.

    python tools/pretrained.py "published ResNet-20, trained without noise" runs/n0.25 runs/n0.5 runs/n1.0

The first argument says what the first network was started from; each further one started from the one before it.
Writes arq_nb/pretrained/MODEL-DATA-sigmaS.safetensors and a .json record of how it was trained.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open

from arq_nb.lab.runs import Run
from arq_nb.lab.study import provenance
from arq_nb.quant.models import save_weights
from arq_nb.train.training import evaluate

DEST = Path(__file__).resolve().parents[1] / "arq_nb" / "pretrained"


def ship(folder: Path, start: str) -> str:
    "One network; its name without an ending."
    run = Run.load(folder)
    train, holdout, test = run.images(folder)
    model = run.trained(folder, len(train.classes))
    with safe_open(folder / "training.safetensors", "pt") as f: about = f.metadata()
    settings, history = json.loads(about["settings"]), json.loads(about["history"])
    if len(history) != settings["epochs"]:
        raise SystemExit(f"{folder}: {len(history)} of {settings['epochs']} epochs are done")
    # before anything is written, which would make the checkout differ from its commit
    made = {key: value for key, value in provenance(run.device).items() if key in ("commit", "versions", "utc")}
    name = f"{run.model}-{run.data}-sigma{run.sigma:g}"
    save_weights(model.to(memory_format=torch.contiguous_format), DEST / f"{name}.safetensors")
    (DEST / f"{name}.safetensors").chmod(0o644)
    accuracy = {f"{what}, {how}": evaluate(model, images, *noise)
                for what, images in (("held-out training images", holdout), ("test images", test))
                for how, noise in (("clean", ()), ("noisy", (run.sigma,)))}
    rounded = [{**row, "loss": round(row["loss"], 4), "accuracy": round(row["accuracy"], 4)} for row in history]
    record = {"model": run.model, "start": start, "images": train.name, "held_out": f"{holdout.name} (seed {run.seed})",
              "settings": settings, "history": rounded, "accuracy": {**accuracy, "test images": test.name},
              "written_by": {"seed": run.seed, **made}}
    (DEST / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(name, json.dumps(record["accuracy"]))
    return name


if __name__ == "__main__":
    start = sys.argv[1]
    for folder in sys.argv[2:]: start = ship(Path(folder), start)
