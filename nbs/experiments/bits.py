"""Who finds the best bits, on equal terms: one float network, one judge, as many judgments, the same starts and finals.

    arq-nb experiment nbs/experiments/bits.py:study:mobilenet:4:3 --out runs/bits --minutes 60 --processes 2
    arq-nb experiment nbs/experiments/bits.py:study:resnet20:2.5:3:open:float32 --out runs/gpu --device cuda
    arq-nb experiment nbs/experiments/bits.py:study:mobilenet-0.5:3:3:again --out runs/bits --minutes 60

`rest` instead of `study` makes what `results/bits` does not have yet.

Every search begins with the uniform policy and those of HAWQ and NIPQ, asks the same judge, and hands in its two most
promising policies; these are finished and certified on held-out images that no search has seen, and the better one is
its answer. Methods that do not search have one answer and need no finals. The network that has won the finals was
chosen together with its training, so it is not the one that is compared: its policy is trained anew (`again`), from
the same float network, where that is kept.
`uniform` stands for three ways of cutting the same bits to the budget, whose mean is what all others are compared
with. The policies of the methods that calculate are those of the study of the head-room, and so are their networks, as
far as it has made them in the same arithmetic; what it has not made is made here.
"""
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import headroom
from headroom import name_of, Yard, YARDS
from judging import settings
from methods import by_taught_search, FinalsStage, given, TaughtStage
from packed import is_packed, not_packed, packed_networks, unpack
from yardstick import policies

from arq_nb.certify.logs import CertificateLog
from arq_nb.lab.evidence import Gap, gap, training_noise, TrainingNoise
from arq_nb.lab.stages import by_search, FinishStage, PolicyStage
from arq_nb.lab.study import Stage
from arq_nb.lab.tables import Measured
from arq_nb.search.judges import AccuracyJudge

UNIFORM = "uniform", "cut behind", "cut alternately"
KNOWN = *UNIFORM, "HAWQ", "NIPQ", "ACR program"
STARTS = "HAWQ", "NIPQ"
EVALUATIONS, FINALISTS = 20, 2
SHARED = "ARQ, shared weights"   # its judge trains once; then a judgment costs a tenth of the others', so it gets more
MANY = {SHARED: 100}             # method -> judgments, if not `EVALUATIONS`
TAUGHT = "ARQ, after 4 bits"     # its model also knows the rewards of ARQ's search at 4 bits, of the same seed
AGAIN = 1_000                    # added to the seed of a search's policy that is trained anew
by_clean_accuracy = partial(by_search, judge=AccuracyJudge)
SEARCHES = {   # method -> how it is rewarded, and what it proposes
    "ARQ": (by_search, "thompson"), "mutation": (by_search, "mutation"), "random": (by_search, "random"),
    "HAQ": (by_clean_accuracy, "actor"), "evolution": (by_search, "evolution"), "RL": (by_search, "actor in the model"),
    SHARED: (by_search, "thompson"), TAUGHT: (by_taught_search, "thompson")}
ORDER = *SEARCHES, "NIPQ", "HAWQ", "ACR program", UNIFORM[0], "float32"


def choices(yard: Yard, bits: float) -> dict[str, PolicyStage]:
    "Name -> a policy of the study of the head-room; where that has not made it, the stage that finds it."
    stages = headroom.choices(yard.name, bits)
    found = {name: stages[name] for name in (*UNIFORM, *STARTS)}
    if not is_packed(name_of(yard, bits)): return found
    some = policies(yard, bits)
    return found | {name: PolicyStage(yard.network, partial(given, text=some[name].text), bits)
                    for name in KNOWN if name in some}


def searching(yard: Yard, bits: float, method: str, seed: int) -> FinalsStage:
    "How a search comes to its policy."
    found, (by, proposals) = choices(yard, bits), SEARCHES[method]
    config = settings(yard)[0].changed(proposals=proposals, max_bits=8, weights="shared" if method == SHARED else "own")
    make = PolicyStage
    if method == TAUGHT: make = partial(TaughtStage, earlier=(searching(yard, 4.0, "ARQ", seed).search,))
    stage = make(yard.network, by, bits, evaluations=MANY.get(method, EVALUATIONS), images=yard.judge_images,
                 config=config, held_out=yard.held_out, starts=tuple(found[name] for name in STARTS), seed=seed)
    return FinalsStage(stage, (), FINALISTS, yard.finish, yard.images, 500, start=yard.network)


def searches_of(yard: Yard, bits: float) -> list[str]:
    "The searches of a comparison: of MobileNetV2 below 4 bits also one that 4 bits have taught."
    return [name for name in SEARCHES if name != TAUGHT or (yard.name.startswith("mobilenet") and bits < 4)]


def studied(yard: Yard, bits: float) -> list[Measured]:
    "What the study of the head-room has; the float network is the same for all budgets, so it may be another's."
    def some(budget): return unpack(name_of(yard, budget)) if is_packed(name_of(yard, budget)) else []
    found = some(bits)
    for other in yard.budgets:
        if any(one.method == "float32" for one in found): break
        found += [one for one in some(other) if one.method == "float32"]
    return found


def trained_anew(yard: Yard, bits: float) -> dict[tuple[str, int], Measured]:
    "(method, seed) -> what the policy of that search is worth, trained with another seed than in the finals."
    name = f"bits/{yard.name}-{bits:g}-again"
    found = unpack(name) if is_packed(name) else []
    return {(one.method, one.seed - AGAIN): replace(one, seed=one.seed - AGAIN) for one in found}


