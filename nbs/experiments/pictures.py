"""Tables and pictures of an experiment, from what was measured; what is not there is called so or left out."""
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from presets import TITLES
from stored import Outcome

from arq_nb.certify.logs import CertificateLog
from arq_nb.lab import tables
from arq_nb.lab.figures import bits_per_layer, certified_accuracy_curves
from arq_nb.lab.search_figures import pareto, plot_searches
from arq_nb.lab.tables import measure, Measured, readable, UNCOMMITTED
from arq_nb.quant.costs import layer_table
from arq_nb.search.search import SearchResult

RADII = 0.25, 0.5, 0.75, 1.0


def measurements(outcome: Outcome) -> pd.DataFrame:
    "A row for each network of the plan: sigma, bits, method, seed, and what `measure` says; NaN if not measured."
    return measure(outcome.networks, RADII).astype({"bits": "Int64"})


def _drawn(outcome: Outcome) -> pd.DataFrame:
    "The rows that were measured, from committed code."
    table = measurements(outcome)
    marked = table[UNCOMMITTED].eq(True) if UNCOMMITTED in table else False
    return table[table.acr.notna() & ~pd.Series(marked, index=table.index)]


def _chosen(outcome: Outcome, sigma: float, bits: int) -> list[Measured]:
    found = [n for n in outcome.networks if n.facts["sigma"] == sigma and n.facts["bits"] in (None, bits)]
    if found: return found
    raise ValueError(f"the preset {outcome.preset.name} plans nothing for sigma={sigma:g} and {bits} bits")


def results(outcome: Outcome, sigma: float, bits: int = 4, label: str = "") -> pd.DataFrame:
    "The table of one noise level and budget: means over seeds, as text. `label` is added to the names."
    networks = _chosen(outcome, sigma, bits)
    titles = {m: title + (f" ({label})" if label else "") for m, title in TITLES.items()}
    table = measure(networks, RADII)
    shares = table.groupby("method", sort=False).bitops_fraction.mean() if "bitops_fraction" in table else {}
    text = readable(table.drop(columns=["sigma", "bits", "seconds"], errors="ignore"), titles, seeds=True)
    if len(shares): text["BitOPs %"] = [tables.MISSING if np.isnan(s) else f"{100 * s:.3f}" for s in shares]
    return text.rename_axis(index="method", columns=None)


def certificates(outcome: Outcome, sigma: float, bits: int, method: str) -> dict[int, CertificateLog]:
    "The certificates of a method, by seed; only what was measured."
    return outcome.logs(sigma, bits, method)


def differences(outcome: Outcome, sigma: float, bits: int = 4, reference: str = "arq") -> pd.DataFrame:
    "ACR of `reference` minus that of the others, image by image, with 95 % intervals over images and seeds."
    networks = [Measured(TITLES[n.method], n.seed, n.log, n.facts) for n in _chosen(outcome, sigma, bits)]
    return tables.differences(networks, TITLES[reference])


def _together(logs: Sequence[CertificateLog]) -> CertificateLog:
    "The lines of several logs in one; its curve is the mean of theirs."
    columns = "idx", "label", "predict", "radius", "correct", "time"
    return CertificateLog(*(np.concatenate([getattr(log, name) for log in logs]) for name in columns))


def draw_curves(outcome: Outcome, sigma: float, bits: int = 4,
                methods: Sequence[str] = ("float32", "uniform_lsq", "random", "haq", "arq")) -> Figure | None:
    "Certified accuracy against radius, averaged over the seeds."
    logs = {TITLES[m]: [*certificates(outcome, sigma, bits, m).values()] for m in methods}
    logs = {name: _together(some) for name, some in logs.items() if some}
    return certified_accuracy_curves(logs, sigma) if logs else None


def draw_bits(outcome: Outcome, sigma: float, bits: int = 4,
              methods: Sequence[str] = ("hawq", "haq", "arq"), seed: int = 0) -> Figure | None:
    "Bits of each layer."
    policies = {TITLES[m]: policy for m in methods if (policy := outcome.policy(sigma, bits, m, seed))}
    network = outcome.experiment.model(num_classes=outcome.experiment.classes)
    return bits_per_layer(policies, layer_table(network, outcome.experiment.shape)) if policies else None


def draw_costs(outcome: Outcome, sigma: float) -> Figure | None:
    "ACR against BitOPs for all budgets, means over seeds."
    table = _drawn(outcome)
    known = table[table.sigma == sigma]
    means = known.groupby(["method", known.bits.fillna(0)], sort=False)[["bitops_fraction", "acr"]].mean()
    several = len({bits for _, bits in means.index} - {0}) > 1
    def name(method, bits): return TITLES[method] + (f", {bits:g} bits" if bits and several else "")
    points = [{"name": name(*key), "cost": row.bitops_fraction, "acr": row.acr} for key, row in means.iterrows()]
    return pareto(points) if points else None


def draw_searches(outcome: Outcome, sigma: float, bits: int = 4) -> Figure | None:
    "Best ACR so far on the held-out images against the number of policies judged."
    runs = {}
    for planned_sigma, planned_bits, method, seed in outcome.keys:
        if (planned_sigma, planned_bits) != (sigma, bits) or method not in ("arq", "evolutionary", "random"): continue
        found = outcome.search(sigma, bits, method, seed)
        if found is None: continue
        result = SearchResult(found["policy"], found["history"], found["original_acr"])
        runs.setdefault(method, []).append(result)
    order = [m for m in ("arq", "evolutionary", "random") if m in runs]
    return plot_searches({TITLES[m]: runs[m] for m in order}).figure if runs else None


def draw_times(outcome: Outcome, sigma: float, bits: int = 4) -> Figure | None:
    "ACR on the test images against the seconds that choosing the bits took, a mark a seed."
    table = _drawn(outcome)
    known = table[(table.sigma == sigma) & (table.bits == bits)]
    if not len(known): return None
    fig, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
    for (method, rows), marker in zip(known.groupby("method", sort=False), "osD^vP*X<"):
        ax.plot(rows.search_seconds.clip(lower=0.1), rows.acr, linestyle="", marker=marker, label=TITLES[method])
    ax.set(xscale="log", xlabel="seconds to choose the bits (0.1 for less)", ylabel="ACR, test images")
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig
