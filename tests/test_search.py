"Contracts of the room `search` that no reader wants to see: refusals, states of other settings, kill and resume."
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from torch import nn

from arq_nb.certify.logs import average_certified_radius, certify_dataset
from arq_nb.certify.settings import certify_images
from arq_nb.certify.smoothing import SmoothedClassifier
from arq_nb.core.archives import load_dataset
from arq_nb.core.data import ImageData
from arq_nb.core.fingerprint import fingerprint
from arq_nb.core.record import one_writer, plain
from arq_nb.core.rng import JUDGMENT, make_generator
from arq_nb.quant.budgets import Budget, BudgetError
from arq_nb.quant.models import resnet8
from arq_nb.quant.policies import Policy
from arq_nb.search.agent import _ReplayBuffer, DDPG, DDPGConfig
from arq_nb.search.config import _PROPOSALS
from arq_nb.search.environment import BitWidthEnv, make_env, rollout, uniform_policy
from arq_nb.search.judges import _right_votes, AccuracyJudge, Evaluation, Judge, KeptJudge, RadiusJudge, SearchConfig
from arq_nb.search.rivals import agent_search, evolutionary_search, haq, random_search
from arq_nb.search.search import _Origin, _search_settings, read_history, row_policy, search
from arq_nb.search.sensitivities import _average_traces, acr_sensitivity, Curvature, integer_program, nipq
from arq_nb.search.shared_weights import SharedWeightsJudge
from arq_nb.train.training import Recipe

CONFIG = SearchConfig(n=100, n_p=50, agent=DDPGConfig(hidden=16, warmup_episodes=2), progress=False)
SHAPE = (1, 8, 8)


def small_network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return resnet8().eval()


@pytest.fixture(scope="module")
def network() -> nn.Module: return small_network()


@pytest.fixture(scope="module")
def budget(network) -> Budget: return Budget(network, SHAPE, bits=4)


@pytest.fixture(scope="module")
def images(request) -> tuple[ImageData, ImageData]:
    "A few digits for fine-tuning, and a few held out."
    train, holdout = load_dataset("digits").split(40, make_generator(0))
    return train.every(20), holdout.every(2)


def nothing(policy: Policy) -> float: return 0.0


class Counting:
    "Judges by the number of bits, and counts."
    def __init__(self): self.asked = 0

    def evaluate(self, policy: Policy) -> Evaluation:
        self.asked += 1
        return Evaluation(-sum(map(sum, policy.bits.values())), math.nan, math.nan)


# ---------------------------------------------------------------- environment

@pytest.mark.parametrize("settings, sentence", [
    (dict(mode="both"), "unknown mode 'both': allowed are 'separate', 'shared'"),
    (dict(min_bits=6, max_bits=4), "min_bits=6, max_bits=4"),
    (dict(max_bits=16), "max_bits=16"),
    (dict(evaluate=None), "evaluate=None must be a function")])
def test_environment_refuses_settings(budget, settings, sentence):
    with pytest.raises(ValueError, match=sentence): BitWidthEnv(**{"budget": budget, "evaluate": nothing} | settings)


def test_environment_needs_an_inner_layer():
    two = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="nothing to decide in 2 layer"):
        BitWidthEnv(Budget(two, SHAPE, bits=4), nothing)


def test_environment_refuses_a_budget_that_nothing_meets(network):
    tight, tighter = (Budget.bitops(network, SHAPE, fraction=1 / share) for share in (240, 1000))
    with pytest.raises(BudgetError, match="smallest reachable cost"): BitWidthEnv(tighter, nothing)
    with pytest.raises(BudgetError, match="with 4 bits in every free layer"): BitWidthEnv(tight, nothing, min_bits=4)
    with pytest.raises(BudgetError, match="smallest reachable cost"): uniform_policy(tighter)


@pytest.mark.parametrize("action, sentence", [
    (np.array([1.5]), "action 1.5 is outside of"), (np.array([np.nan]), "action nan is outside"),
    (np.array([0.1, 0.2]), r"expected \(1,\)"), ("three", "'three' is not a number")])
def test_step_refuses_actions_and_changes_nothing(budget, action, sentence):
    env = BitWidthEnv(budget, nothing)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=sentence): env.step(action)
    assert env.position == 0


