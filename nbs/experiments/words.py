"""What is said of an experiment in words: each sentence is computed from what was measured."""
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import display, Markdown
from pictures import certificates, differences, measurements, results
from presets import Preset, TITLES
from stored import Outcome, Stored

from arq_nb.certify.logs import average_certified_radius, clean_accuracy, compare, read_log
from arq_nb.certify.settings import Certify
from arq_nb.lab.tables import over_seeds
from arq_nb.train.training import Recipe

COSTS = {"bitops": "bit operations", "size": "bytes"}


def say(sentences: Iterable[str]) -> None:
    "Show sentences as a list."
    display(Markdown("\n".join(f"- {sentence}" for sentence in sentences)))


def listed(names: Iterable[str], nothing: str = "none") -> str:
    "a, b and c."
    *some, last = [*names] or [nothing]
    return f"{', '.join(some)} and {last}" if some else last


def interval(difference: float, low: float, high: float, digits: int = 4) -> str:
    "A difference with its interval."
    return f"{difference:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def in_words(preset: Preset) -> list[str]:
    "What a preset compares, and with how much effort."
    p, search, finish = preset, preset.search, preset.finish
    def titles(names: Iterable[str]) -> str: return listed(TITLES[name].replace(",", "") for name in names)
    def images(count: int | None) -> str: return "all training images" if count is None else f"{count:,} images"
    def trained(recipe: Recipe) -> str:
        copies = f", asked for copies that agree with weight {recipe.consistency:g}" if recipe.consistency else ""
        return f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)} (learning rate {recipe.lr:g}){copies}"
    def sampled(certify: Certify) -> str: return f"n0 = {certify.n0}, n = {certify.n}, alpha = {certify.alpha:g}"
    noise = listed(f"{sigma:g}" + f" ({seeds} seeds)" * (seeds > 1) for (sigma, _), seeds in p.plan.items())
    starts = f"; ARQ begins with the policies of {titles(p.starts)}" if p.starts else ""
    finals = f"the best {p.finalists} are finished, and the one that is better on other images"
    handed = f"{finals if p.finalists > 1 else 'the best'} is handed in"
    guests = f"; in ARQ's finals are also {titles(p.finals_with)}" if p.finals_with else ""
    return [
        f"Preset `{p.name}`, $\\sigma=$ {noise}: a budget of as many {COSTS[p.cost]} as "
        f"{listed(str(bits) for bits in dict.fromkeys(bits for _, bits in p.plan))} bits everywhere would cost; "
        + titles(p.planned_methods),
        f"A search judges {p.evaluations} policies; each is trained on {images(p.search_images)} for "
        f"{trained(search.recipe)}, and certified on {p.holdout} held-out ones ({sampled(search.certify)}, "
        f"{search.n_p} of them replayed){starts}; {handed}{guests}",
        f"Each network is fine-tuned on {images(p.finish_images)} for {trained(finish.recipe)}, and certified on "
        f"{p.test_images} test images ({sampled(finish.certify)})"]


def left_to_measure(outcome: Stored) -> str:
    "How much of what a preset plans is there."
    left, absent = outcome.missing(), {}
    for cell in left:
        title = TITLES.get(cell.method, "float network").replace(",", "")
        absent.setdefault(cell.sigma, {})[title] = None
    text = f"`{outcome.preset.name}`: {len(outcome.cells) - len(left)} of {len(outcome.cells)} results are there"
    return "; ".join([text, *(f"not measured at $\\sigma={s:g}$: {listed(names)}" for s, names in absent.items())])


def measured_on(outcome: Outcome) -> str:
    "What all numbers were measured on, from the records that are there."
    records = [record for key in outcome.keys if (record := outcome.record(*key))]
    if not records: return "Nothing was measured yet"
    def every(get: Callable) -> str: return ", ".join(sorted({get(record) for record in records}))
    def arithmetic(record: dict) -> str:
        return f"{record['precision']} for {'float' if record['bitops_fraction'] == 1 else 'quantized'} networks"
    return "; ".join([
        f"Certified: {every(lambda r: r['images'])}", f"{every(lambda r: r['noise'])} noise", every(arithmetic),
        f"fine-tuned on {every(lambda r: r['fine_tuned_on'])}",
        f"{every(lambda r: r['provenance']['processor'])}; commits {every(lambda r: r['provenance']['commit'])}"])


def show(outcome: Outcome, sigma: float, bits: int = 4) -> pd.DataFrame:
    "The table of a noise level and budget, under a line that names them."
    certify = outcome.preset.finish.certify
    about = f"{outcome.preset.test_images} images, {certify.n:,} samples, $\\alpha={certify.alpha:g}$"
    display(Markdown(f"**$\\sigma={sigma:g}$**, budget {bits}-bit equivalent; {about}"))
    return results(outcome, sigma, bits)


def verdict(outcome: Outcome, sigma: float, bits: int = 4) -> str:
    "A sentence for each part of the goal."
    table = measurements(outcome)
    chosen = table[(table.sigma == sigma) & (table.bits.isna() | (table.bits == bits))]
    means = chosen.groupby("method")[["acr", "clean_accuracy", "bitops_fraction"]].mean()
    if not {"arq", "float32"} <= {*means.dropna().index}: return f"$\\sigma={sigma:g}$: not measured"
    found, clean = differences(outcome, sigma, bits).dropna(), 100 * means.clean_accuracy
    def told(row) -> str: return interval(row.difference, row.low, row.high)
    text = (f"$\\sigma={sigma:g}$: ARQ minus float32 in ACR {told(found.loc['float32'])}, in clean accuracy "
            f"{clean['arq'] - clean['float32']:+.1f} points, at {means.bitops_fraction['arq']:.4%} of its BitOPs")
    rivals = found.drop("float32")
    groups = {"Better than": rivals.low > 0, "Worse than": rivals.high < 0,
              "Statistically indistinguishable from": (rivals.low <= 0) & (rivals.high >= 0)}
    for word, those in groups.items():
        some = "; ".join(f"{name} {told(row)}" for name, row in rivals[those].iterrows())
        if some: text += f". **{word}** {some}"
    return text


def as_it_came(outcome: Stored, sigma: float) -> Path:
    "Certificates of the float network before any fine-tuning."
    return outcome.folder / f"sigma{sigma:g}" / "original" / "certificates.tsv"


def in_integers(outcome: Stored, sigma: float) -> Path:
    "Certificates of ARQ's network, run in integers."
    return outcome.folder / f"sigma{sigma:g}" / "arq-int8" / "certificates.tsv"


def against_original(outcome: Stored, sigma: float) -> str:
    "The float network as it came, and what ARQ's and the fine-tuned float network's ACRs are more than its own."
    if not as_it_came(outcome, sigma).exists(): return f"$\\sigma={sigma:g}$: not measured"
    original = read_log(as_it_came(outcome, sigma))
    acr, clean = average_certified_radius(original), clean_accuracy(original)
    parts = [f"$\\sigma={sigma:g}$: ACR {acr:.4f}, clean accuracy {clean:.1%}"]
    for method in ("arq", "float32"):
        if not (logs := [*certificates(outcome, sigma, 4, method).values()]): continue
        gap = compare(over_seeds(logs), over_seeds([original] * len(logs)))
        points = 100 * (np.mean([clean_accuracy(log) for log in logs]) - clean)
        parts.append(f"{TITLES[method]} minus this one {interval(*gap)}, in clean accuracy {points:+.1f} points")
    return "; ".join(parts)
