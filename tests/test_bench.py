"What `make bench` measures can be measured, and a file of it has what the page about costs reads. No speed is asked."
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SMALL = "--rounds", "1", "--samples", "20", "--batch-size", "8", "--training-batch", "2", "--no-compile"


def test_what_is_far_slower_takes_part_in_one_round(monkeypatch):
    sys.path.append(str(ROOT / "tools"))
    import bench
    now = [0.0]
    def taking(seconds): return lambda: now.__setitem__(0, now[0] + seconds)
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench.time, "process_time", lambda: now[0])
    rates = bench.measure({"one": taking(1), "other": taking(2), "slow": taking(20)}, 10, rounds=3)
    assert rates == {"one": [10.0] * 3, "other": [5.0] * 3, "slow": [0.5]}


def test_a_file_of_figures_says_where_it_was_made(tmp_path):
    file = tmp_path / "here.json"
    file.write_text('{"judging": {}}\n')   # other parts are kept
    command = [sys.executable, "tools/bench.py", "certifying", "training", "setting_up", *SMALL, "--out", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found.pop("judging") == {}
    stored = json.loads((ROOT / "nbs/experiments/results/costs/zen5.json").read_text())
    for part, figures in found.items():
        assert figures.keys() == stored[part].keys()
        assert figures["processor"].keys() == {"name", "instructions"}
    rates = found["certifying"]["samples_per_second"]
    assert rates.keys() >= {"field's loop, batch 1000", "certify, plain", "certify, deployed"}
    assert found["training"]["given_back_and_kept"].keys() == found["training"]["images_per_second"].keys()