def test_step_needs_an_episode(budget):
    env = BitWidthEnv(budget, nothing)
    with pytest.raises(ResetNeeded, match="has not begun"): env.step(np.array([0.5]))
    rollout(env, lambda observation: np.array([0.5]))
    with pytest.raises(ResetNeeded, match=r"call reset\(\)"): env.step(np.array([0.5]))


def test_rewards_are_finite(budget):
    env = BitWidthEnv(budget, lambda policy: math.nan)
    with pytest.raises(ValueError, match="evaluate returned nan"): rollout(env, lambda observation: np.array([0.5]))


def test_actions_of_policies_that_no_episode_ends_with(network, budget):
    env = BitWidthEnv(budget, nothing)
    for policy, sentence in ((env.uniform(3), "leaves a part of the budget unused"), (env.uniform(8), "over budget"),
                             (Policy.uniform(network, 3, 3), "first or last layer is not at 8 bits")):
        with pytest.raises(ValueError, match=sentence): env.actions_from(policy, exact=True)
    with pytest.raises(ValueError, match="differ in layers"): env.actions_from(Policy({"elsewhere": (4, 4)}))
    with pytest.raises(ValueError, match="no action gives 2 bits"):
        BitWidthEnv(budget, nothing, min_bits=3).actions_from(env.uniform(2))


def test_a_table_of_a_few_pairs_keeps_the_walk(network, budget, tmp_path):
    rows = [f"{l.name},{b},{b},{l.macs * b * b / 1e8}" for l in budget.layers for b in (2, 4, 8)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["layer,weight bits,activation bits,milliseconds", *rows]))
    env = BitWidthEnv(Budget.latency(network, SHAPE, path, fraction=0.3), nothing)
    assert env.project([0.9] * 12) == env.fit(env.uniform(8))


@pytest.fixture
def timed(network, budget, tmp_path):
    "Budgets by tables of times: milliseconds of a pair of bits, and the widths that the table has."
    def made(milliseconds, widths, limit):
        lines = [f"{l.name},{w},{a},{milliseconds(w, a)}" for l in budget.layers for w in widths for a in widths]
        path = tmp_path / "some.csv"
        path.write_text("\n".join(["layer,weight bits,activation bits,milliseconds", *lines]))
        return Budget.latency(network, SHAPE, path, limit=limit)
    return made


def int8_alone(w, a): return 1 if w == a == 8 else 3


@pytest.mark.parametrize("mode", ["separate", "shared"])
@pytest.mark.parametrize("proposals", _PROPOSALS)
def test_every_way_of_proposing_keeps_the_mode_and_the_budget(budget, timed, proposals, mode):
    config = CONFIG.changed(mode=mode, proposals=proposals)
    for limit in (budget, timed(lambda w, a: w * a, (2, 4, 8), 250), timed(int8_alone, (4, 8), 12)):
        for row in agent_search(Counting(), limit, 4, config).history:
            policy = row_policy(row)
            assert limit.allows(policy)
            assert mode == "separate" or all(w == a for w, a in policy.bits.values())


def test_a_table_where_fewer_bits_are_slower(network, timed):
    eight, emulated = Policy.uniform(network, 8, 8), timed(int8_alone, (4, 8), 8)
    assert uniform_policy(emulated) == uniform_policy(emulated, cut=True) == eight
    assert BitWidthEnv(emulated, nothing).project([0.1] * 12) == eight


def test_a_table_is_asked_for_allowed_bits_alone(timed):
    for mode in ("separate", "shared"):
        env = BitWidthEnv(timed(lambda w, a: w * a, (2, 8), 600), nothing, mode=mode, min_bits=4)
        assert {*env.project([0.0] * len(env.steps)).bits.values()} == {(8, 8)}
        with pytest.raises(BudgetError, match=r"bits from 2 to 8 for the layers \['layer1.0.conv1'"):
            BitWidthEnv(timed(lambda w, a: w, (32,), 900), nothing, mode=mode)


class Idle(nn.Module):
    "A head that is never called."
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.extra = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10), nn.Linear(64, 512)

    def forward(self, x): return self.c(self.b(self.a(x.flatten(1))))


