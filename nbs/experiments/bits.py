"""Who finds the best bits, on equal terms: one float network, one judge, as many judgments, the same starts and finals.

    arq-nb experiment nbs/experiments/bits.py:study:resnet20:2.5:3 --out runs/bits --minutes 60 --processes 2

Every search begins with the uniform policy and those of HAWQ and NIPQ, asks the same judge, hands in its three most
promising policies, and has them finished and certified on held-out images that no search has seen; the best of the
three is its answer. Methods that do not search have one answer and need no finals. `uniform` stands for three ways of
cutting the same bits to the budget, whose mean is what all others are compared with. The policies of the methods that
calculate, and HAWQ's harms, are those of the study of the head-room.
"""
from functools import partial

from headroom import Yard, YARDS
from judging import settings
from methods import FinalsStage, given
from yardstick import harms, policies

from arq_nb.lab.stages import by_search, FinishStage, PolicyStage
from arq_nb.lab.study import Stage
from arq_nb.search.judges import AccuracyJudge

KNOWN = "uniform", "cut behind", "cut alternately", "HAWQ", "NIPQ", "ACR program"
STARTS = "HAWQ", "NIPQ"
EVALUATIONS, FINALISTS, JUDGE_IMAGES, HELD_OUT = 24, 3, 4_000, 2_000
by_clean_accuracy = partial(by_search, judge=AccuracyJudge)
SEARCHES = {   # method -> how it is rewarded, what it proposes, and whether HAWQ's harms are its prior
    "random": (by_search, "random", False), "mutation": (by_search, "mutation", False),
    "evolution": (by_search, "evolution", False), "HAQ": (by_clean_accuracy, "actor", False),
    "RL": (by_search, "actor in the model", False), "ARQ": (by_search, "thompson", True)}


def choices(yard: Yard, bits: float) -> dict[str, PolicyStage]:
    "Name -> a policy of the study of the head-room."
    some = policies(yard, bits)
    return {name: PolicyStage(yard.network, partial(given, text=some[name].text), bits)
            for name in KNOWN if name in some}


def searching(yard: Yard, bits: float, method: str, seed: int) -> FinalsStage:
    "How a search comes to its policy."
    found, (by, proposals, guess) = choices(yard, bits), SEARCHES[method]
    config = settings(yard)[0].changed(proposals=proposals, prior=harms(yard, "curvature") if guess else None)
    stage = PolicyStage(yard.network, by, bits, evaluations=EVALUATIONS, config=config, images=JUDGE_IMAGES,
                        held_out=HELD_OUT, starts=tuple(found[name] for name in STARTS), seed=seed)
    return FinalsStage(stage, (), FINALISTS, yard.finish, yard.images, 500)


def study(yard: str, bits: str, seeds: str = "1", half: str = "open") -> list[Stage]:
    "The networks of the comparison; those that only need to be finished come first."
    y, at, every = YARDS[yard], float(bits), range(int(seeds))
    def finish(stage: Stage, name: str, seed: int) -> FinishStage:
        return FinishStage(stage, name, y.finish, y.images, None, seed, half=half)
    found = {**choices(y, at), "float32": y.network}
    known = [finish(stage, name, seed) for seed in every for name, stage in found.items()]
    return known + [finish(searching(y, at, name, seed), name, seed) for seed in every for name in SEARCHES]
