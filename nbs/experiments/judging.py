"""What judges say of the policies of the head-room study, and at what price.

    arq-nb experiment nbs/experiments/judging.py:study:resnet20:2.5 --out runs/headroom
"""
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from headroom import choices, Yard, YARDS
from methods import AwareStage
from packed import is_packed, rows

from arq_nb.certify.smoothing import SmoothedClassifier
from arq_nb.lab.stages import PolicyStage, TrainStage
from arq_nb.lab.study import Place, Stage
from arq_nb.quant.policies import dequantize, Policy, quantize
from arq_nb.search.judges import Evaluation, Judge, KeptJudge, RadiusJudge, SearchConfig
from arq_nb.search.shared_weights import SharedWeightsJudge
from arq_nb.train.finish import tune

class InheritingJudge(RadiusJudge):
    "Candidates begin with the weights of the best policy so far, instead of the float network's."
    best, heir, trained = float("-inf"), None, None

    def candidate(self, policy: Policy) -> SmoothedClassifier:
        start = self.heir or self.model
        self.trained, _ = tune(quantize(start, policy), self.train, self.sigma, self.config.recipe)
        return self._smoothed(self.trained)

    def evaluate(self, policy: Policy) -> Evaluation:
        found = super().evaluate(policy)
        if found.reward > self.best: self.best, self.heir = found.reward, dequantize(self.trained).eval()
        return found


@dataclass(frozen=True)
class JudgedStage(Stage):
    "What a judge says of some policies."
    float_stage: TrainStage
    judge: Callable[["JudgedStage", Place], Judge]  # makes it
    policies: tuple[PolicyStage, ...]
    config: SearchConfig
    images: int                                     # training images for each candidate
    held_out: int = 2_000                           # images that are judged by
    start: Stage | None = None                      # with the network that candidates begin with; None: the float one
    seed: int = 0

    def make(self, at: Place) -> dict:
        about = {"stage": self.name, "device": at.device}
        judge = KeptJudge(partial(self.judge, self, at), at.folder / "judge.json", about, at.check_time)
        _ = judge.judge   # made now: what it costs once is noted apart
        for stage in self.policies: judge.evaluate(stage.policy(at))
        return {"answers": judge.kept["answers"], "setup_seconds": judge.kept["setup_seconds"],
                "original_acr": judge.original_acr}


def parts_of(stage: JudgedStage, at: Place) -> tuple:
    "What a judge of a network needs."
    parts, network = stage.float_stage.images.parts(at), (stage.start or stage.float_stage).network(at)
    train, holdout = parts.some(stage.images, stage.seed, 1), parts.held_out(stage.held_out)
    return network, train, holdout, stage.float_stage.sigma


def fine_tuning(stage: JudgedStage, at: Place) -> Judge: return RadiusJudge(*parts_of(stage, at), stage.config)


def inheriting(stage: JudgedStage, at: Place) -> Judge: return InheritingJudge(*parts_of(stage, at), stage.config)


def shared_weights(stage: JudgedStage, at: Place, epochs: int) -> Judge:
    "For all widths that the policies have."
    inner = [pair for one in stage.policies for pair in [*one.policy(at).bits.values()][1:-1]]
    config = stage.config.changed(max_bits=max(stage.config.max_bits, *map(max, inner)))
    return SharedWeightsJudge(*parts_of(stage, at), stage.policies[0].budget(at), config, epochs)


def settings(yard: Yard) -> tuple[SearchConfig, SearchConfig]:
    "10 samples of each of 2,000 images without a confidence bound; 100 replays of each of 200 images, certified."
    recipe = replace(yard.finish.recipe, epochs=1)
    base = SearchConfig(recipe=recipe, backend=yard.finish.certify.backend, max_bits=6, progress=False)
    return base.changed(reward="plug-in", samples=10), base.changed(reward="bound", n=1_000, n_p=100)


def finished_choices(yard: str, bits: float) -> dict[str, PolicyStage]:
    "The policies of the study of the head-room, as far as it is stored: a judge is compared with nothing else."
    stages, name = choices(yard, bits), f"headroom/{yard}-{bits:g}"
    if not is_packed(name): return stages
    done = {row["method"] for row in rows(name)}
    return {method: stage for method, stage in stages.items() if method in done}


def judges(yard: str, bits: float) -> dict[str, JudgedStage]:
    "Name -> judge, from cheap to dear."
    y, stages = YARDS[yard], finished_choices(yard, bits)
    samples, bound = settings(y)
    def trained(name: str) -> AwareStage: return AwareStage(y.network, stages[name], y.finish.recipe)
    def of(images: int, kind: Callable = fine_tuning, **more: object) -> JudgedStage:
        about = {"config": samples, "images": images, "held_out": y.held_out}
        return JudgedStage(y.network, kind, tuple(stages.values()), **about | more)
    few = {"config": bound, "held_out": y.held_out // 10}
    return {
        "8 steps, certified": of(1_000, **few), "8 steps": of(1_000),
        "32 steps, certified": of(4_000, **few), "32 steps": of(4_000), "94 steps": of(12_000),
        "QAT start, 8 steps": of(1_000, start=trained("uniform")),
        "QAT start, 32 steps": of(4_000, start=trained("uniform")),
        "another QAT start, 8 steps": of(1_000, start=trained("cut behind")),
        "inherited, 8 steps": of(1_000, inheriting), "shared weights": of(12_000, partial(shared_weights, epochs=4))}


def study(yard: str, bits: str) -> list[Stage]:
    "The judges of one budget."
    return [*judges(yard, float(bits)).values()]
