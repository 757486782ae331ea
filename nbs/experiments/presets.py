"""The experiments of these pages as data: networks, images, methods and sizes, and the stages that they are made of.

`study` gives the stages of an experiment and a preset; in pieces of any length, on as many cores as there are:

    arq-nb experiment nbs/experiments/presets.py:study:cifar10_resnet20:cpu --out runs/cifar10-cpu --minutes 10
"""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from methods import (
    AwareStage,
    by_chance,
    by_evolution,
    by_haq,
    by_hawq,
    by_nipq,
    by_program,
    FinalsStage,
    ImageNetSample,
    ShippedStage,
)
from torch import nn

from arq_nb.certify.settings import Certify
from arq_nb.core.data import augment
from arq_nb.lab.stages import by_search, by_uniform_bits, FinishStage, Images, PolicyStage, TrainStage
from arq_nb.lab.study import Stage
from arq_nb.quant.models import mobilenet_v2, pretrained, resnet8, resnet20, resnet50
from arq_nb.quant.quantizers import LSQ, PACT
from arq_nb.search.agent import DDPGConfig
from arq_nb.search.judges import SearchConfig
from arq_nb.train.finish import Finish
from arq_nb.train.training import Recipe

TITLES = {  # all methods, from cheap to dear, and what tables call them
    "float32": "float32", "uniform_pact": "uniform, PACT", "uniform_lsq": "uniform, LSQ", "hawq": "HAWQ",
    "nipq": "NIPQ", "acr_program": "ACR program", "random": "random", "evolutionary": "evolutionary", "haq": "HAQ",
    "arq": "ARQ"}
AGENTS = "haq", "arq"                         # methods that the agent's settings decide
SEARCHES = "random", "evolutionary", *AGENTS  # methods that judge policies, and have finals


@dataclass(frozen=True)
class Preset:
    "Everything that an experiment's outcome and price depend on, besides the network and the images."
    name: str                          # also that of the results' folder
    plan: Mapping[tuple[float, int], int]  # (sigma, equivalent bits of the budget) -> number of seeds
    methods: tuple[str, ...] = tuple(TITLES)
    cost: str = "bitops"               # what the budget counts: "bitops" or "size"
    training: Recipe = Recipe()        # of the float network, if none ships with the package
    pool: int = 500                    # training images that are never trained on
    holdout: int = 200                 # the first so many of them drive the searches
    evaluations: int = 24              # different policies that a search may judge
    starts: tuple[str, ...] = ()       # methods whose policies ARQ judges first
    search: SearchConfig = SearchConfig()  # how a policy is judged, and the agent
    finalists: int = 1                 # best policies of a search that are finished and certified on unseen images
    finals_with: tuple[str, ...] = ()  # methods whose policies ARQ takes to its finals beside its own
    search_images: int | None = 2_000  # training images that fine-tune each candidate, and NIPQ; None: all
    program_images: int = 50           # held-out images of the ACR program
    program_samples: int = 40          # noise samples it replays for each image and each of 14 widths of a layer
    nipq_epochs: int = 5               # passes of NIPQ over the search images
    aware_epochs: int = 0              # passes at the budget's uniform bits before any final fine-tuning; 0: none
    aware_lr: float = 0.05             # peak learning rate of those
    finish_images: int | None = 10_000  # training images of the final fine-tuning; None: all
    finish: Finish = Finish(Recipe(lr=0.02), Certify(n=1_000))
    test_images: int = 128             # at most so many, evenly spread
    size: int | None = None            # side of the images; None: the experiment's own
    max_images: int | None = None      # decode at most so many files of each part (ImageNet); None: all
    start: str | None = None           # .safetensors file that the float network begins with; None: random weights
    archives: tuple[str, ...] | None = None  # instead of the experiment's own

    def __post_init__(self):
        for name in ("methods", "starts", "finals_with"):
            if unknown := sorted({*getattr(self, name)} - {*TITLES}): raise ValueError(f"{name}: {unknown} are unknown")
        if not self.holdout <= self.pool: raise ValueError(f"holdout={self.holdout} of a pool of {self.pool}")
        if (self.finalists > 1 or self.finals_with) and self.holdout == self.pool:
            raise ValueError(f"finals need images of the pool ({self.pool}) that drive no search ({self.holdout})")

    @property
    def planned_methods(self) -> list[str]:
        "In the order of `TITLES`; the penalty of NIPQ counts bit operations and nothing else."
        return [m for m in TITLES if m in self.methods and (m, self.cost) != ("nipq", "size")]

    def has_finals(self, method: str | None) -> bool:
        "Whether a method's policies are finished and certified before one of them is handed in."
        return method in SEARCHES and self.finalists > 1 or method == "arq" and bool(self.finals_with)


