"""What the study of the head-room has measured, for its page: finished policies, and what judges say of them.

    python nbs/experiments/yardstick.py runs/headroom resnet20   # packs what is made there into results/headroom
"""
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from headroom import name_of, study, Yard, YARDS
from judging import judges
from packed import pack, RESULTS, rows, unpack

from arq_nb.certify.logs import average_certified_radius, CertificateLog
from arq_nb.core.record import write_atomically
from arq_nb.lab.study import Place, Stage
from arq_nb.quant.policies import Policy
from arq_nb.search.additive import AdditiveModel, Harms
from arq_nb.search.config import SearchConfig
from arq_nb.search.trust import _draws, _redrawn_taus, Agreement, agreement

def logs(yard: Yard, bits: float) -> dict[str, list[CertificateLog]]:
    "Policy -> certificates, one log a seed."
    found = {}
    for one in unpack(name_of(yard, bits)): found.setdefault(one.method, []).append(one.log)
    return found


def finished(yard: Yard, bits: float) -> dict[str, float]:
    "Policy -> ACR, the mean over its seeds."
    def mean(some): return float(np.mean([average_certified_radius(log) for log in some]))
    return {name: mean(some) for name, some in logs(yard, bits).items() if name != "float32"}


def policies(yard: Yard, bits: float) -> dict[str, Policy]:
    "Name -> policy, as it was finished."
    layers = [layer.name for layer in yard.budget(bits).layers]
    def policy(text): return Policy({n: tuple(map(int, b.split("/"))) for n, b in zip(layers, text.split())})
    return {row["method"]: policy(row["policy"]) for row in rows(name_of(yard, bits)) if row["method"] != "float32"}


def stored(yard: Yard, name: str) -> dict:
    "Another file of a network; empty if it is not there."
    path = RESULTS / f"headroom/{yard.name}-{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def harms(yard: Yard, kind: str) -> Harms:
    "Layer -> (weight bits, activation bits) -> harm: of `curvature` or `acr`."
    def pair(text): return tuple(map(int, text.split("/")))
    return {n: {pair(k): v for k, v in row.items()} for n, row in stored(yard, "harms")[kind].items()}


def sums(yard: Yard, kind: str, some: Mapping[str, Policy]) -> dict[str, float]:
    "Minus the sum of the harms of each policy's inner layers; of the policies whose widths were all measured."
    table = harms(yard, kind)
    known = {name: p for name, p in some.items() if all(p.bits[layer] in row for layer, row in table.items())}
    return {name: -sum(row[policy.bits[layer]] for layer, row in table.items()) for name, policy in known.items()}


def from_few(
    yard: Yard, bits: float, count: int, judge: str | None = None, draws: int = 30
) -> list[tuple[float, float]]:
    """Tau over all other policies and over their better half, of an additive model that was fitted to a few.

    Their values are those of a judge, or what they are worth when finished."""
    env, rng, found = SearchConfig().environment(yard.budget(bits)), np.random.default_rng(0), []
    ends, some = finished(yard, bits), policies(yard, bits)
    values = ends if judge is None else said(yard, bits)[judge][0]
    for _ in range(draws):
        order = rng.permutation([name for name in ends if name in values])
        known, asked = order[:count], order[count:]
        model = AdditiveModel(env).fit([some[n] for n in known], [values[n] for n in known])
        guessed = model.predict([some[n] for n in asked])[0]
        one = agreement(guessed, [ends[n] for n in asked], draws=2)
        found.append((one.tau, one.better_half))
    return found


def taught(
    place: tuple[Yard, float], other: tuple[Yard, float], count: int, teacher: str | None = None,
    judge: str = "94 steps", draws: int = 40,
) -> tuple[float, float, float, float]:  # tau alone, tau told, and the 95 % interval of the gain, over policies
    """Tau over unseen policies of a model that knows a few judgments: alone, and told of another budget.

    Told are the answers of a judge there, or what its policies are worth when finished. Means over draws of which
    policies are judged."""
    ends, some, values = finished(*place), policies(*place), said(*place)[judge][0]
    there, named = finished(*other) if teacher is None else said(*other)[teacher][0], policies(*other)
    env, names, found = SearchConfig().environment(place[0].budget(place[1])), [n for n in ends if n in values], []
    models = AdditiveModel(env), AdditiveModel(env, earlier=[{named[name]: value for name, value in there.items()}])
    drawn = np.vstack([np.ones(len(names)), _draws(len(names), 500, 0)])   # first, every policy once
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(names))
        known, asked = ([names[i] for i in part] for part in (order[:count], order[count:]))
        for model in models: model.fit([some[n] for n in known], [values[n] for n in known])
        guessed = [model.predict([some[n] for n in asked])[0] for model in models]
        worth = np.array([ends[n] for n in asked])
        found.append([_redrawn_taus(one, worth, drawn[:, order[count:]]) for one in guessed])
    alone, told = np.nanmean(found, axis=0)
    low, high = np.quantile(told[1:] - alone[1:], [0.025, 0.975])
    return float(alone[0]), float(told[0]), float(low), float(high)


