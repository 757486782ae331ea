"Studies: killed, out of time, made by processes, by Dask, by Accelerate; the presets and stored results of the pages."
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

from arq_nb.certify.logs import _only, CertificateLog
from arq_nb.certify.settings import Certify
from arq_nb.certify.smoothing import ABSTAIN
from arq_nb.core.record import load_tensors
from arq_nb.lab.stages import (
    _kept_judge,
    _parts,
    by_search,
    by_uniform_bits,
    FinishStage,
    Images,
    PolicyStage,
    TrainStage,
)
from arq_nb.lab.study import load_study, missing, Place, run, run_study, Stage, workers
from arq_nb.lab.tables import measure
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import resnet8, resnet20
from arq_nb.quant.policies import Policy
from arq_nb.search.agent import DDPGConfig
from arq_nb.search.judges import KeptJudge, RadiusJudge, SearchConfig
from arq_nb.search.rivals import random_search
from arq_nb.train.finish import Finish
from arq_nb.train.training import Recipe

sys.path.append(str(ROOT / "nbs" / "experiments"))

TOYS = '''
import os
import signal
import time
from dataclasses import dataclass
from arq_nb.lab.study import Stage


@dataclass(frozen=True)
class Count(Stage):
    "Counts to `steps`; is killed once at `die`, and at `wait` tells that it is there and waits for a file."
    steps: int
    die: int | None = None
    wait: int | None = None
    first: Stage | None = None

    def make(self, at):
        state, start = at.folder / "state.txt", at.of(self.first).result()["number"] if self.first else 0
        number = begun = int(state.read_text()) if state.exists() else start
        while number < start + self.steps:
            at.check_time()
            number += 1
            state.write_text(str(number))
            if number == self.die: os.kill(os.getpid(), signal.SIGKILL)
            while number == self.wait and not (at.root / "go").exists(): time.sleep(0.05)
        return {"number": number, "begun": begun}


deadly = [Count(5, die=3)]
waiting = [Count(5, wait=2)]
chain = [Count(2, first=Count(3)), Count(4)]
'''


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    "A file with studies that count, where other processes find it."
    path = tmp_path_factory.mktemp("toys") / "toy_study.py"
    path.write_text(TOYS)
    sys.path.insert(0, str(path.parent))
    yield path
    sys.path.remove(str(path.parent))


@pytest.fixture(scope="module")
def two(toys):
    "Two processes."
    with workers(2) as pool: yield pool


def digits() -> list[FinishStage]:
    "Three networks for digits, as small as can be."
    net = TrainStage(resnet8, Images("digits", held_out=40, test=6), 0.5, Recipe(epochs=1, lr=0.2, batch_size=512))
    config = SearchConfig(n=20, n0=10, n_p=10, agent=DDPGConfig(hidden=8))
    finish = Finish(Recipe(lr=0.02), Certify(n0=10, n=20))
    searched = PolicyStage(net, by_search, evaluations=2, config=config, images=40, held_out=4)
    chosen = {"float32": net, "uniform": PolicyStage(net, by_uniform_bits), "ARQ": searched}
    return [FinishStage(stage, name, finish, images=60) for name, stage in chosen.items()]


def test_shared_weights_of_the_settings_judge_in_a_study(tmp_path):
    searched = digits()[-1].chosen
    shared = replace(searched, config=searched.config.changed(weights="shared"))
    assert run([searched, shared], tmp_path) == []
    trained = {stage: list((tmp_path / stage.name).glob("shared-*.safetensors")) for stage in (searched, shared)}
    assert not trained[searched] and len(trained[shared]) == 1
    assert len(Place(tmp_path, shared).result()["history"]) == 2


def without_time(tree):
    "JSON without what no two runs have in common."
    if isinstance(tree, list): return [without_time(v) for v in tree]
    if not isinstance(tree, dict): return tree
    return {k: without_time(v) for k, v in tree.items() if "seconds" not in k and k not in ("provenance", "utc")}