@dataclass(frozen=True)
class Experiment:
    "A network and the images that it is measured on."
    name: str                          # also that of the results' folder
    model: Callable[..., nn.Module]
    images: Images                     # the preset says how many
    shape: tuple[int, int, int]        # channels, height and width of an image
    classes: int
    presets: tuple[Preset, ...]
    augmenter: Callable | None = augment

    def preset(self, name: str) -> Preset:
        "The preset of that name."
        found = {p.name: p for p in self.presets}
        if name not in found: raise ValueError(f"{self.name} has no preset {name!r}: choose from {', '.join(found)}")
        return found[name]


# Sizes. `smoke` shows that all works, and its numbers mean nothing. `cpu` is for two cores: four minutes for a search
# and as many for a finish. `gpu-short` is what a large GPU does in ten minutes. `study` makes a search take a minute.
SMOKE = Preset(
    "smoke", {(0.5, 4): 2}, training=Recipe(epochs=8, lr=0.2), pool=100, holdout=40, evaluations=4, finalists=2,
    search=SearchConfig(n=100, n_p=50, agent=DDPGConfig(warmup_episodes=2)), search_images=200, program_images=10,
    program_samples=10, nipq_epochs=2, finish_images=400, finish=Finish(Recipe(lr=0.02), Certify(n0=20, n=100)),
    test_images=20)
CPU = Preset(
    "cpu", {(0.25, 4): 3, (0.5, 4): 1, (1.0, 4): 1}, training=Recipe(epochs=12, precision="bfloat16"), evaluations=20,
    starts=("hawq", "nipq"), search=SearchConfig(n=500, backend="int8"), search_images=1_000, program_images=40,
    program_samples=25, finish_images=20_000, finish=Finish(Recipe(lr=0.02), Certify(n=1_000, backend="int8")))
AGREEING = Finish(Recipe(lr=0.02, consistency=5.0), CPU.finish.certify)
GPU_SHORT = replace(
    CPU, name="gpu-short", plan={(sigma, 4): 1 for sigma in (0.25, 0.5, 1.0)}, holdout=250, finalists=2,
    search=SearchConfig(consistency=5.0), search_images=4_000, finish_images=None, test_images=255,
    finish=Finish(Recipe(epochs=2, lr=0.02, consistency=5.0), Certify(n=1_000)))
STUDY = Preset(
    "study", {(0.5, 3): 3}, training=Recipe(epochs=30, lr=0.2), pool=300, holdout=150, starts=("hawq", "nipq"),
    search=SearchConfig(n=500), search_images=1_000, program_images=40, program_samples=25, finish_images=None,
    finish=Finish(Recipe(epochs=5, lr=0.02), Certify(n=1_000)), test_images=360)

# One change to `cpu` at a time: a quarter of the final fine-tuning; three epochs at uniform bits before it; copies of
# an image that shall agree (the same policies); the same for each candidate, and a tighter budget; that with guests.
CIFAR_SMOKE = replace(SMOKE, plan={(0.25, 4): 1}, training=Recipe(), pool=500, holdout=16, test_images=8,
                      archives=("cifar10-original-subset.tar.xz",))