@pytest.mark.parametrize("bits, settings", [(8, dict(bits=7.5)), (2, dict(fraction=0.13)), (6, dict(fraction=0.25))])
def test_layers_that_are_never_called_have_the_same_bits_everywhere(bits, settings):
    budget = Budget.bitops(Idle(), SHAPE, **settings) if "bits" in settings else Budget.size(Idle(), SHAPE, **settings)
    env, pairs = BitWidthEnv(budget, nothing), [(w, a) for w in range(2, 9) for a in range(2, 9)]
    by_program = integer_program(budget, {"b": {pair: -sum(pair) for pair in pairs}})
    some = [env.uniform(3), env.project([0.5, 0.5]), env.fit(env.uniform(8)), uniform_policy(budget), by_program]
    assert {policy.bits["extra"] for policy in [*some, uniform_policy(budget, cut=True)]} == {(bits, bits)}


def test_gymnasium_finds_the_environment_without_importing_its_module():
    program = "import gymnasium, arq_nb; print(len(gymnasium.make('ArqBitWidth-v0').unwrapped.steps))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "12"
    own = gymnasium.make("ArqBitWidth-v0", mode="shared", max_bits=6).unwrapped
    assert len(own.steps) == 6
    with pytest.raises(ValueError, match="both budget and evaluate"): make_env(evaluate=nothing)


# ---------------------------------------------------------------- agent

@pytest.mark.parametrize("name, value", [("tau", 2), ("tau", 0), ("batch_size", 0), ("noise", -1), ("discount", 1.5)])
def test_agent_refuses_settings(name, value):
    with pytest.raises(ValueError, match=f"{name}={value} (is out of range|must be a whole number)"):
        DDPGConfig(**{name: value})


def test_replay_buffer():
    memory, twin = _ReplayBuffer(3, 2, 1), _ReplayBuffer(3, 2, 1)
    with pytest.raises(ValueError, match="empty replay buffer"): memory.sample(1, make_generator(0))
    for i in range(4): memory.add([i, i], [i / 10], float(i), [i + 1, i + 1], i == 3)
    twin.load_state_dict(memory.state_dict())
    assert (len(twin), twin.position) == (3, memory.position)
    ours, theirs = (buffer.sample(8, make_generator(7)) for buffer in (memory, twin))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_agent_refuses_episodes_and_states():
    agent = DDPG(5, config=DDPGConfig(hidden=8))
    before = agent.state_dict()
    with pytest.raises(ValueError, match="at least one transition"): agent.end_episode([], 1.0)
    with pytest.raises(ValueError, match="missing in the state"): agent.load_state_dict({})
    larger = DDPG(5, config=DDPGConfig(hidden=16)).state_dict()
    with pytest.raises(ValueError, match=r"`actor.net.0.weight` is \(16, 5\) in the state and \(8, 5\) here"):
        agent.load_state_dict(larger)
    assert all(torch.equal(value, agent.state_dict()[name]) for name, value in before.items() if value.isfinite().all())


# ---------------------------------------------------------------- settings, judges

def test_one_seed_rules_a_search():
    config = SearchConfig(recipe=Recipe(seed=5), seed=2)
    assert (config.recipe.seed, config.certify.seed) == (2, 2)
    assert replace(config, seed=3).recipe.seed == 3
    assert SearchConfig().changed(seed=4) == SearchConfig(seed=4)


def test_settings_are_written_as_version_0_2_did():
    assert plain(SearchConfig(proposals="ranked").flat()) == plain(dict(
        mode="separate", min_bits=2, max_bits=8, edge_bits=8, epochs=1, lr=0.02, batch_size=128, weight_decay=5e-4,
        n0=100, n=1_000, n_p=100, alpha=0.001, alpha_zeta=0.001, gamma=0.99, consistency=0.0, backend="float32",
        reward_scale=0.1, change=4.0, candidates=32, agent=DDPGConfig(warmup_episodes=5, noise=0.2)))
    newer = SearchConfig(method="fixed", noise="sound", precision="bfloat16").flat()
    assert (newer["method"], newer["noise"], newer["precision"]) == ("fixed", "sound", "bfloat16")


def test_record_of_a_search_is_that_of_version_0_2(network, budget, images):
    train, holdout = images
    written = _search_settings(_Origin(network, train, 0.5, CONFIG), holdout, budget)
    assert [*written] == ["network", "train", "holdout", "sigma", "seed", "device", "augmenter", "config", "budget",
                          "judge", "starts"]
    assert (written["network"], written["judge"], written["starts"]) == (fingerprint(network), None, [])


