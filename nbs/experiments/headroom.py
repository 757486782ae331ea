"""How far policies of the same cost lie apart once they are finished: the yardstick for every judge.

Many policies within one budget, each trained by the final protocol and certified on the open half of the test images;
some with several seeds, which tell the noise of training from what is a property of the bits.

    arq-nb experiment nbs/experiments/headroom.py:study:2.5 --out runs/headroom --minutes 60 --processes 2
"""
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from methods import by_acr, by_curvature, by_nipq, given, HarmStage, ProgramStage, ShippedStage
from presets import CIFAR

from arq_nb.certify.settings import Certify
from arq_nb.core.data import augment
from arq_nb.lab.stages import by_uniform_bits, FinishStage, PolicyStage
from arq_nb.lab.study import Stage
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import resnet20
from arq_nb.quant.policies import Policy
from arq_nb.search.environment import BitWidthEnv, uniform_policy
from arq_nb.search.judges import SearchConfig
from arq_nb.train.finish import Finish
from arq_nb.train.training import Recipe

SIGMA, SHAPE = 0.5, (3, 32, 32)
BITS = 2.5, 3.0
MUTATIONS = 9
SEEDS = {"uniform": 3, "late": 3, "activation-heavy": 3, "mutation 1": 3}  # of the others: one
POOL = replace(CIFAR, held_out=2_500)  # 2,500 images that no network is trained on
FLOAT = ShippedStage(resnet20, POOL, SIGMA)
CURVATURE = HarmStage(FLOAT, by_curvature)
ACR_LOSS = HarmStage(FLOAT, partial(by_acr, images=200, samples=100))
FINISH = Finish(Recipe(lr=0.02, consistency=5.0, augmenter=augment), Certify(n=1_000, backend="int8"))
FINISH_IMAGES = 20_000


def budget_of(bits: float) -> Budget:
    "What as many bits everywhere would cost."
    return Budget.bitops(resnet20(), SHAPE, fraction=(bits / 32) ** 2)


def wishes(env: BitWidthEnv, bits: float) -> dict[str, np.ndarray]:  # name -> a wish in bits for each decision
    "Shapes that a policy can have: where its bits lie, in depth and between weights and activations."
    steps = len(env.steps)
    depth = np.repeat(np.linspace(0, 1, steps // 2), 2)                       # 0: front, 1: back
    weight = np.array([kinds[0] == "weight" for _, kinds in env.steps])
    forward, pairs = 1e-3 * np.arange(steps), np.arange(steps) // 2
    return {
        "cut behind": bits - forward, "cut alternately": bits + 0.3 * (pairs % 2) + forward,
        "cut in weights": bits - 0.3 * weight + 0.1 * forward,
        "cut in activations": bits + 0.3 * weight + 0.1 * forward,
        "weight-heavy": bits + 2 * weight - forward, "activation-heavy": bits + 2 * ~weight - forward,
        "late": bits + 4 * depth, "late weights": bits + 4 * depth + weight,
        "late activations": bits + 4 * depth + ~weight,
        "early": bits - 4 * depth, "early weights": bits - 2 * depth + weight,
        "early activations": bits - 2 * depth + ~weight, "middle": bits - 4 * abs(depth - 0.5)}


def mutations(env: BitWidthEnv, policy: Policy, count: int) -> list[Policy]:
    "Policies that differ from one in about four decisions."
    draw, actions, found = np.random.default_rng(0), env.actions_from(policy), {}
    share = 1 / (env.max_bits - env.min_bits + 1)   # the actions that ask for the same bits
    while len(found) < count:
        moved = draw.random(len(actions)) < 4 / len(actions)
        within = actions + (draw.random(len(actions)) - 0.5) * 0.98 * share
        changed = np.where(moved, actions + share * draw.choice([-1, 1], len(actions)), within).clip(0, 1)
        other = env.project(changed)
        if other != policy: found[other] = None
    return [*found]


@lru_cache
def policies(bits: float) -> Mapping[str, Policy]:
    "Name -> policy, all different and within the budget; those of other methods come on top."
    env = SearchConfig().environment(budget_of(bits))
    uniform = env.project(env.actions_from(uniform_policy(env.budget, cut=True)))
    found = {uniform: "uniform"}
    for name, wish in wishes(env, bits).items():
        found.setdefault(env.project(((wish - 1.5) / 7).clip(0, 1)), name)
    for i, policy in enumerate(mutations(env, uniform, MUTATIONS)): found.setdefault(policy, f"mutation {i + 1}")
    return {name: policy for policy, name in found.items()}


def choices(bits: float) -> dict[str, PolicyStage]:
    "Name -> how its policy is found."
    about = dict(bits=bits, config=SearchConfig(augmenter=augment), images=2_000)
    stages = {name: PolicyStage(FLOAT, partial(given, text=policy.text), bits=bits)
              for name, policy in policies(bits).items()}
    def program(harm): return ProgramStage(FLOAT, by_uniform_bits, bits, harm=harm)
    return stages | {"HAWQ": program(CURVATURE), "NIPQ": PolicyStage(FLOAT, partial(by_nipq, epochs=5), **about),
                     "ACR program": program(ACR_LOSS)}


def finished(stage: PolicyStage, name: str, seed: int = 0) -> FinishStage:
    "A network of the study."
    return FinishStage(stage, name, FINISH, FINISH_IMAGES, None, seed, half="open")


def study(bits: str) -> list[Stage]:
    "The networks of one budget; first every policy once, then the further seeds."
    stages = choices(float(bits))
    once = [finished(stage, name) for name, stage in stages.items()]
    more = [finished(stages[name], name, seed) for seed in (1, 2) for name, seeds in SEEDS.items() if seed < seeds]
    return [*once, *more]