CPU_SHORT = replace(CPU, name="cpu-short", finish_images=5_000)
CPU_AWARE = replace(CPU, name="cpu-aware", plan={(0.25, 4): 1}, methods=("float32", "uniform_lsq"), aware_epochs=3)
CONSISTENT = replace(CPU, name="cpu-consistent", finish=AGREEING)
THREE_BITS = replace(CONSISTENT, name="cpu-3bit", plan={(0.5, 3): 1}, search=CPU.search.changed(consistency=5.0))
GUESTS = "uniform_lsq", "hawq", "nipq"
WITH_GUESTS = replace(THREE_BITS, name="cpu-3bit-finals", methods=("float32", *GUESTS, "arq"), finals_with=GUESTS)


def _alone(name: str, agent: Mapping | None = None, **search: object) -> Preset:
    "`study` with one change, for ARQ alone."
    config = replace(STUDY.search.changed(**search), agent=replace(STUDY.search.agent, **agent or {}))
    return replace(STUDY, name=f"study-{name}", methods=("arq",), starts=(), search=config)


VARIANTS = (
    _alone("alone"), _alone("lambda-0.01", reward_scale=0.01), _alone("lambda-1", reward_scale=1.0),
    _alone("np-25", n_p=25), _alone("np-400", n_p=400), _alone("noise-0.05", {"noise": 0.05}),
    _alone("noise-0.5", {"noise": 0.5}), _alone("warmup-4", {"warmup_episodes": 4}),
    _alone("warmup-20", {"warmup_episodes": 20}), _alone("change-1", change=1.0), _alone("change-12", change=12.0),
    replace(_alone("finalists"), finalists=3, starts=STUDY.starts),
    replace(_alone("size"), cost="size", starts=("hawq",),
            methods=("uniform_lsq", "hawq", "acr_program", "random", "evolutionary", "haq", "arq")))

# ImageNet: a run-through on a part of the sample, at 48 pixels, which is enough to see that every line works.
IMAGENET_SMOKE = replace(
    SMOKE, plan={(0.25, 4): 1}, methods=("float32", "uniform_pact", "uniform_lsq", "arq"), size=48,
    training=Recipe(lr=0.01, batch_size=64), pool=20, holdout=4, evaluations=3, finalists=1,
    max_images=100, search=SearchConfig(n=50, n0=10, n_p=20, agent=DDPGConfig(warmup_episodes=2)), search_images=16,
    finish_images=32, test_images=4, finish=Finish(Recipe(lr=0.02), Certify(n0=10, n=50)))
RESNET_SMOKE = replace(IMAGENET_SMOKE, methods=("float32", "uniform_lsq", "arq"), holdout=2, evaluations=2,
                       finish_images=16, test_images=2)

CIFAR = Images("cifar10", ("cifar10-jpeg.tar.xz", "cifar10-original-subset.tar.xz"))
IMAGENET = ImageNetSample(roots=("imagenet-sample-1000.tar",), size=224)
EXPERIMENTS = {e.name: e for e in (
    Experiment("digits_resnet8", resnet8, Images(), (1, 8, 8), 10, (SMOKE, STUDY, *VARIANTS), augmenter=None),
    Experiment("cifar10_resnet20", resnet20, CIFAR, (3, 32, 32), 10,
               (CIFAR_SMOKE, CPU, GPU_SHORT, CPU_SHORT, CPU_AWARE, CONSISTENT, THREE_BITS, WITH_GUESTS)),
    Experiment("imagenet_resnet50", resnet50, IMAGENET, (3, 224, 224), 1000, (RESNET_SMOKE,)),
    Experiment("imagenet_mobilenetv2", mobilenet_v2, IMAGENET, (3, 224, 224), 1000, (IMAGENET_SMOKE,)))}


def methods_of(preset: Preset) -> dict[str, Callable]:
    "What each method's `PolicyStage` calls."
    program = partial(by_program, images=preset.program_images, samples=preset.program_samples)
    return {"uniform_pact": by_uniform_bits, "uniform_lsq": by_uniform_bits, "hawq": by_hawq,
            "nipq": partial(by_nipq, epochs=preset.nipq_epochs), "acr_program": program, "random": by_chance,
            "evolutionary": by_evolution, "haq": by_haq, "arq": by_search}