def test_kept_judge(network, tmp_path):
    some, path, counting = [Policy.uniform(network, b, b) for b in (2, 3, 4)], tmp_path / "judge.json", Counting()
    answers = [KeptJudge(lambda: counting, path, {"seed": 0}).evaluate(policy) for policy in some[:2]]

    def stop(): raise TimeoutError
    again = KeptJudge(lambda: counting, path, {"seed": 0}, check=stop)
    assert [again.evaluate(policy).reward for policy in some[:2]] == [answer.reward for answer in answers]
    assert counting.asked == 2
    with pytest.raises(TimeoutError): again.evaluate(some[2])
    with pytest.raises(ValueError, match="judge.json was made with other settings: seed=0 there, 1 now; delete it"):
        KeptJudge(lambda: counting, path, {"seed": 1})


def test_all_judges_are_judges(network, budget, images):
    assert issubclass(RadiusJudge, Judge) and issubclass(AccuracyJudge, Judge) and issubclass(KeptJudge, Judge)
    judge = SharedWeightsJudge(network, *images, 0.5, budget, CONFIG, epochs=1)
    assert isinstance(judge, RadiusJudge) and judge.evaluate(uniform_policy(budget)).acr >= 0
    with pytest.raises(ValueError, match="holdout"): RadiusJudge(network, images[0], None, 0.5)


@pytest.mark.parametrize("method", ["fixed", "early"])
def test_candidates_are_certified_from_scratch_as_a_data_set_is(network, images, method, tmp_path):
    config = CONFIG.changed(method=method, noise="sound", n=200)
    judge, policy = RadiusJudge(network, *images, 0.5, config), Policy.uniform(network, 4, 4)
    asked = dict(data=images[1], certify=config.certify, progress=False)
    own = make_generator(config.seed, JUDGMENT).initial_seed()
    log = certify_dataset(judge.candidate(policy), path=tmp_path / "log.tsv", seed=own, **asked)
    assert judge.evaluate(policy).acr == average_certified_radius(log)


def test_the_noise_that_chooses_is_not_the_noise_that_certifies(network, images, monkeypatch):
    seeds = []
    def spy(classifier, pixels, settings):
        seeds.append(settings.seed)
        return certify_images(classifier, pixels, settings)
    monkeypatch.setattr("arq_nb.search.judges.certify_images", spy)
    for seed in (0, 1):
        judge = RadiusJudge(network, *images, 0.5, CONFIG.changed(method="fixed", n=100, seed=seed))
        judge.evaluate(Policy.uniform(network, 4, 4))
    assert seeds[0] == seeds[1] and seeds[2] == seeds[3]   # the float network and its candidates meet the same noise
    assert len({0, 1, seeds[0], seeds[2]}) == 4            # and no finished network of either seed meets it again


# ---------------------------------------------------------------- the search

def test_a_search_is_only_continued_by_the_same_search(network, budget, images, tmp_path):
    train, holdout = images
    same = dict(model=network, train=train, holdout=holdout, budget=budget, sigma=0.5, policies=2, out=tmp_path,
                config=CONFIG)
    search(**same | dict(policies=1))
    found = search(**same)
    assert len(found.history) == 2
    read = read_history(tmp_path / "history.csv")
    for there, row in zip(read, found.history):
        assert [there[name] for name in row if name != "policy"] == [row[name] for name in row if name != "policy"]
    permuted = small_network()   # the same sum of weights
    with torch.no_grad():
        permuted.linear.weight.copy_(network.linear.weight.flip(0))
        permuted.linear.bias.copy_(network.linear.bias.flip(0))
    relabeled = ImageData(holdout.images, holdout.labels.flip(0), holdout.classes)
    others = {"network=": dict(model=small_network(5)), "train=": dict(train=train.every(2)),
              "holdout=": dict(holdout=relabeled), "budget.limit=": dict(budget=Budget(network, SHAPE, bits=5)),
              "sigma=": dict(sigma=0.25),
              "seed=0 there, 1 now": dict(config=replace(CONFIG, seed=1)),
              "config.n_p=50 there, 60 now": dict(config=CONFIG.changed(n_p=60)),
              "config.noise=not noted there, 'sound' now": dict(config=CONFIG.changed(noise="sound"))}
    for sentence, change in (*others.items(), ("network=", dict(model=permuted))):
        with pytest.raises(ValueError, match=sentence): search(**same | change)
    with one_writer(tmp_path / "state.safetensors"):
        with pytest.raises(ValueError, match="state.safetensors is being written by another process"): search(**same)