def contents(folder: Path) -> dict:
    "What lies in a study's folder, without the time that it took."
    def content(path):
        if path.suffix == ".json": return without_time(json.loads(path.read_text()))
        if path.suffix == ".tsv": return [line.split("\t")[:5] for line in path.read_text().splitlines()]
        if path.suffix == ".safetensors":
            return {name: (t.shape, t.numpy().tobytes()) for name, t in load_tensors(path)[1].items()}
        return path.read_bytes()
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): content(path) for path in files}


@pytest.fixture(scope="module")
def made_here(tmp_path_factory) -> dict:
    "The small study, made by this process alone."
    folder = tmp_path_factory.mktemp("here")
    assert run(digits(), folder) == []
    return contents(folder)


def test_two_processes_write_the_same_files(two, made_here, tmp_path):
    assert run(digits(), tmp_path, two) == []
    assert contents(tmp_path) == made_here


def test_two_workers_of_dask_write_the_same_files(made_here, tmp_path):
    distributed = pytest.importorskip("distributed")
    about = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with distributed.LocalCluster(**about) as cluster, workers(scheduler=cluster.scheduler_address) as pool:
        assert run(digits(), tmp_path, pool) == []
    assert contents(tmp_path) == made_here


def test_a_search_of_a_study_that_goes_on_certifies_the_original_no_more(tmp_path, monkeypatch):
    "The state that a stop leaves: the network is trained, two policies are judged, and nothing is chosen yet."
    import arq_nb.search.judges as judges
    _, _, finish = digits()
    searched, built, build = finish.chosen, [], judges.build_cache
    def counting(*args, **options):
        built.append(args)
        return build(*args, **options)
    monkeypatch.setattr(judges, "build_cache", counting)
    assert run([searched], tmp_path) == []
    at = Place(tmp_path, searched)
    (at.folder / "result.json").unlink()
    more = _kept_judge(searched, at, searched.budget(at))
    assert len(more.known) == 2
    of_another_rank = replace(at, device="cpu:0")   # as "cuda:1" beside "cuda:0"
    assert _kept_judge(searched, of_another_rank, searched.budget(at)).known == more.known
    new = Policy.uniform(searched.network(at), 8, 8)
    own = more.judge
    assert more.evaluate(new) == RadiusJudge(own.model, own.train, own.holdout, own.sigma, own.config).evaluate(new)
    assert len(built) == 2   # the search's own, and that of the judge which has nothing kept


def test_two_processes_judge_the_candidates_of_a_search(two, tmp_path):
    _, _, finish = digits()
    at = Place(tmp_path, finish)
    parts, config = finish.float_stage.images.parts(at), finish.chosen.config
    judge = RadiusJudge(resnet8(), parts.some(40, 0, 1), parts.held_out(4), 0.5, config)
    budget = Budget.bitops(judge.model, parts.train.shape, fraction=1 / 64)
    kept = KeptJudge(lambda: judge, tmp_path / "judge.json", {})
    there = [random_search(one, budget, 3, config, two).history for one in (judge, kept)]
    assert judge.known == {}  # all of them were judged elsewhere
    here = random_search(judge, budget, 3, config).history
    assert [without_time(history) for history in there] == [without_time(here)] * 2
    assert len(kept.known) == 3


def test_accelerate_goes_through_the_stages_together(tmp_path):
    pytest.importorskip("accelerate")
    from conftest import launch
    script = ("import sys\nsys.path.append(sys.argv[1])\nfrom arq_nb.core.processes import init_processes\n"
              "init_processes()\nfrom arq_nb.lab.study import run\nfrom test_study import digits\n"
              "run(digits()[2:], sys.argv[2])\n")
    said = launch(script, str(Path(__file__).parent), str(tmp_path))
    lines = [line for line in said.splitlines() if " s  " in line]
    assert [line.split()[2].split("-")[0] for line in lines] == ["train", "policy", "finish"], said
    found = Place(tmp_path, digits()[2]).result()
    assert found["provenance"]["processes"] == 2
    assert len((tmp_path / digits()[2].name / "certificates.tsv").read_text().splitlines()) == 1 + 6


