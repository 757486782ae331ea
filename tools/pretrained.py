"""Make the networks that ship with the package from run folders of `arq train`.

    python tools/pretrained.py "published ResNet-20, trained without noise" runs/n0.25 runs/n0.5 runs/n1.0

The first argument says what the first network was started from; each further one started from the one before it.
Writes arq_nb/pretrained/MODEL-DATA-sigmaS.safetensors and a .json record of how it was trained.
"""
import json, sys
from pathlib import Path

import torch
from safetensors import safe_open
from arq_nb.cli import Run, load_float, load_images
from arq_nb.experiments import provenance, EXPERIMENTS
from arq_nb.models import save_weights
from arq_nb.training import evaluate

DEST = Path(__file__).resolve().parents[1] / "arq_nb" / "pretrained"


def ship(folder: Path, start: str):
    "One network; its name without an ending."
    run = Run.load(folder)
    train, holdout, test = load_images(run, folder)
    model = load_float(run, folder, train)
    with safe_open(folder / "training.safetensors", "pt") as f: about = f.metadata()
    settings, history = json.loads(about["settings"]), json.loads(about["history"])
    if len(history) != settings["epochs"]: raise SystemExit(f"{folder}: {len(history)} of {settings['epochs']} epochs are done")
    name = f"{run.model}-{run.data}-sigma{run.sigma:g}"
    save_weights(model.to(memory_format=torch.contiguous_format), DEST / f"{name}.safetensors")
    (DEST / f"{name}.safetensors").chmod(0o644)
    made = {k: v for k, v in provenance(EXPERIMENTS["cifar10_resnet20"], EXPERIMENTS["cifar10_resnet20"].preset("cpu"), run.seed, run.device).items() if k not in ("experiment", "preset", "processor", "device")}
    record = {"model": run.model, "start": start, "images": train.name, "held_out": f"{holdout.name} (seed {run.seed})", "settings": settings,
              "history": [{**row, "loss": round(row["loss"], 4), "accuracy": round(row["accuracy"], 4)} for row in history],
              "accuracy": {"held-out training images, clean": evaluate(model, holdout), "held-out training images, noisy": evaluate(model, holdout, run.sigma),
                           "test images, clean": evaluate(model, test), "test images, noisy": evaluate(model, test, run.sigma), "test images": test.name}, "written_by": made}
    (DEST / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(name, json.dumps(record["accuracy"]))
    return name


if __name__ == "__main__":
    start = sys.argv[1]
    for folder in sys.argv[2:]: start = ship(Path(folder), start)