def test_search_refuses_and_takes_older_names(network, budget, images):
    with pytest.raises(ValueError, match="policies=0"): search(network, *images, budget, 0.5, policies=0)
    with pytest.raises(ValueError, match="finishing on a test set needs a folder"):
        search(network, *images, budget, 0.5, policies=1, test=images[1])
    with pytest.raises(ValueError, match="'replays' is no setting"): search(network, *images, budget, 0.5, replays=3)
    start, judge = Policy.uniform(network, 2, 2), Counting()
    older = search(network, *images, budget, 0.5, episodes=3, evaluator=judge, starts=[start], config=CONFIG, seed=1)
    config = CONFIG.changed(judge=Counting(), warm_starts=[start], seed=1)
    newer = search(network, *images, budget, 0.5, 3, config=config)
    beside = search(network, *images, budget, 0.5, 3, None, config, seed=1)
    for other in (newer, beside):
        assert [row_policy(row) for row in older.history] == [row_policy(row) for row in other.history]
    assert (judge.asked, math.isnan(older.original_acr)) == (3, True)


def test_a_search_with_test_images_is_finished_on_them(network, budget, images, tmp_path):
    config = CONFIG.changed(test=images[1].every(4))
    found = search(network, *images, budget, 0.5, policies=1, out=tmp_path, config=config)
    assert len(found.certificates) == len(config.test)
    assert (tmp_path / "final" / "certificates.tsv").exists()


def test_bytes_are_a_budget_too(network, images):
    by_size = Budget.size(network, SHAPE, fraction=0.125)
    found = search(network, *images, by_size, 0.5, policies=2, config=CONFIG.changed(judge=Counting()))
    assert all(row["cost"] <= 0.125 for row in found.history)


def counted(monkeypatch, **modules):
    "Counts calls of functions, by module."
    calls = {}
    def counting(name, function):
        def called(*args, **options):
            calls[name] += 1
            return function(*args, **options)
        return called
    for module, names in modules.items():
        place = sys.modules[f"arq_nb.{module.replace('_', '.')}"]
        for name in names:
            calls[name] = 0
            monkeypatch.setattr(place, name, counting(name, getattr(place, name)))
    return calls


@pytest.mark.parametrize("method", ["incremental", "fixed"])
def test_a_search_that_goes_on_certifies_the_original_no_more(network, budget, images, method, tmp_path, monkeypatch):
    same = dict(model=network, train=images[0], holdout=images[1], budget=budget, sigma=0.5, config=CONFIG)
    same["config"] = CONFIG.changed(method=method)
    whole = search(**same, policies=3)
    calls = counted(monkeypatch, search_judges=["build_cache", "certify_images", "tune", "certify_incremental"])
    def asked(policies):
        calls.update(dict.fromkeys(calls, 0))
        found = search(**same, policies=policies, out=tmp_path)
        return found, (calls["tune"], calls["build_cache"], calls["certify_images"] + calls["certify_incremental"])
    scratch = method == "fixed"
    assert asked(2)[1] == (3, int(not scratch), 2 + scratch)   # the original, and two candidates
    found, counts = asked(3)
    assert counts == (1, 0, 1)
    assert asked(3)[1] == (0, 0, 0)
    def rows(result): return [{name: v for name, v in row.items() if name != "seconds"} for row in result.history]
    assert rows(found) == rows(whole)
    assert found.original_acr == whole.original_acr


def test_what_is_kept_of_the_original_is_made_anew_if_anything_differs(network, images, tmp_path, monkeypatch):
    calls, kept = counted(monkeypatch, search_judges=["build_cache"]), tmp_path / "original.safetensors"
    few = images[1].every(5)
    def judge(net=network, sigma=0.5, config=CONFIG, holdout=few):
        before, made = calls["build_cache"], RadiusJudge(net, images[0], holdout, sigma, config, kept)
        return made, calls["build_cache"] - before
    assert [judge()[1] for _ in range(2)] == [1, 0]
    relabeled = ImageData(few.images, few.labels.flip(0), few.classes)
    configs = [CONFIG.changed(**change) for change in (dict(n=80), dict(lr=0.01), dict(seed=1))]
    others = dict(net=small_network(1)), dict(sigma=0.25), dict(holdout=relabeled)
    for change in (*others, *(dict(config=config) for config in configs)):
        assert [judge(**change)[1] for _ in range(2)] == [1, 0], change
    kept.write_bytes(kept.read_bytes()[:100])   # damaged
    assert judge()[1] == 1
    assert judge(config=CONFIG.changed(n_p=20))[1] == 0   # of the candidates alone


