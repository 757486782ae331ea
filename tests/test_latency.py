"Times of layers: what is measured, what is not measured twice, and what is refused. No test looks at a clock."
import json

import pytest
from torch import nn

from arq_nb.lab import cli
from arq_nb.lab.commands import _policy_of
from arq_nb.lab.runs import Run
from arq_nb.quant import latency
from arq_nb.quant.budgets import Budget
from arq_nb.quant.latency import measure_latency
from arq_nb.quant.policies import Policy

SHAPE = 3, 6, 6


class Twice(nn.Module):
    "One layer that is called twice, two of equal shape, and one that is never called."
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.never, self.last = nn.Linear(5, 5), nn.Linear(108, 2)

    def forward(self, x): return self.last(self.second(self.first(self.first(x))).flatten(1))


class Machine:
    "Takes a millisecond for each weight bit; is stopped when it has measured so often."
    def __init__(self, stop=None): self.stop, self.prepared, self.measured = stop, [], 0

    def about(self): return {"name": "machine"}

    def __call__(self, layer, images, bits):
        self.prepared.append((str(layer), tuple(images.shape), bits))
        def run():
            if self.measured == self.stop: raise KeyboardInterrupt
            self.measured += 1
            return bits[0] * 1e-3
        return run


def measured(path, machine, **more):
    settings = dict(bits=(4, 8), rounds=6, batch=2, runtime=machine, progress=False) | more
    return measure_latency(Twice(), SHAPE, path, **settings)


def test_equal_calls_are_measured_once_and_every_call_counts(tmp_path):
    machine = Machine()
    times = measured(tmp_path / "t.csv", machine).set_index(["layer", "weight bits", "activation bits"])
    assert len(machine.prepared) == 2 * 4   # two shapes, four pairs of bits
    assert {shape for _, shape, _ in machine.prepared} == {(2, 3, 6, 6), (2, 108)}
    assert times.milliseconds["first", 4, 8] == pytest.approx(2 * 4 / 2)   # two calls, two images
    assert times.milliseconds["second", 4, 8] == pytest.approx(4 / 2)
    assert times.milliseconds["never", 4, 8] < 1e-3
    assert times["runs as"]["never", 4, 8] == "never called"
    assert times["runs as"]["first", 4, 8] == "4 by 8 bits"
    budget = Budget.latency(Twice(), SHAPE, tmp_path / "t.csv", fraction=1)
    policy = Policy({"first": (4, 8), "second": (8, 8), "never": (8, 8), "last": (4, 4)})
    assert budget.cost(policy) == pytest.approx(2 * 2 + 4 + 2, rel=1e-5)


def test_a_stop_loses_nothing_but_the_round(tmp_path):
    path, whole = tmp_path / "t.csv", measured(tmp_path / "whole.csv", Machine())
    with pytest.raises(KeyboardInterrupt): measured(path, Machine(stop=2 * 8 + 3))
    assert not path.exists()
    kept = json.loads((tmp_path / "t.csv.json").read_text())["about"]["seconds"]
    assert {len(values) for values in kept.values()} == {2}
    machine = Machine()
    assert measured(path, machine).equals(whole)
    assert machine.measured == 4 * 8
    more = Machine()
    measured(path, more, rounds=9)
    assert more.measured == 3 * 8


@pytest.mark.parametrize("change, words", [
    (dict(bits=(4,)), "bits="), (dict(batch=1), "batch=2 there, 1 now"), (dict(rounds=5), "rounds=5 must be a whole"),
    (dict(batch=0), "batch=0 must be"), (dict(bits=()), "measures nothing"), (dict(bits=(4, 12)), r"bits \(4, 12\)")])
def test_what_is_refused(tmp_path, change, words):
    measured(tmp_path / "t.csv", Machine())
    with pytest.raises(ValueError, match=words): measured(tmp_path / "t.csv", Machine(), **change)


def test_another_machine_does_not_go_on(tmp_path, monkeypatch):
    measured(tmp_path / "t.csv", Machine())
    monkeypatch.setattr(latency, "processor", lambda: {"name": "another", "instructions": []})
    with pytest.raises(ValueError, match="processor.name=.* there, 'another' now"):
        measured(tmp_path / "t.csv", Machine())


def test_a_layer_that_cannot_be_run_is_named(tmp_path):
    pytest.importorskip("openvino")
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(ValueError, match="layer '0' cannot be timed: only convolutions with zero padding"):
        measure_latency(network, SHAPE, tmp_path / "t.csv", progress=False)
    assert not (tmp_path / "t.csv.json").exists()


@pytest.mark.parametrize("saturates", [False, True])
def test_halves_are_another_kernel(monkeypatch, saturates):
    monkeypatch.setattr(latency, "kernels_saturate", lambda: saturates)
    kernel = latency._OpenVINO().kernel
    assert kernel((8, 8)) == ("int8 in halves" if saturates else "int8")
    assert {kernel((7, 8)), kernel((8, 7)), kernel((2, 4))} == {"int8"}
    assert {kernel((8, 32)), kernel((32, 8)), kernel((32, 32))} == {"float32"}


def test_from_a_terminal(tmp_path, capsys):
    pytest.importorskip("openvino")
    Run().save(tmp_path)
    words = ["--out", str(tmp_path)]
    assert cli.main(["search", *words, "--milliseconds", "1"]) == 2   # nothing is trained yet
    assert cli.main(["train", *words, "--epochs", "1"]) == 0
    assert cli.main(["search", *words, "--milliseconds", "1"]) == 2
    assert f"first run `arq-nb latency --out {tmp_path}`" in capsys.readouterr().err
    assert cli.main(["latency", *words, "--bits", "4", "7", "8", "--rounds", "6"]) == 0
    assert "int8 (4, 7" in capsys.readouterr().out
    network = Run().network(10)
    budget = Budget.latency(network, (1, 8, 8), tmp_path / "latency.csv", fraction=1)
    assert budget.cost(Policy.uniform(network, 4, 4)) == budget.cost(Policy.uniform(network, 7, 7))
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "budget.json").write_text(json.dumps({"milliseconds": 0.1}))
    assert _policy_of("uniform8", tmp_path, network, (1, 8, 8)) == Policy.uniform(network, 8, 8)
