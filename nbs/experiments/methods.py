"""What the paper compares, as stages and methods for `arq_nb.lab.stages`: the rivals, finals, a warm start."""
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from arq_nb.certify.logs import average_certified_radius
from arq_nb.core.archives import drop_near_duplicates, load_dataset
from arq_nb.core.data import ImageData
from arq_nb.core.record import Record
from arq_nb.core.settings import changed
from arq_nb.lab.stages import by_search, Images, PolicyStage, TrainStage
from arq_nb.lab.study import Place, Stage
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import load_pretrained, load_weights, pretrained_record, save_weights
from arq_nb.quant.policies import dequantize, Policy
from arq_nb.quant.quantizers import FLOAT_BITS
from arq_nb.search.judges import AccuracyJudge, Judge, SearchConfig
from arq_nb.search.rivals import agent_search, evolutionary_search, random_search
from arq_nb.search.search import SearchResult
from arq_nb.search.sensitivities import acr_program, acr_sensitivity, hawq, hessian_sensitivity, integer_program, nipq
from arq_nb.train.finish import finetune, Finish, finish
from arq_nb.train.training import evaluate, Recipe

@dataclass(frozen=True)
class ImageNetSample(Images):
    "ImageNet; of a sample that has no train folder, every tenth image is for testing and the others for training."
    data: str = "imagenet"
    max_images: int | None = None  # decode at most so many files of each part; None: all

    def read(self, root: Path | None, split: str) -> ImageData:
        about = dict(size=self.size, max_images=self.max_images)
        if (root / "train").is_dir():
            return load_dataset(self.data, root, "train" if split == "train" else "val", **about)
        sample = load_dataset(self.data, root, "val", **about)
        chosen, part = torch.arange(len(sample)) % 10 == 0, "every tenth"
        if split == "train": chosen, part = ~chosen, "nine of ten"
        name = f"{sample.name}, {part} (a sample of the training set: a run-through, not a result)"
        return replace(sample.subset(chosen), name=name)


@dataclass(frozen=True)
class ShippedStage(TrainStage):
    "A float network that comes with the package: how good it is on held-out images."
    files: ClassVar = ()

    def network(self, at: Place) -> nn.Module:
        model = load_pretrained(self.model.__name__, self.sigma)
        return model.to(at.device, memory_format=torch.channels_last).eval()

    def make(self, at: Place) -> dict:
        model, unseen = self.network(at), self.images.parts(at).held_out(self.images.held_out)
        accuracy = {"accuracy": evaluate(model, unseen), "accuracy_under_noise": evaluate(model, unseen, self.sigma)}
        return {"record": pretrained_record(self.model.__name__, self.sigma), "held_out": unseen.name, **accuracy}


@dataclass(frozen=True)
class AwareStage(Stage):
    "The float network, trained with the bits of a policy: a start for the fine-tuning of others."
    files: ClassVar = ("aware.safetensors",)
    float_stage: TrainStage
    chosen: PolicyStage | None = None  # whose policy it is trained with; None: 32 bits
    recipe: Recipe = Recipe(epochs=3, lr=0.05)

    def network(self, at: Place) -> nn.Module:
        return load_weights(self.float_stage.untrained(at), at.of(self).folder / self.files[0])

    def make(self, at: Place) -> dict:
        start, parts, sigma = self.float_stage.network(at), self.float_stage.images.parts(at), self.float_stage.sigma
        policy = Policy.uniform(start, FLOAT_BITS, FLOAT_BITS)
        if self.chosen is not None: policy = self.chosen.policy(at)
        state = at.folder / "training.safetensors"
        network, history = finetune(start, policy, parts.train, sigma, self.recipe, checkpoint=state)
        save_weights(dequantize(network), at.folder / self.files[0])
        unseen = parts.held_out(self.float_stage.images.held_out)
        return {"policy": policy.text, "history": history, "accuracy": evaluate(network, unseen, sigma)}