def test_candidates_share_the_steps_of_equal_weights(network, images, monkeypatch):
    "As often fitted as there are different pairs of layer and bits; the evaluations are those of judges of their own."
    import arq_nb.quant.quantizers as quantizers
    calls, fit_step = [], quantizers._calibrated_scale
    def counting(x, *args):
        if x.ndim in (2, 4) and args[2] is not None: calls.append(x.shape)   # of weights, one step a channel
        return fit_step(x, *args)
    some = [Policy.uniform(network, w, a) for w, a in ((4, 4), (4, 2), (3, 4), (4, 8))]
    alone = [RadiusJudge(network, *images, 0.5, CONFIG).evaluate(policy) for policy in some]
    monkeypatch.setattr(quantizers, "_calibrated_scale", counting)
    judge = RadiusJudge(network, *images, 0.5, CONFIG)
    assert [judge.evaluate(policy) for policy in some] == alone
    assert len(calls) == 2 * len(some[0].layers)


PROGRAM = """
from test_search import CONFIG, SHAPE, small_network
from arq_nb.core.archives import load_dataset
from arq_nb.core.rng import make_generator
from arq_nb.quant.budgets import Budget
from arq_nb.search.search import search
train, holdout = load_dataset("digits").split(40, make_generator(0))
network = small_network()
budget = Budget(network, SHAPE, bits=4)
search(network, train.every(20), holdout.every(2), budget, 0.5, policies=5, out=folder, config=CONFIG)
"""


def policies_on_disk(folder: Path) -> int:
    lines = folder / "history.csv"
    return len(lines.read_text().splitlines()) - 1 if lines.exists() else 0


def test_a_killed_search_continues_to_the_same_end(tmp_path):
    folders = [tmp_path / name for name in ("killed", "whole")]
    start = [sys.executable, "-c", f"folder = {str(folders[0])!r}{PROGRAM}"]
    running = subprocess.Popen(start, cwd=Path(__file__).parent)
    while policies_on_disk(folders[0]) < 2 and running.poll() is None: time.sleep(0.01)
    running.kill()
    running.wait()
    assert policies_on_disk(folders[0]) >= 2   # all 5 where the machine is so busy that the end came before the kill
    for folder in folders: exec(PROGRAM, {"folder": folder})
    ended = [read_history(folder / "history.csv") for folder in folders]
    for row in (row for history in ended for row in history): row.pop("seconds")
    assert ended[0] == ended[1]
    assert Policy.load(folders[0] / "policy.json") == Policy.load(folders[1] / "policy.json")


# ---------------------------------------------------------------- rivals, sensitivities

def test_policies_are_counted(budget):
    for method in (agent_search, random_search, evolutionary_search):
        with pytest.raises(ValueError, match="policies=0"): method(Counting(), budget, 0)


@pytest.mark.parametrize("proposals", _PROPOSALS)
def test_every_way_of_proposing_is_continued(network, budget, images, proposals, tmp_path):
    config = CONFIG.changed(judge=Counting(), proposals=proposals, seed=1)
    whole = search(network, *images, budget, 0.5, 5, config=config)
    for policies in (3, 5): parts = search(network, *images, budget, 0.5, policies, out=tmp_path, config=config)
    assert [row["policy"] for row in parts.history] == [row["policy"] for row in whole.history]
    assert [row["kind"] for row in parts.history] == [row["kind"] for row in whole.history]
    assert len({str(row["policy"]) for row in parts.history}) == 5
    assert Policy.load(tmp_path / "policy.json") == parts.policy == whole.policy
    other = "random" if proposals == "mutation" else "mutation"
    with pytest.raises(ValueError, match="config.proposals="):
        search(network, *images, budget, 0.5, 6, out=tmp_path, config=replace(config, proposals=other))


def test_rivals_begin_alike_and_end_when_nothing_is_new(budget):
    one = CONFIG.changed(min_bits=3, max_bits=3)
    for method in (random_search, evolutionary_search):
        assert len(method(Counting(), budget, 5, one).history) == 1
        found = method(Counting(), budget, 4, replace(CONFIG, seed=1))
        assert [row["kind"] for row in found.history[:1]] == ["given"] and len(found.history) == 4


