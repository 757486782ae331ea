"""Measured networks of an experiment, from the results in `results/` or from a study that was just run.

`results/EXPERIMENT/PRESET/sigmaS[/Bbit]/METHOD/seedN` was written by version 0.1: `record.json` and `certificates.tsv`
of a finished network, `policy.json` and `search.json` of the choice of its bits; each says with which settings, commit,
versions and processor it was made. Both kinds of results become the same list of `arq_nb.lab.tables.Measured`.

Of the 555 files 83 were made from uncommitted code: tables call their networks so, and nothing is compared with them.
"""
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from presets import AGENTS, Experiment, EXPERIMENTS, Preset, SEARCHES, Stages

from arq_nb.certify.logs import read_log
from arq_nb.core.record import check_same, plain
from arq_nb.lab.stages import FinishStage
from arq_nb.lab.study import measured, Place, refuse_uncommitted, run
from arq_nb.lab.tables import mark_uncommitted, Measured, UNCOMMITTED
from arq_nb.quant.policies import Policy

RESULTS = Path(__file__).parent / "results"
FILES = {"train": "network.json", "aware": "aware.json", "policy": "search.json", "finish": "record.json"}
FACTS = "bitops_fraction", "size_bytes"

TRAINED_WITH = "pool", "size", "max_images", "start"  # what a float network depends on, besides its training
AWARE_WITH = *TRAINED_WITH, "cost", "aware_epochs", "aware_lr"
FINISHED_WITH = "aware_epochs", "aware_lr", "finish_images", "finish", "test_images"


def noted(preset: Preset, kind: str, method: str | None) -> dict:
    "The settings in a stored file that this preset has made, under the names of version 0.1."
    every = {f.name: getattr(preset, f.name) for f in fields(preset)}
    search = preset.search.flat()
    if method not in AGENTS: search = {k: v for k, v in search.items() if k not in ("agent", "change", "candidates")}
    every |= {"search": search, "finish": vars(preset.finish.recipe) | vars(preset.finish.certify)}
    unused = {"name", "plan", "methods", "training"}
    if method != "arq": unused |= {"starts", "finals_with"}
    if method not in SEARCHES: unused.add("finalists")
    if kind == "policy" and not preset.has_finals(method): unused |= {*FINISHED_WITH}
    used = {"train": TRAINED_WITH, "aware": AWARE_WITH}.get(kind, every.keys() - unused)
    return plain({k: v for k, v in every.items() if k in used})


@dataclass(frozen=True)
class Cell:
    "One piece of a stored experiment."
    kind: str                 # "train", "aware", "policy" or "finish"
    sigma: float
    bits: int | None = None   # equivalent bits of the budget; None for the float network
    method: str | None = None
    seed: int | None = None

    @property
    def folder(self) -> str:
        "Where its files are, below the preset's folder."
        budget = [] if self.bits is None else [f"{self.bits}bit"]
        return "/".join([f"sigma{self.sigma:g}", *budget, *([self.method, f"seed{self.seed}"] if self.method else [])])

    @property
    def file(self) -> str: return f"{self.folder}/{FILES[self.kind]}"

    def __str__(self) -> str: return f"{self.folder}/{self.kind}"


@dataclass(frozen=True)
class Outcome:
    "An experiment with a preset: what its tables and pictures are made of."
    experiment: Experiment
    preset: Preset

    @property
    def stages(self) -> list: return Stages(self.experiment, self.preset).all()

    @property
    def keys(self) -> list[tuple]:
        "(sigma, bits, method, seed) of all planned networks."
        return [(s.float_stage.sigma, getattr(s.chosen, "bits", None), s.method, s.seed) for s in self.stages]

    def logs(self, sigma: float, bits: int, method: str) -> dict:
        "seed -> certificates; only what was measured, and from committed code."
        some = [n for n in self.networks if n.facts["sigma"] == sigma and n.method == method]
        known = [n for n in some if n.log is not None and UNCOMMITTED not in n.facts]
        return {n.seed: n.log for n in known if n.facts["bits"] in (None, bits)}