@dataclass(frozen=True)
class Stages:
    "Makes the stages of an experiment with a preset."
    experiment: Experiment
    preset: Preset

    def images(self) -> Images:
        "The experiment's images, as many as the preset says."
        p, images = self.preset, self.experiment.images
        sizes = {} if p.size is None else {"size": p.size}
        if isinstance(images, ImageNetSample): sizes["max_images"] = p.max_images
        return replace(images, roots=p.archives or images.roots, held_out=p.pool, test=p.test_images, **sizes)

    def network(self, sigma: float) -> Stage:
        "The float network: the package's own where it has one."
        e, p = self.experiment, self.preset
        if (getattr(e.model, "__name__", ""), sigma) in pretrained(): return ShippedStage(e.model, self.images(), sigma)
        return TrainStage(e.model, self.images(), sigma, replace(p.training, augmenter=e.augmenter), p.start)

    def finish(self, method: str) -> Finish:
        "Fine-tuning and certification of a method's network."
        finish = self.preset.finish
        recipe = replace(finish.recipe, augmenter=self.experiment.augmenter)
        return replace(finish, recipe=recipe, quantizer=PACT if method == "uniform_pact" else LSQ)

    def start(self, sigma: float, bits: int | None) -> Stage | None:
        "Where the final fine-tuning begins."
        p = self.preset
        if not p.aware_epochs: return None
        recipe = Recipe(epochs=p.aware_epochs, lr=p.aware_lr, augmenter=self.experiment.augmenter)
        budget = None if bits is None else PolicyStage(self.network(sigma), by_uniform_bits, bits, p.cost)
        return AwareStage(self.network(sigma), budget, recipe)

    def choice(self, sigma: float, bits: int, method: str, seed: int) -> Stage:
        "How a method comes to its policy."
        p = self.preset
        def others(names): return tuple(self.choice(sigma, bits, name, seed) for name in names if method == "arq")
        config = p.search.changed(augmenter=self.experiment.augmenter)
        counts = dict(evaluations=p.evaluations, images=p.search_images, held_out=p.holdout, seed=seed)
        stage = PolicyStage(self.network(sigma), methods_of(p)[method], bits, p.cost, config=config, **counts,
                            starts=others(p.starts))
        if not p.has_finals(method): return stage
        return FinalsStage(stage, others(p.finals_with), p.finalists, self.finish(method), p.finish_images,
                           p.test_images, self.start(sigma, bits))

    def finished(self, sigma: float, bits: int | None, method: str, seed: int) -> FinishStage:
        "A network of the table."
        chosen = self.network(sigma) if method == "float32" else self.choice(sigma, bits, method, seed)
        start = self.start(sigma, None if method == "float32" else bits)
        return FinishStage(chosen, method, self.finish(method), self.preset.finish_images, start, seed)

    def all(self) -> list[FinishStage]:
        "In the order in which they are best run: the float network first, then the methods from cheap to dear."
        plan, found = sorted(self.preset.plan, key=lambda key: (key[0], abs(key[1] - 4))), {}
        for seed in range(max(self.preset.plan.values())):
            for sigma, bits in plan:
                for method in self.preset.planned_methods if seed < self.preset.plan[sigma, bits] else ():
                    key = sigma, None if method == "float32" else bits, method, seed
                    found.setdefault(key, self.finished(*key))
        return [*found.values()]


def study(
    experiment: str,         # one of `EXPERIMENTS`
    preset: str = "smoke",   # one of its presets
    methods: str = "",       # names with commas between them; "": all
) -> list[Stage]:
    "The stages of an experiment."
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}: choose from {', '.join(EXPERIMENTS)}")
    chosen = EXPERIMENTS[experiment]
    found = Stages(chosen, chosen.preset(preset)).all()
    return [stage for stage in found if not methods or stage.method in methods.split(",")]