def test_haq_keeps_its_state(network, budget, images, tmp_path):
    first = haq(network, *images, budget, 0.5, 1, tmp_path, CONFIG)
    again = haq(network, *images, budget, 0.5, 2, tmp_path, CONFIG)
    assert repr(again.history[:1]) == repr(first.history)   # with NaN for the radius
    assert again.origin.model is network


class Loop(nn.Module):
    "A layer that is called twice."
    def __init__(self):
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 10)

    def forward(self, x): return self.head(self.body(self.body(self.stem(x))).mean((2, 3)))


class Borrowed(Loop):
    "A layer whose weight is used without it."
    def forward(self, x): return self.head(nn.functional.conv2d(self.stem(x), self.body.weight).mean((2, 3)))


@pytest.mark.parametrize("layers, name, why", [
    (Loop(), "body", "called more than once"), (Borrowed(), "body", "never called as a layer"),
    (nn.MultiheadAttention(8, 2), "in_proj", "never called as a layer")])
def test_curvature_by_an_input_needs_one_input(images, layers, name, why):
    with pytest.raises(ValueError, match=f"'{name}' is {why}"):
        _average_traces(layers, images[0], 0.5, [name], Curvature(draws=2, batches=1))


def test_sensitivities_refuse(network, budget, images):
    for name in ("draws", "batches", "batch_size"):
        with pytest.raises(ValueError, match=f"{name}=0"): Curvature(**{name: 0})
    with pytest.raises(ValueError, match=r"no sensitivity for the layers \['layer1.0.conv1'"):
        integer_program(budget, {})
    with pytest.raises(ValueError, match="sigma=0.0"): acr_sensitivity(network, *images, 0.0, config=CONFIG)
    with pytest.raises(ValueError, match="NIPQ trains without consistency=1.0"):
        nipq(network, images[0], budget, 0.5, Recipe(consistency=1.0))


@pytest.mark.parametrize("kind", [RadiusJudge, SharedWeightsJudge])
def test_a_plug_in_reward_needs_no_certificates(network, budget, images, kind, tmp_path, monkeypatch):
    "It is the same whatever the settings of certificates; what it says of the original is kept."
    train, holdout = images
    policy, plain = Policy.uniform(network, 4, 4), CONFIG.changed(reward="plug-in", samples=7)
    more = [budget] if kind is SharedWeightsJudge else []
    def judge(config): return kind(network, train, holdout, 0.5, *more, config)
    first, second = judge(plain), judge(plain.changed(n=200, n_p=100, gamma=0.9, alpha=0.01))
    assert first.evaluate(policy) == second.evaluate(policy)
    assert first.original_acr == second.original_acr
    assert first.cache is None
    assert judge(plain.changed(samples=8)).evaluate(policy) != first.evaluate(policy)
    if kind is SharedWeightsJudge: return
    kept = tmp_path / "original.safetensors"
    assert kind(network, train, holdout, 0.5, plain, kept).original_acr == first.original_acr
    monkeypatch.setattr(RadiusJudge, "candidate", None)   # from the file
    assert kind(network, train, holdout, 0.5, plain, kept).original_acr == first.original_acr


def test_settings_that_are_not_used_are_not_noted():
    assert "reward" not in SearchConfig().flat()
    assert "samples" not in SearchConfig(samples=20).flat()
    assert SearchConfig(reward="plug-in").flat()["samples"] == 10
    assert "reward" in SearchConfig(reward="plug-in").flat(judged=True)


@pytest.mark.parametrize("samples", [7, 120])
def test_few_votes_are_the_same_whatever_the_batch_size(network, images, samples):
    "And a batch is never much larger than asked for; logits that are not finite are refused."
    holdout, sizes = images[1], []
    def f(x):
        sizes.append(len(x))
        return network(x)
    def votes(f, batch_size):
        return _right_votes(SmoothedClassifier(f, 0.5, batch_size=batch_size), holdout, samples, 0)
    found = votes(f, 200)
    assert found.tolist() == votes(f, 60).tolist()
    assert max(sizes) <= 200
    assert 0 < found.sum() < samples * len(holdout)
    def broken(x): return network(x) / 0
    with pytest.raises(ValueError, match="NaN or infinite"): votes(broken, 60)
