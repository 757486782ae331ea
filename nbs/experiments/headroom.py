"""How far policies of the same cost lie apart once they are finished: the yardstick for every judge.

Many policies within one budget, each trained by the final protocol and certified on the open half of the test images;
some with several seeds, which tell the noise of training from what is a property of the bits.

    arq-nb experiment nbs/experiments/headroom.py:study:resnet20:2.5 --out runs/headroom --minutes 60 --processes 2
    arq-nb experiment nbs/experiments/headroom.py:study:resnet20:3:float32 --out runs/gpu --device cuda --processes 12

`rest` instead of `study` makes what `results/headroom` does not have yet.
"""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from methods import by_acr, by_curvature, by_nipq, given, HarmStage, ProgramStage, ShippedStage
from packed import not_packed
from presets import CIFAR
from tiny import mobilenet_half, NETWORKS
from torch import nn

from arq_nb.certify.settings import Certify
from arq_nb.core.data import augment
from arq_nb.lab.stages import by_uniform_bits, FinishStage, PolicyStage, TrainStage
from arq_nb.lab.study import Stage
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import resnet20
from arq_nb.quant.policies import Policy
from arq_nb.search.config import SearchConfig
from arq_nb.search.environment import BitWidthEnv, uniform_policy
from arq_nb.train.finish import Finish
from arq_nb.train.training import Recipe

MUTATIONS = 9
SEEDS = {"uniform": 3, "late": 3, "activation-heavy": 3, "mutation 1": 3}  # of the others: one
WIDTHS = 2, 3, 4, 5, 6  # bits that programs choose from


@dataclass(frozen=True)
class Yard:
    "A network and how its policies are finished."
    name: str
    network: TrainStage
    model: Callable[..., nn.Module]     # makes one like it
    shape: tuple[int, int, int]
    classes: int
    budgets: tuple[float, ...]          # in bits everywhere
    finish: Finish
    images: int                         # training images of the fine-tuning
    harm_images: tuple[int, int]        # held-out images, and noise samples of each, of the ACR program
    held_out: int                       # images that judges look at; the others are for finals
    judge_images: int                   # training images for each candidate of a search

    def budget(self, bits: float) -> Budget:
        "What as many bits everywhere would cost."
        model = self.model(num_classes=self.classes)
        return Budget.bitops(model, self.shape, fraction=(bits / 32) ** 2)

    def running(self, backend: str) -> "Yard":
        "The same, judged and certified in another arithmetic, such as float32 on a GPU."
        return replace(self, finish=replace(self.finish, certify=replace(self.finish.certify, backend=backend)))

    @property
    def curvature(self) -> HarmStage: return HarmStage(self.network, by_curvature, WIDTHS)

    @property
    def acr_loss(self) -> HarmStage:
        images, samples = self.harm_images
        return HarmStage(self.network, partial(by_acr, images=images, samples=samples), WIDTHS)


POOL = replace(CIFAR, held_out=2_500)   # held out here; the shipped network has seen most of them, see chapter 25a
YARDS = {yard.name: yard for yard in (
    Yard("resnet20", ShippedStage(resnet20, POOL, 0.5), resnet20, (3, 32, 32), 10, (2.5, 3.0),
         Finish(Recipe(lr=0.02, consistency=5.0, augmenter=augment), Certify(n=1_000, backend="int8")), 20_000,
         (200, 100), 2_000, 12_000),
    Yard("mobilenet", NETWORKS[0.25], mobilenet_half, (3, 64, 64), 20, (3.0, 4.0),
         Finish(Recipe(epochs=4, lr=0.02, augmenter=augment), Certify(n=1_000, backend="int8")), 9_000,
         (100, 50), 600, 9_000))}
YARDS["mobilenet-0.5"] = replace(YARDS["mobilenet"], name="mobilenet-0.5", network=NETWORKS[0.5])


def wishes(env: BitWidthEnv, bits: float) -> dict[str, np.ndarray]:  # name -> a wish in bits for each decision
    "Shapes that a policy can have: where its bits lie, in depth and between weights and activations."
    steps = len(env.steps)
    depth = np.repeat(np.linspace(0, 1, steps // 2), 2)                       # 0: front, 1: back
    weight = np.array([kinds[0] == "weight" for _, kinds in env.steps])
    kinds = {layer.name: layer.kind for layer in env.budget.layers}
    depthwise = np.array([kinds[name] == "depthwise" for name, _ in env.steps])
    forward, pairs = 1e-3 * np.arange(steps), np.arange(steps) // 2
    return ({"depthwise-heavy": bits + 4 * depthwise + forward} if depthwise.any() else {}) | {
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
def policies(yard: str, bits: float) -> Mapping[str, Policy]:
    "Name -> policy, all different and within the budget; those of other methods come on top."
    env = SearchConfig().environment(YARDS[yard].budget(bits))
    uniform = env.project(env.actions_from(uniform_policy(env.budget, cut=True)))
    found = {uniform: "uniform"}
    for name, wish in wishes(env, bits).items():
        found.setdefault(env.project(((wish - 1.5) / 7).clip(0, 1)), name)
    for i, policy in enumerate(mutations(env, uniform, MUTATIONS)): found.setdefault(policy, f"mutation {i + 1}")
    return {name: policy for policy, name in found.items()}


def choices(yard: str, bits: float) -> dict[str, PolicyStage]:
    "Name -> how its policy is found."
    y, recipe = YARDS[yard], YARDS[yard].finish.recipe
    def stage(method: Callable, **more: object) -> PolicyStage: return PolicyStage(y.network, method, bits=bits, **more)
    def program(harm: HarmStage) -> ProgramStage: return ProgramStage(y.network, by_uniform_bits, bits, harm=harm)
    found = {name: stage(partial(given, text=policy.text)) for name, policy in policies(yard, bits).items()}
    learned = stage(partial(by_nipq, epochs=5), config=SearchConfig(augmenter=recipe.augmenter), images=2_000)
    return found | {"HAWQ": program(y.curvature), "NIPQ": learned, "ACR program": program(y.acr_loss)}


def study(yard: str, bits: str, backend: str = "int8") -> list[Stage]:
    "The networks of one budget: first every policy once and the float network, then the further seeds."
    y, stages = YARDS[yard].running(backend), choices(yard, float(bits)) | {"float32": YARDS[yard].network}
    def finished(name: str, seed: int = 0) -> FinishStage:
        return FinishStage(stages[name], name, y.finish, y.images, None, seed, half="open")
    once = [finished(name) for name in stages]
    more = [finished(name, seed)
            for seed in (1, 2) for name, seeds in SEEDS.items() if seed < seeds]
    slow = [stage for stage in once if stage.method == "ACR program"]   # half an hour of measuring before it
    return [*(stage for stage in once if stage not in slow), *more, *slow]


def name_of(yard: Yard, bits: float) -> str:
    "Of the packed networks."
    return f"headroom/{yard.name}-{bits:g}"


def rest(yard: str, bits: str, backend: str = "int8") -> list[Stage]:
    "What is not packed yet."
    return not_packed(study(yard, bits, backend), name_of(YARDS[yard], float(bits)))