def closeness(yard: Yard, bits: float) -> dict[str, float]:
    "How near a policy is to the uniform one, in units of rounding: no judge, but what a biased judge may go by."
    def rounding(policy): return 4.0 ** (2 - np.array([*policy.bits.values()], float))
    some = policies(yard, bits)
    return {name: -float(np.abs(rounding(p) - rounding(some["uniform"])).sum()) for name, p in some.items()}


def smoothed(yard: Yard, bits: float, answers: Mapping[str, float]) -> dict[str, float]:
    "What the additive model makes of a judge's answers: the noise of one is weighed against all others."
    some, env = policies(yard, bits), SearchConfig().environment(yard.budget(bits))
    model = AdditiveModel(env).fit([some[n] for n in answers], [*answers.values()])
    return dict(zip(answers, model.predict([some[n] for n in answers])[0]))


def _line(judge: str, said: Mapping[str, float], ends: Mapping[str, float], seconds: float, once: float) -> dict:
    names = [name for name in ends if name in said]
    best = sorted(names, key=lambda name: -ends[name])[: math.ceil(len(names) / 2)]
    def order(some: list[str]) -> Agreement: return agreement([said[n] for n in some], [ends[n] for n in some])
    found, half = order(names), order(best) if len(best) >= 6 else None   # of fewer an order says too little
    return {"judge": judge, "tau": found.tau, "low": found.low, "high": found.high, "better half": found.better_half,
            "half low": half.low if half else math.nan, "half high": half.high if half else math.nan,
            "policies": found.policies, "seconds": seconds, "once": once}


def said(yard: Yard, bits: float) -> dict[str, tuple[dict[str, float], float, float]]:
    "Judge -> what it says of each policy, seconds a policy, seconds once."
    texts, found = {policy.text: name for name, policy in policies(yard, bits).items()}, {}
    for judge, one in stored(yard, f"judges-{bits:g}").items():
        answers = [a for a in one["answers"] if a["policy"] in texts]
        seconds = float(np.median([a["seconds"] for a in answers]))
        for column, label in (("acr", ""), ("accuracy", ", share of right votes")):
            if label and "certified" in judge: continue
            found[judge + label] = {texts[a["policy"]]: a[column] for a in answers}, seconds, one["once"]
    return found


def scores(yard: Yard, bits: float) -> pd.DataFrame:
    "A line for each judge."
    ends, some = finished(yard, bits), policies(yard, bits)
    lines = []
    for judge, (answers, seconds, once) in said(yard, bits).items():
        lines.append(_line(judge, answers, ends, seconds, once))
        lines.append(_line(f"{judge}, in the model", smoothed(yard, bits, answers), ends, seconds, once))
    once = stored(yard, "harms").get("once", {})
    for kind, label in (("curvature", "HAWQ's sum"), ("acr", "sum of losses of ACR")):
        if kind in once: lines.append(_line(label, sums(yard, kind, some), ends, 0.0, once[kind]))
    lines.append(_line("closeness to uniform", closeness(yard, bits), ends, 0.0, 0.0))
    return pd.DataFrame(lines).set_index("judge")


def write(yard: Yard, name: str, value: object) -> None:
    write_atomically(RESULTS / f"headroom/{yard.name}-{name}.json", lambda p: p.write_text(json.dumps(value) + "\n"))


def result(stage: Stage, root: Path) -> dict | None:
    "What a stage has written; `ValueError` if it was made from uncommitted code."
    found = Place(root, stage).result()
    if found and found["provenance"]["commit"].endswith("-dirty"): raise ValueError(f"{stage}: uncommitted code")
    return found


def pack_all(root: Path, yard: Yard) -> None:
    "Everything that is made in a folder, as far as it is made."
    tables = {kind: result(stage, root) for kind, stage in (("curvature", yard.curvature), ("acr", yard.acr_loss))}
    done = {kind: found for kind, found in tables.items() if found}
    once = {kind: found["provenance"]["seconds"] for kind, found in done.items()}
    for bits in yard.budgets:
        count = pack(study(yard.name, str(bits)), root, RESULTS / f"{name_of(yard, bits)}.json")
        print(f"{yard.name}, {bits:g} bits: {count} networks")
        made = {judge: found for judge, stage in judges(yard.name, bits).items() if (found := result(stage, root))}
        about = {judge: {"answers": found["answers"], "once": found["setup_seconds"], "settings": found["settings"],
                         "provenance": found["provenance"]} for judge, found in made.items()}
        if about: write(yard, f"judges-{bits:g}", about)
    if done: write(yard, "harms", {kind: found["harm"] for kind, found in done.items()} | {"once": once})


if __name__ == "__main__": pack_all(Path(sys.argv[1]), YARDS[sys.argv[2]])