def test_a_study_is_a_table(made_here, tmp_path):
    net, uniform, arq = digits()
    from arq_nb.lab.study import measured
    assert measure(measured(digits(), tmp_path)).acr.isna().all()
    assert [stage.name.split("-")[0] for stage in missing([arq], tmp_path)] == ["train", "policy", "finish"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_one_process_writes_a_folder_and_a_killed_one_is_continued(toys, tmp_path):
    code = (f"from arq_nb.lab.study import load_study, run\nfor name in ('waiting', 'deadly'):\n"
            f"    run(load_study({str(toys)!r} + ':' + name), {str(tmp_path)!r})")
    waiting, deadly = (load_study(f"{toys}:{name}")[0] for name in ("waiting", "deadly"))
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        state = Place(tmp_path, waiting).folder / "state.txt"
        while not (state.exists() and state.read_text() == "2"):
            assert other.poll() is None
            time.sleep(0.05)
        with pytest.raises(ValueError, match="is being written by another process"): run([waiting], tmp_path)
        (tmp_path / "go").touch()
        assert other.wait() == -9
    assert Place(tmp_path, waiting).result()["number"] == 5
    assert missing([waiting, deadly], tmp_path) == [deadly]
    assert run([waiting, deadly], tmp_path) == []
    found = Place(tmp_path, deadly).result()
    assert (found["begun"], found["number"]) == (3, 5)


def test_time_is_over_in_a_pool(two, toys, tmp_path):
    chain = load_study(f"{toys}:chain")
    left = run(chain, tmp_path, two, minutes=0)
    assert len(left) == 3
    assert left == missing(chain, tmp_path)
    assert run(chain, tmp_path, two) == []
    assert [Place(tmp_path, stage).result()["number"] for stage in chain] == [5, 4]


def test_a_study_in_a_file(toys, tmp_path, capsys):
    assert run_study(f"{toys}:chain", tmp_path / "out", uncommitted=True) is None  # nothing in it is a network
    assert len([line for line in capsys.readouterr().out.splitlines() if "count-" in line]) == 3
    for study, problem in ((f"{toys}:nothing", "has no 'nothing'"), (f"{tmp_path}/none.py:a", "there is no file"),
                           (f"{toys}:os", "no list of stages"), ("arq_nb.lab.study", "say which stages")):
        with pytest.raises(ValueError, match=problem): load_study(study)


def test_uncommitted_code_is_refused_or_marked(toys, tmp_path, monkeypatch):
    from arq_nb.lab import study
    monkeypatch.setattr(study, "code_state", lambda: ("0123456789", tuple(f"arq_nb/{c}.py" for c in "abcdefg")))
    with pytest.raises(ValueError, match=r"arq_nb/a.py, .*arq_nb/e.py and 2 more differ from commit 0123456789"):
        run_study(f"{toys}:chain", tmp_path)
    assert not list(tmp_path.iterdir())
    run_study(f"{toys}:chain", tmp_path, uncommitted=True)
    origin = Place(tmp_path, load_study(f"{toys}:chain")[0]).result()["provenance"]
    assert (origin["commit"], len(origin["uncommitted"])) == ("0123456789-dirty", 7)
    monkeypatch.setattr(study, "code_state", lambda: ("unknown", ()))  # installed, no checkout
    run_study(f"{toys}:chain", tmp_path / "installed")


def test_a_packed_study_goes_on_in_another_folder(tmp_path, monkeypatch):
    import packed
    monkeypatch.setattr("arq_nb.lab.study.code_state", lambda: ("0123456789", ()))
    monkeypatch.setattr(packed, "RESULTS", tmp_path)
    one, two = stages = [replace(digits()[0], seed=seed) for seed in (0, 1)]
    assert packed.not_packed(stages, "some") == stages
    assert run([two], tmp_path / "here") == run([one], tmp_path / "there") == []
    assert packed.pack(stages, tmp_path / "here", tmp_path / "some.json") == 1
    assert packed.not_packed(stages, "some") == [one]
    assert packed.pack(stages, tmp_path / "there", tmp_path / "some.json") == 2
    assert packed.not_packed(stages, "some") == []
    assert [row["seed"] for row in packed.rows("some")] == [0, 1]
    other = [replace(stage, images=50) for stage in stages]
    with pytest.raises(ValueError, match="float32 0, float32 1; take another file"):
        packed.pack(other, tmp_path / "here", tmp_path / "some.json")


def test_stored_results_from_uncommitted_code_are_compared_with_none():
    from pictures import differences, results
    from stored import stored
    marked = [n for n in stored("cifar10_resnet20", "cpu").networks if n.facts.get("uncommitted")]
    assert marked
    assert all(n.log is not None for n in marked)
    short = stored("cifar10_resnet20", "cpu-short")
    dirty = {n.method for n in short.networks if n.facts["sigma"] == 0.25 and n.facts.get("uncommitted")}
    assert dirty
    assert "float32 (uncommitted code)" in results(short, 1).index
    assert results(short, 0.25).seeds["ARQ"] == "1 of 3"
    logs = sum(n.log is not None for n in short.networks)
    assert sum(len(short.logs(s, 4, m)) for s in (0.25, 0.5, 1) for m in {n.method for n in short.networks}) < logs
    assert differences(short, 0.25, reference="float32").seeds["ARQ"] == 1
    assert differences(short, 1, reference="float32").difference.isna().all()


def test_other_settings_are_another_stage(tmp_path):
    net = digits()[0].chosen
    changes = {}, {"sigma": 0.25}, {"recipe": Recipe(epochs=2)}, {"start": "other.safetensors"}
    assert len({replace(net, **change).name for change in changes}) == 4
    others = {replace(stage, chosen=replace(net, sigma=0.25)).name for stage in digits()}
    assert others.isdisjoint(stage.name for stage in digits())


def test_a_changed_result_is_refused(toys, tmp_path):
    (stage,) = load_study(f"{toys}:waiting")
    (tmp_path / "go").touch()
    run([stage], tmp_path)
    path = Place(tmp_path, stage).folder / "result.json"
    path.write_text(path.read_text().replace('"steps": 5', '"steps": 6'))
    with pytest.raises(ValueError, match="settings"): Place(tmp_path, stage).result()


def test_photographs_that_come_after_a_stage_are_noticed(tmp_path):
    from test_cli import album, photos
    three = ("apple", "berry", "cherry")
    images = Images("folder", (album(tmp_path / "album", three, three, count=6),), held_out=3, size=8, convert=True)
    assert Images(images.data, images.roots, convert=False).unused() == ["channels", "convert"]
    net = TrainStage(resnet20, images, 0.25, Recipe(epochs=1))
    quick = Finish(Recipe(epochs=1), Certify(n0=10, n=20))
    one = FinishStage(net, "float", quick)
    for _ in range(2): assert run([one], tmp_path / "study") == []
    photos(tmp_path / "album/test/apple/c_more", count=1, mode="RGBA")
    _parts.cache_clear()   # as in the next process
    with pytest.raises(ValueError, match="finish-.* was made with other settings: images=.*give the study another"):
        run([one, replace(one, seed=1)], tmp_path / "study")
    assert run([one, replace(one, seed=1)], tmp_path / "another") == []
    (tmp_path / "album").rename(tmp_path / "lost")
    assert run([one], tmp_path / "another") == []   # what is made needs no images


def test_images_and_budgets_are_checked(tmp_path, monkeypatch):
    monkeypatch.delenv("ARQ_REQUIRE_DATA", raising=False)
    with pytest.warns(UserWarning): pytest.raises(ValueError, Images("folder", ("nowhere.tar",)).found)
    stage = PolicyStage(digits()[0].chosen, by_uniform_bits, cost="weight")
    with pytest.raises(ValueError, match="choose from bitops, size"): stage.budget(Place(tmp_path, stage))
    leaking = replace(digits()[-1].chosen, held_out=41)   # one image more than the float network leaves
    with pytest.raises(ValueError, match="held_out=41 .* held_out=40"): run([leaking], tmp_path)


def test_uniform_bits_have_the_edges_of_the_search():
    stage = replace(digits()[1].chosen, config=SearchConfig(edge_bits=4))
    found = by_uniform_bits(stage, Place("nowhere", stage), Budget(resnet8(), (1, 8, 8), bits=4))
    assert found.policy.text.split()[::7] == ["4/4", "4/4"]


def test_presets_are_checked():
    from presets import CPU, EXPERIMENTS, study
    for change, problem in (({"holdout": 600}, "pool of 500"), ({"holdout": 500, "finalists": 2}, "finals need images"),
                            ({"finals_with": ("magic",)}, "are unknown"), ({"methods": ("magic",)}, "are unknown")):
        with pytest.raises(ValueError, match=problem): replace(CPU, **change)
    with pytest.raises(ValueError, match="no preset"): EXPERIMENTS["digits_resnet8"].preset("paper")
    with pytest.raises(ValueError, match="unknown experiment"): study("mnist")


def test_plans_begin_with_what_is_cheap():
    from presets import study
    stages = study("digits_resnet8", "smoke")
    assert [stage.method for stage in stages[:3]] == ["float32", "uniform_pact", "uniform_lsq"]
    assert [stage.seed for stage in stages] == sorted(stage.seed for stage in stages)
    assert len({stage.name for stage in stages}) == len(stages) == 20
    assert {s.method for s in study("digits_resnet8", "study-size")}.isdisjoint({"nipq", "float32"})


def test_stored_results_are_those_of_the_presets():
    from presets import EXPERIMENTS
    from stored import Stored
    count = 0
    for experiment in EXPERIMENTS.values():
        for preset in experiment.presets:
            stored = Stored(experiment, preset)
            if not stored.folder.exists(): continue
            records = [stored.read(cell) for cell in stored.cells]  # each is compared with the preset
            assert all({"commit", "processor", "versions", "utc"} <= r["provenance"].keys() for r in records if r)
            count += sum(network.log is not None for network in stored.networks)
    assert count == 271


def test_the_sealed_half_is_for_what_the_open_half_has():
    import bits
    from packed import rows
    found = {stage.method: stage for stage in bits.study("mobilenet", "4", "1", "sealed")}
    assert {*found} == {*bits.by_method(bits.networks(bits.YARDS["mobilenet"], 4.0))}
    for row in rows("bits/mobilenet-4"):
        if row["seed"] or row["method"] not in bits.SEARCHES: continue
        stage = found[row["method"]]
        assert stage.half == "sealed" and stage.chosen.method.keywords == {"text": row["policy"]}


def test_the_policies_of_searches_are_trained_anew(monkeypatch):
    import bits
    from packed import rows
    yard, texts = bits.YARDS["mobilenet"], {(r["method"], r["seed"]): r["policy"] for r in rows("bits/mobilenet-4")}
    stages = bits.study("mobilenet", "4", "3", "again")
    assert {(s.method, s.seed - bits.AGAIN) for s in stages} == {key for key in texts if key[0] in bits.SEARCHES}
    for stage in stages:
        assert stage.half == "open" and stage.start is yard.network
        assert stage.chosen.method.keywords == {"text": texts[stage.method, stage.seed - bits.AGAIN]}

    won = [one for one in bits.winners(yard, 4.0) if one.method in bits.SEARCHES]
    anew = {(one.method, one.seed): replace(one, facts=one.facts | {"device": "other"}) for one in won}
    monkeypatch.setattr(bits, "trained_anew", lambda yard, bits: anew)
    found = [(one.method in bits.SEARCHES, one.facts["device"] == "other") for one in bits.networks(yard, 4.0)]
    assert {*found} == {(True, True), (False, False)}   # in place of the winners of the finals
    del anew["RL", 0]
    assert not any(one.facts["device"] == "other" for one in bits.networks(yard, 4.0))   # all of a place, or none


def test_a_published_log_is_restated_for_fewer_samples():
    "Votes -> radius -> share -> votes comes back; a share just above one half abstains."
    from literature import share_of, with_samples

    from arq_nb.certify.bounds import clopper_pearson_lower
    votes = np.array([0, 40_000, 50_600, 60_000, 90_000, 99_999, 100_000])
    radius = 0.5 * stats.norm.ppf(np.maximum(clopper_pearson_lower(votes, 100_000, 0.001), 0.5))
    assert np.allclose(share_of(radius, 0.5, 100_000)[2:] * 100_000, votes[2:])
    label, predict = np.zeros(7, int), np.where(radius > 0, 0, ABSTAIN)
    log = CertificateLog(np.arange(7) * 2, label, predict, radius, (predict == label).astype(int), np.zeros(7))
    same, fewer = (with_samples(log, 0.5, n, of=100_000) for n in (100_000, 1_000))
    assert np.allclose(same.radius, radius) and same.predict.tolist() == predict.tolist()
    expected = 0.5 * stats.norm.ppf(clopper_pearson_lower(np.array([600, 900, 1_000, 1_000]), 1_000, 0.001))
    assert np.allclose(fewer.radius, [0, 0, 0, *expected])
    assert fewer.predict.tolist() == [ABSTAIN] * 3 + [0] * 4 and fewer.correct.tolist() == [0] * 3 + [1] * 4
    assert sorted(_only(log, [8, 4]).radius.tolist()) == sorted(radius[[4, 2]].tolist())


def test_a_search_is_taught_by_the_one_at_another_budget(tmp_path):
    import bits
    from methods import by_taught_search, TaughtStage
    found = {(stage.method, stage.seed): stage for stage in bits.study("mobilenet-0.5", "3", "2")}
    there = {stage.name for stage in bits.study("mobilenet-0.5", "4", "2")}
    for seed in range(2):
        finals = bits.searching(bits.YARDS["mobilenet-0.5"], 4.0, "ARQ", seed)
        earlier, = found[bits.TAUGHT, seed].chosen.search.earlier
        assert earlier.name == finals.search.name
        assert replace(found["ARQ", seed], chosen=finals).name in there   # the very search of the other table
    assert bits.TAUGHT not in {stage.method for stage in bits.study("mobilenet-0.5", "4")}

    float_stage = TrainStage(resnet8, Images(held_out=40), 0.5, Recipe(lr=0.2, batch_size=512))
    quick = dict(evaluations=3, images=40, held_out=4, config=SearchConfig(n=20, n0=10, n_p=10, progress=False))
    first = PolicyStage(float_stage, by_search, 5, **quick)
    second = TaughtStage(float_stage, by_taught_search, 3, **quick, earlier=(first,))
    alone = PolicyStage(float_stage, by_search, 3, **quick)
    assert run([first, second, alone], tmp_path) == []
    tried = [[row["policy"] for row in Place(tmp_path, stage).result()["history"]] for stage in (second, alone)]
    assert tried[0][0] == tried[1][0] and tried[0][1:] != tried[1][1:]   # the same beginning, then another model


def test_finals_and_rounded_starts(tmp_path):
    from presets import EXPERIMENTS, SMOKE
    from stored import Made
    small = replace(
        SMOKE, name="small", plan={(0.5, 4): 1}, methods=("float32", "uniform_lsq", "arq"), pool=40, holdout=6,
        evaluations=2, finalists=1, finals_with=("uniform_lsq",), search_images=40, test_images=6, aware_epochs=1,
        finish_images=60, search=SearchConfig(n=20, n0=10, n_p=10, agent=DDPGConfig(hidden=8)),
        training=Recipe(lr=0.2, batch_size=512), finish=Finish(Recipe(lr=0.02), Certify(n0=10, n=20)))
    made = Made(EXPERIMENTS["digits_resnet8"], small, tmp_path)
    assert made.run(uncommitted=True) == []
    finals, guest = made.search(0.5, 4, "arq"), made.search(0.5, 4, "uniform_lsq")
    assert guest["policy"] in [row["policy"] for row in finals["finalists"]]
    assert finals["finalists"][0]["acr"] == max(row["acr"] for row in finals["finalists"])
    assert finals["policy"] == finals["finalists"][0]["policy"]
    starts = [made.stage(*key).start for key in ((0.5, None, "float32", 0), (0.5, 4, "uniform_lsq", 0))]
    policies = [Place(tmp_path, start).result()["policy"] for start in starts]
    assert policies[0].split()[1] == "32/32"
    assert policies[1] == guest["policy"]
    assert isinstance(starts[0], Stage)
