"""Tables and pictures of an experiment, from what was measured; what is not there is called so or left out."""
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from presets import TITLES
from stored import Outcome

from arq_nb.certify.logs import CertificateLog
from arq_nb.lab import tables
from arq_nb.lab.evidence import axis_limits, draw_block, Gap, gaps
from arq_nb.lab.figures import bits_per_layer, style
from arq_nb.lab.search_figures import plot_searches
from arq_nb.lab.tables import logs_by_method, measure, Measured, readable, UNCOMMITTED
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


def _titled(outcome: Outcome, sigma: float, bits: int) -> list[Measured]:
    return [Measured(TITLES[n.method], n.seed, n.log, n.facts) for n in _chosen(outcome, sigma, bits)]


def differences(outcome: Outcome, sigma: float, bits: int = 4, reference: str = "arq") -> pd.DataFrame:
    "ACR of `reference` minus that of the others, image by image, with 95 % intervals over images and seeds."
    return tables.differences(_titled(outcome, sigma, bits), TITLES[reference])


def gains(outcome: Outcome, sigma: float, bits: int = 4, reference: str = "uniform_lsq") -> dict[str, Gap]:
    "Method -> its ACR minus that of `reference`, image by image; only what was measured."
    return gaps(logs_by_method(_titled(outcome, sigma, bits)), TITLES[reference])


@style()
def draw_gains(panels: Mapping[str, Mapping[str, Gap]], reference: str = "uniform_lsq") -> Figure:
    "The forest plot of `arq_nb.lab.evidence` for narrow pages: a panel a setting, a row a method, all on one scale."
    names = list(dict.fromkeys(name for found in panels.values() for name in found))
    limits = axis_limits(one for found in panels.values() for one in found.values())
    special = TITLES[reference], TITLES["float32"], TITLES["arq"]
    fig, axes = plt.subplots(1, len(panels), figsize=(5.5, 0.21 * len(names) + 0.9), sharey=True, squeeze=False)
    for ax, (setting, found) in zip(axes[0], panels.items()):
        draw_block(ax, np.arange(len(names)), dict.fromkeys(names, ()), found, limits, special)
        ax.set(title=setting, xlim=limits, yticks=range(len(names)), yticklabels=names)
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=7)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.grid(axis="y", visible=False)
        ax.spines["left"].set_visible(False)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    fig.supxlabel(f"ACR minus that of {TITLES[reference]}", fontsize=9)
    return fig


def draw_bits(outcome: Outcome, sigma: float, bits: int = 4,
              methods: Sequence[str] = ("hawq", "haq", "arq"), seed: int = 0) -> Figure | None:
    "Bits of each layer."
    policies = {TITLES[m]: policy for m in methods if (policy := outcome.policy(sigma, bits, m, seed))}
    network = outcome.experiment.model(num_classes=outcome.experiment.classes)
    return bits_per_layer(policies, layer_table(network, outcome.experiment.shape)) if policies else None


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
