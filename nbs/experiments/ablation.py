"""What in a search finds policies: proposals and ways of handing in, on a stand-in of known truth (chapter 17).

    python nbs/experiments/ablation.py resnet20           # results/ablation/resnet20.json, written anew after each seed
    python nbs/experiments/ablation.py resnet20 earlier   # searches taught by another budget: a file beside it
"""
import json
import sys
import time
from pathlib import Path

from arq_nb.core.record import write_atomically
from arq_nb.lab.study import provenance
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import resnet8, resnet20
from arq_nb.quant.policies import Policy
from arq_nb.search.additive import AdditiveModel, best_policy
from arq_nb.search.config import SearchConfig
from arq_nb.search.rivals import agent_search, StandIn, values_handed_in
from arq_nb.search.search import row_policy

NETWORKS = {"resnet8": (resnet8, (1, 8, 8)), "resnet20": (resnet20, (3, 32, 32))}
NOISES, SEEDS, POLICIES, BITS = (0.15, 0.5), 12, 40, 4
COUNTS = 2, 5, 10, 15, 20, 25, 30, 35, 40
METHODS = {   # what the chapter calls it -> proposals, and whether the rough guess is the prior's scale
    "thompson": ("thompson", False), "thompson with a guess": ("thompson", True), "ranked": ("ranked", False),
    "no actor": ("ranked without actor", False), "actor only (HAQ)": ("actor", False),
    "DDPG in the model": ("actor in the model", False), "not ranked": ("mutation", False),
    "evolution": ("evolution", False), "random": ("random", False)}
SLOW = ["DDPG in the model"]   # thousands of updates a search: last
EARLIER = {"thompson after 3 bits": 3, "thompson after 5 bits": 5}   # method -> the budget that was searched before


def budget_of(name: str, bits: float) -> Budget:
    make, shape = NETWORKS[name]
    return Budget(make(), shape, bits=bits)


def rewards_elsewhere(budget: Budget, judge: StandIn, config: SearchConfig) -> dict[Policy, float]:
    "What a search at another budget has found out; its judgments are off by as much as those of the judge."
    room = StandIn(budget, judge.seed).room
    other = StandIn(budget, judge.seed, judge.noise * judge.room / room, stream=3)
    found = agent_search(other, budget, POLICIES, config).rewards
    return {policy: reward * other.room / judge.room for policy, reward in found.items()}   # in the unit of the judge


def one_search(name: str, noise: float, seed: int, method: str) -> dict:
    "True values of what would be handed in after some numbers of judgments."
    budget, (proposals, guess) = budget_of(name, BITS), METHODS.get(method, ("thompson", False))
    judge = StandIn(budget, seed, noise)
    config = SearchConfig(seed=seed, proposals=proposals, prior=judge.guess if guess else None)
    if method in EARLIER:
        known = rewards_elsewhere(budget_of(name, EARLIER[method]), judge, config)
        config = config.changed(earlier=[known])
    begin = time.perf_counter()
    history = agent_search(judge, budget, POLICIES, config).history
    seconds = time.perf_counter() - begin
    lucky, likely = zip(*values_handed_in(judge, history, config, COUNTS))
    env, optimum = config.environment(budget), []
    for count in COUNTS:
        policies, rewards = [row_policy(r) for r in history[:count]], [r["reward"] for r in history[:count]]
        model = AdditiveModel(env, config.prior, config.earlier).fit(policies, rewards)
        optimum.append(judge.value(best_policy(env, model.mean)))
    values = {"luck": lucky, "posterior": likely, "optimum": optimum}
    return {"noise": noise, "seed": seed, "method": method, "seconds": round(seconds, 1),
            **{how: [round(value, 4) for value in some] for how, some in values.items()}}


def main(name: str, which: str = "") -> None:
    rows, groups = [], {"": ([method for method in METHODS if method not in SLOW], SLOW), "earlier": ([*EARLIER],)}
    path = Path(__file__).parent / "results" / "ablation" / f"{'-'.join(filter(None, (name, which)))}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"network": name, "policies": POLICIES, "counts": COUNTS, "provenance": provenance()}
    for methods in groups[which]:
        for seed in range(SEEDS):
            rows += [one_search(name, noise, seed, method) for noise in NOISES for method in methods]
            found = json.dumps({**about, "rows": rows}, separators=(",", ":")).replace("},{", "},\n{")
            write_atomically(path, lambda p, text=found: p.write_text(text + "\n"))
            print(f"{name}: seed {seed} of {', '.join(methods)}", flush=True)


if __name__ == "__main__": main(*sys.argv[1:])