@dataclass(frozen=True)
class FinalsStage(Stage):
    """A search's best policies and those of guests, finished and certified on images that no search has seen.

    The best of them is handed in: what is judged after a few steps of training may have been lucky."""
    search: PolicyStage
    guests: tuple[PolicyStage, ...] = ()  # other methods, whose policies are certified too
    finalists: int = 1                    # best policies of the search
    finish: Finish = Finish()             # as all networks of the comparison
    images: int | None = None             # training images of it
    certified: int = 128                  # at most so many held-out images
    start: Stage | None = None            # as in `FinishStage`

    @property
    def float_stage(self) -> Stage: return self.search.float_stage

    @property
    def bits(self) -> float: return self.search.bits

    def network(self, at: Place) -> nn.Module: return self.search.network(at)

    def policy(self, at: Place) -> Policy: return Policy.load(at.of(self).folder / "policy.json")

    def unseen(self, at: Place) -> ImageData:
        "Held-out images that drive no search, evenly spread."
        images = self.float_stage.images
        parts = images.parts(at)
        data = drop_near_duplicates(parts.held_out(images.held_out), parts.held_out(self.search.held_out))
        return data.every(math.ceil(len(data) / self.certified))

    def make(self, at: Place) -> dict:
        searched, seed, unseen = at.of(self.search).result(), self.search.seed, self.unseen(at)
        rewards = {row["policy"]: row["reward"] for row in searched["history"]}
        best = searched["ranking"][: self.finalists]   # by expectation: the luckiest judgment is not the best policy
        like = self.search.policy(at)
        some = [*(as_policy(text, like) for text in best), *(guest.policy(at) for guest in self.guests)]
        train, network = self.float_stage.images.parts(at).some(self.images, seed, 2), (self.start or self).network(at)
        asked, found = changed(self.finish, progress=False), []
        for place, policy in enumerate(dict.fromkeys(some)):
            at.check_time()
            out = at.folder / f"finalist{place}"
            log = finish(network, policy, train, unseen, self.float_stage.sigma, out, asked, seed=seed)
            record, text = Record.read(out / "record.json"), policy.text
            seconds, acr = record["train_seconds"] + record["certify_seconds"], average_certified_radius(log)
            about = {"place": place, "reward": rewards.get(text), "acr": acr, "seconds": seconds}
            found.append({"policy": text, **about})
        found.sort(key=lambda row: -row["acr"])
        as_policy(found[0]["policy"], like).save(at.folder / "policy.json")
        seconds = searched["search_seconds"] + sum(row["seconds"] for row in found)
        names = "evaluations", "original_acr", "history"
        about = {name: searched[name] for name in names}
        return {"policy": found[0]["policy"], "finalists": found, "search_seconds": round(seconds, 1), **about}


def by_acr(stage: "HarmStage", at: Place, images: int, samples: int) -> dict:
    "Loss of ACR on so many held-out images, with so many noise samples for each width of a layer."
    parts = stage.float_stage.images.parts(at)
    config = SearchConfig(n=1_000, n_p=samples, seed=stage.seed, progress=False)
    train, holdout = parts.some(2_000, stage.seed, 1), parts.held_out(images)
    return acr_sensitivity(stage.network(at), train, holdout, stage.sigma, stage.widths, config=config)


def by_curvature(stage: "HarmStage", at: Place) -> dict:
    "HAWQ's average Hessian traces times squared rounding errors."
    train = stage.float_stage.images.parts(at).train
    return hessian_sensitivity(stage.network(at), train, stage.sigma, stage.widths, seed=stage.seed)


