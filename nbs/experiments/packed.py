"""A finished study as one file: what its tables and pictures are made of, with the provenance of every network.

A study's folder holds weights and checkpoints, a hundred times as much as anybody reads again. `pack` writes the
certificates, the policies, the facts and what each network was made with; `unpack` gives them back as
`arq_nb.lab.tables.Measured`, for the same tables and pictures as the study itself.

    python nbs/experiments/packed.py nbs/experiments/headroom.py:study:resnet20:3 runs/headroom \\
        nbs/experiments/results/headroom/resnet20-3.json

A long study can be made in pieces on several machines: what the file has and the folder has not stays in it, and
`rest` instead of `study` leaves out what the file has.
"""
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from arq_nb.certify.logs import CertificateLog
from arq_nb.core.record import write_atomically
from arq_nb.lab.study import load_study, Place, Stage
from arq_nb.lab.tables import Measured

RESULTS = Path(__file__).parent / "results"


def _search(found: dict) -> dict:
    "What was judged, handed in and spent in a search; empty for a policy that was calculated, and for a float network."
    if not found.get("history") or "search_seconds" not in found: return {}
    history = [[row["policy"], row["acr"], row["accuracy"], round(row["seconds"], 1)] for row in found["history"]]
    return {"search": {"history": history, "finalists": found.get("finalists", []),
                       "seconds": found["search_seconds"], "commit": found["provenance"]["commit"]}}


def _network(stage: Stage, place: Place) -> dict | None:
    "A finished network as plain data; None if it is not finished."
    if (found := place.result()) is None: return None
    one, chosen = stage.measured(place), place.of(stage.chosen)
    log = one.log
    radii = (np.floor(log.radius * 1e4) / 1e4).tolist()   # rounded, but never to more than is proven
    return {"method": one.method, "seed": one.seed, "facts": one.facts, "policy": stage.chosen.policy(chosen).text,
            "images": stage.test(place).name, "idx": log.idx.tolist(), "label": log.label.tolist(),
            "predict": log.predict.tolist(), "radius": radii,
            "settings": found["settings"], "provenance": found["provenance"], **_search(chosen.result() or {})}


def _key(one: dict) -> tuple[str, int]: return one["method"], one["seed"]


def _joined(stages: Sequence[Stage], made: Sequence[dict], before: Sequence[dict]) -> list[dict]:
    "Networks just made and those of an earlier file, in the order of the study; `ValueError` for other settings."
    every, planned = {_key(one): one for one in (*before, *made)}, {(s.method, s.seed): s.noted for s in stages}
    other = [f"{method} {seed}" for (method, seed), one in every.items()
             if one["settings"] != planned.get((method, seed), one["settings"])]
    if other: raise ValueError(f"made with other settings than this study's: {', '.join(other)}; take another file")
    return [every[key] for key in dict.fromkeys([*planned, *every]) if key in every]


def pack(stages: Sequence[Stage], folder: str | Path, path: str | Path) -> int:  # networks in the file
    """Write what is finished of a study to one file; what that file has already and the folder has not stays.

    `ValueError` for a network that was made from uncommitted code, or with other settings than the study's."""
    path = Path(path)
    made = [one for stage in stages if (one := _network(stage, Place(folder, stage))) is not None]
    networks = _joined(stages, made, json.loads(path.read_text()) if path.exists() else [])
    dirty = [f"{one['method']} {one['seed']}" for one in networks if one["provenance"]["commit"].endswith("-dirty")]
    if dirty: raise ValueError(f"made from uncommitted code: {', '.join(dirty)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda p: p.write_text("[\n" + ",\n".join(map(json.dumps, networks)) + "\n]\n"))
    return len(networks)


def is_packed(name: str) -> bool: return (RESULTS / f"{name}.json").exists()


def rows(name: str) -> list[dict]:  # of `results/NAME.json`
    "The networks of a packed study as plain data."
    return json.loads((RESULTS / f"{name}.json").read_text())


def packed_networks(name: str) -> set[tuple[str, int]]:  # (method, seed)
    "The networks of a packed study; none if it is not there."
    return {_key(row) for row in rows(name)} if is_packed(name) else set()


def not_packed(stages: Sequence[Stage], name: str) -> list[Stage]:
    "The stages of a study whose networks nobody has packed yet."
    have = packed_networks(name)
    return [stage for stage in stages if (stage.method, stage.seed) not in have]


def unpack(name: str) -> list[Measured]:
    "The networks of a packed study."
    found = []
    for one in rows(name):
        idx, label, predict, radius = (np.array(one[k]) for k in ("idx", "label", "predict", "radius"))
        log = CertificateLog(idx, label, predict, radius, (predict == label).astype(int), np.full(len(idx), np.nan))
        made = {key: one["provenance"][key] for key in ("commit", "device")}
        facts = one["facts"] | {"policy": one["policy"]} | made
        found.append(Measured(one["method"], one["seed"], log, facts))
    return found


if __name__ == "__main__":
    study, folder, target = sys.argv[1:]
    print(pack(load_study(study), folder, target), "networks in", target)