def winners(yard: Yard, bits: float) -> list[Measured]:
    "What the study has made: of searches the networks that have won their finals, and so were chosen."
    return unpack(f"bits/{yard.name}-{bits:g}")


def networks(yard: Yard, bits: float) -> list[Measured]:
    """All that is compared: what the study has made, and what it has from the study of the head-room.

    The policies of searches are trained anew, if all of them are; else searches stand there with their winners."""
    fresh, made = trained_anew(yard, bits), winners(yard, bits)
    if {(one.method, one.seed) for one in made if one.method in SEARCHES} <= fresh.keys():
        made = [fresh.get((one.method, one.seed), one) for one in made]
    have = {(one.method, one.seed) for one in made}
    return made + [one for one in studied(yard, bits)
                   if one.method in (*KNOWN, "float32") and (one.method, one.seed) not in have]


def by_method(some: Iterable[Measured]) -> dict[str, list[CertificateLog]]:
    "Method -> certificates, a log per seed."
    found = {}
    for one in some: found.setdefault(one.method, []).append(one.log)
    return found


def _of_methods(some: Iterable[Measured]) -> dict[str, list[CertificateLog]]:
    "Method -> logs, in the order of tables; of uniform bits the three ways of cutting them, with equal weight."
    found = by_method(some)
    cuts = [found[name] for name in UNIFORM if name in found]
    found[UNIFORM[0]] = [log for logs in cuts for log in logs[: min(map(len, cuts))]]
    return {name: found[name] for name in ORDER if name in found}


def compared(yard: Yard, bits: float) -> dict[str, list[CertificateLog]]:
    "The logs of a comparison, on the open half of the test images."
    return _of_methods(networks(yard, bits))


def sealed(yard: Yard, bits: float) -> dict[str, list[CertificateLog]]:
    "The same on the sealed half, of the first seed; empty where nobody has opened it."
    name = f"bits/{yard.name}-{bits:g}-sealed"
    return _of_methods(unpack(name)) if is_packed(name) else {}


def noise_of(yard: Yard, bits: float, uniform: bool | None = None, without: str = "") -> TrainingNoise | None:
    """What training moves, told by everything that was trained with several seeds; each cut of uniform bits for itself.

    The study of the head-room has more of these; they count where both were trained on a CPU, or both on a GPU.
    `uniform`: by uniform bits alone, or by everything else: they may train more unevenly than what is compared.
    `without`: a method that is to tell nothing."""
    every = networks(yard, bits)
    devices = {one.facts["device"] for one in every}
    every += [one for one in studied(yard, bits)
              if one.method not in (*KNOWN, "float32") and one.facts["device"] in devices]
    found = by_method(every)
    return training_noise(logs for name, logs in found.items()
                          if name != without and (uniform is None or (name in UNIFORM) == uniform))


def noise_between(yard: Yard, bits: float, *methods: str) -> TrainingNoise | None:
    "The noise of training in a comparison of some methods: uniform bits tell it only where they take part."
    return noise_of(yard, bits, None if UNIFORM[0] in methods else False)


def leads(yard: Yard, bits: float, pooled: bool = False) -> dict[str, Gap]:
    """ARQ minus each rival; its own variants, uniform bits and the float network are none.

    `pooled`: with the noise of training of all networks, uniform bits among them."""
    methods = compared(yard, bits)
    rivals = [name for name in methods if not name.startswith("ARQ") and name not in (*UNIFORM, "float32")]
    own = noise_of(yard, bits) if pooled else noise_between(yard, bits, *rivals)
    return {name: gap(methods["ARQ"], methods[name], own) for name in rivals}


def handed_in(yard: Yard, bits: float, seed: int) -> dict[str, PolicyStage]:
    "Method -> the policy that it has handed in, as the table of the open half tells."
    found = {one.method: one.facts["policy"] for one in networks(yard, bits) if one.seed == seed}
    return {name: PolicyStage(yard.network, partial(given, text=found[name]), bits)
            for name in (*KNOWN, *SEARCHES) if name in found}


def study(yard: str, bits: str, seeds: str = "1", half: str = "open", backend: str = "int8") -> list[Stage]:
    """The networks of the comparison; those that only need to be finished come first, then seed after seed.

    `half` "sealed" is for what the table of the open half has: nothing is searched for it, the policies are given.
    "again" trains the policies of searches anew, on the open half."""
    y, at, every = YARDS[yard].running(backend), float(bits), range(int(seeds))
    def finish(stage: Stage, name: str, seed: int) -> FinishStage:
        return FinishStage(stage, name, y.finish, y.images, y.network, seed, half="open" if half == "again" else half)
    if half == "again":
        return [finish(stage, name, seed + AGAIN) for seed in every
                for name, stage in handed_in(y, at, seed).items() if name in SEARCHES]
    if half == "sealed":
        return [finish(stage, name, seed) for seed in every
                for name, stage in {**handed_in(y, at, seed), "float32": y.network}.items()]
    before = packed_networks(name_of(y, at)) if backend == "int8" else ()  # in its study
    found = {**choices(y, at), "float32": y.network}
    known = [finish(stage, name, seed) for seed in every for name, stage in found.items() if (name, seed) not in before]
    return known + [finish(searching(y, at, name, seed), name, seed) for seed in every for name in searches_of(y, at)]


def rest(yard: str, bits: str, seeds: str = "1", half: str = "open", backend: str = "int8") -> list[Stage]:
    "What is not packed yet."
    name = f"bits/{yard}-{float(bits):g}" + ("" if half == "open" else f"-{half}")
    return not_packed(study(yard, bits, seeds, half, backend), name)