@dataclass(frozen=True)
class HarmStage(Stage):
    "What each width of each layer does harm, measured once for all budgets."
    float_stage: TrainStage
    method: Callable[["HarmStage", Place], dict]  # such as `by_curvature`
    widths: tuple[int, ...] = (2, 3, 4, 5, 6)     # bits to choose from
    seed: int = 0

    @property
    def sigma(self) -> float: return self.float_stage.sigma

    def network(self, at: Place) -> nn.Module: return self.float_stage.network(at)

    def harm(self, at: Place) -> dict[str, dict[tuple[int, int], float]]:
        "Layer -> (weight bits, activation bits) -> harm."
        def pair(text): return tuple(map(int, text.split("/")))
        return {n: {pair(k): v for k, v in row.items()} for n, row in at.of(self).result()["harm"].items()}

    def make(self, at: Place) -> dict:
        found = self.method(self, at)
        return {"harm": {n: {f"{w}/{a}": v for (w, a), v in row.items()} for n, row in found.items()}}


@dataclass(frozen=True)
class ProgramStage(PolicyStage):
    "The policy with the least sum of harms."
    harm: HarmStage | None = None

    def make(self, at: Place) -> dict:
        policy = integer_program(self.budget(at), self.harm.harm(at))
        policy.save(at.folder / "policy.json")
        seconds = at.of(self.harm).result()["provenance"]["seconds"]
        about = {"cost": self.budget(at).fraction(policy), "search_seconds": seconds}
        return {"policy": policy.text, "evaluations": 0, "history": [], **about}


def as_policy(
    text: str,     # "8/8 4/3 8/8"
    like: Policy,  # with the same layers
) -> Policy:
    "The policy of which this is the `text`."
    return Policy({name: tuple(map(int, bits.split("/"))) for name, bits in zip(like.bits, text.split())})


def by_hawq(stage: PolicyStage, at: Place, budget: Budget) -> SearchResult:
    train = stage.float_stage.images.parts(at).train
    return SearchResult(hawq(stage.network(at), train, budget, stage.sigma, seed=stage.seed), [], math.nan)


def by_nipq(stage: PolicyStage, at: Place, budget: Budget, epochs: int) -> SearchResult:
    train = stage.float_stage.images.parts(at).some(stage.images, stage.seed, 1)
    recipe = Recipe(epochs=epochs, lr=0.02, augmenter=stage.config.recipe.augmenter, seed=stage.seed)
    return SearchResult(nipq(stage.network(at), train, budget, stage.sigma, recipe)[0], [], math.nan)


def by_program(stage: PolicyStage, at: Place, budget: Budget, images: int, samples: int) -> SearchResult:
    parts = stage.float_stage.images.parts(at)
    config = stage.config.changed(seed=stage.seed, n_p=samples, progress=False)
    train, holdout = parts.some(stage.images, stage.seed, 1), parts.held_out(images)
    policy = acr_program(stage.network(at), train, holdout, budget, stage.sigma, config=config)
    return SearchResult(policy, [], math.nan)


def given(stage: PolicyStage, at: Place, budget: Budget, text: str) -> SearchResult:
    "A policy that somebody wrote down."
    policy = as_policy(text, Policy.uniform(stage.network(at), 8, 8))
    if not budget.allows(policy): raise ValueError(f"{text} costs {budget.cost(policy):,.0f} of {budget.limit:,.0f}")
    return SearchResult(policy, [], math.nan)


@dataclass(frozen=True)
class TaughtStage(PolicyStage):
    "A search that knows what searches at other budgets, with the same judge, have found out."
    earlier: tuple[PolicyStage, ...] = ()


def by_taught_search(stage: TaughtStage, at: Place, budget: Budget) -> SearchResult:
    def rewards(other: PolicyStage) -> dict[Policy, float]:
        history, like = at.of(other).result()["history"], other.policy(at)
        return {as_policy(row["policy"], like): row["reward"] for row in history}
    known = tuple(map(rewards, stage.earlier))
    def told(judge: Judge, budget: Budget, policies: int, config: SearchConfig) -> SearchResult:
        return agent_search(judge, budget, policies, config.changed(earlier=known))
    return by_search(stage, at, budget, told)


by_chance = partial(by_search, search=random_search)
by_evolution = partial(by_search, search=evolutionary_search)
by_haq = partial(by_search, judge=AccuracyJudge)