@dataclass(frozen=True)
class Stored(Outcome):
    "What is there in `results/`."
    results: Path = RESULTS

    @property
    def folder(self) -> Path: return Path(self.results) / self.experiment.name / self.preset.name

    def read(self, cell: Cell) -> dict | None:
        "A stored file; None if it is not there, `ValueError` if it was made with other settings than the preset's."
        path = self.folder / cell.file
        if not path.exists(): return None
        found = json.loads(path.read_text())
        check_same(path, found["settings"], noted(self.preset, cell.kind, cell.method), "mend the preset", reading=True)
        return found

    @property
    def cells(self) -> list[Cell]:
        "All pieces that the preset plans."
        found = []
        for sigma, bits, method, seed in self.keys:
            aware = [Cell("aware", sigma, bits)] if self.preset.aware_epochs else []
            kinds = ["finish"] if method == "float32" else ["policy", "finish"]
            found += [Cell("train", sigma), *aware, *(Cell(kind, sigma, bits, method, seed) for kind in kinds)]
        return list(dict.fromkeys(found))

    def missing(self) -> list[Cell]:
        "What the preset plans and nobody has made."
        return [cell for cell in self.cells if self.read(cell) is None]

    def _network(self, cell: Cell) -> Measured:
        about = {"sigma": cell.sigma, "bits": cell.bits}
        if (record := self.read(cell)) is None: return Measured(cell.method, cell.seed, facts=about)
        search = self.read(replace(cell, kind="policy")) or {"seconds": 0.0, "evaluations": 0}
        facts = {name: record[name] for name in FACTS} | {"evaluations": search["evaluations"]}
        facts |= {"search_seconds": search["seconds"], "seconds": record["train_seconds"] + record["certify_seconds"]}
        log = read_log(self.folder / cell.folder / "certificates.tsv")
        commits = [made["provenance"]["commit"] for made in (record, search) if "provenance" in made]
        return mark_uncommitted(Measured(cell.method, cell.seed, log, about | facts), commits)

    @cached_property
    def networks(self) -> list[Measured]:
        "A line for each planned network; without numbers if it was not measured."
        return [self._network(Cell("finish", *key)) for key in self.keys]

    def record(self, sigma: float, bits: int | None, method: str, seed: int = 0) -> dict | None:
        "What is noted of a finished network."
        return self.read(Cell("finish", sigma, bits, method, seed))

    def search(self, sigma: float, bits: int, method: str, seed: int = 0) -> dict | None:
        "What is noted of the choice of bits."
        return self.read(Cell("policy", sigma, bits, method, seed))

    def policy(self, sigma: float, bits: int, method: str, seed: int = 0) -> Policy | None:
        "The policy that a method chose."
        path = self.folder / Cell("policy", sigma, bits, method, seed).folder / "policy.json"
        return Policy.load(path) if path.exists() else None


@dataclass(frozen=True)
class Made(Outcome):
    "What a study has made in a folder."
    root: Path

    def run(self, methods: tuple[str, ...] = (), uncommitted: bool = False, **how: object) -> list:
        "Make what is missing; `how` is for `arq_nb.lab.study.run`. Uncommitted code is refused unless it is asked for."
        refuse_uncommitted(uncommitted)
        return run([s for s in self.stages if not methods or s.method in methods], self.root, **how)

    @property
    def networks(self) -> list[Measured]: return measured(self.stages, self.root)

    def stage(self, sigma: float, bits: int | None, method: str, seed: int) -> FinishStage:
        "The stage of a finished network."
        return next(s for s, key in zip(self.stages, self.keys) if key == (sigma, bits, method, seed))

    def record(self, sigma: float, bits: int | None, method: str, seed: int = 0) -> dict | None:
        return Place(self.root, self.stage(sigma, bits, method, seed)).result()

    def search(self, sigma: float, bits: int, method: str, seed: int = 0) -> dict | None:
        return Place(self.root, self.stage(sigma, bits, method, seed).chosen).result()

    def policy(self, sigma: float, bits: int, method: str, seed: int = 0) -> Policy | None:
        stage = self.stage(sigma, bits, method, seed)
        return None if self.search(sigma, bits, method, seed) is None else stage.chosen.policy(Place(self.root, stage))


def stored(experiment: str, preset: str, results: Path = RESULTS) -> Stored:
    "The stored results of an experiment and a preset, by their names."
    chosen = EXPERIMENTS[experiment]
    return Stored(chosen, chosen.preset(preset), Path(results))
