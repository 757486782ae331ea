"""The shipped float networks beside those whose certificates others have published: the same images, as many samples.

    arq-nb experiment nbs/experiments/literature.py:study --out runs/literature
    python nbs/experiments/packed.py nbs/experiments/literature.py:study runs/literature \\
        nbs/experiments/results/literature/resnet20-0.5.json
"""
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from headroom import YARDS
from scipy import stats

from arq_nb.certify.bounds import clopper_pearson_lower
from arq_nb.certify.logs import CertificateLog, certify_dataset
from arq_nb.certify.settings import Certify
from arq_nb.certify.smoothing import ABSTAIN, SmoothedClassifier
from arq_nb.lab.stages import FinishStage
from arq_nb.lab.study import Place, Stage
from arq_nb.quant.backends import deployed
from arq_nb.quant.budgets import Budget
from arq_nb.train.finish import Finish

@dataclass(frozen=True)
class AsItCame(FinishStage):
    "A float network that is certified as it is; of `finish` only the certification counts."

    def make(self, at: Place) -> dict:
        network, test, begin = self.chosen.network(at), self.test(at), perf_counter()
        smoothed = SmoothedClassifier(deployed(network), self.float_stage.sigma, device=at.device)
        certify_dataset(smoothed, test, at.folder / "certificates.tsv", self.finish.certify, progress=False)
        size = Budget.size(network, test.shape, fraction=1).float_cost
        return {"bitops_fraction": 1.0, "size_bytes": size, "evaluations": 0, "search_seconds": 0.0,
                "train_seconds": 0.0, "certify_seconds": round(perf_counter() - begin, 1)}


def study() -> list[Stage]:
    "The shipped ResNet-20 for sigma 0.5, on all 1,017 test images."
    return [AsItCame(YARDS["resnet20"].network, "float32 as it came", Finish(certify=Certify(n=1_000)))]


def official_places(archive: Path, split: str = "test") -> np.ndarray:
    "The official number of each image of an archive with files CLASS/NUMBER.png, in the order of `load_dataset`."
    with tarfile.open(archive) as files: paths = [Path(name) for name in files.getnames()]
    return np.array([int(path.stem) for path in sorted(paths) if path.parts[0] == split and path.suffix == ".png"])


def share_of(radius: np.ndarray, sigma: float, n: int, alpha: float = 0.001) -> np.ndarray:
    "The share of `n` votes that proves a radius: Clopper and Pearson's bound, turned round."
    votes = np.arange(n + 1)
    proven = clopper_pearson_lower(votes, n, alpha)
    return np.interp(stats.norm.cdf(np.asarray(radius) / sigma), proven, votes / n)


def with_samples(log: CertificateLog, sigma: float, n: int, of: int, alpha: float = 0.001) -> CertificateLog:
    "What a log of `of` samples would say if each image had the same share of `n`."
    votes = np.round(share_of(log.radius, sigma, of, alpha) * n)
    lower = clopper_pearson_lower(votes, n, alpha)
    certified = (lower > 0.5) & (log.predict != ABSTAIN)
    radius = np.where(certified, sigma * stats.norm.ppf(np.where(certified, lower, 0.5)), 0.0)
    predict = np.where(certified, log.predict, ABSTAIN)
    return replace(log, predict=predict, radius=radius, correct=(predict == log.label).astype(int), most=None)
