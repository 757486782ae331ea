"Four networks of torchvision that the library has never seen, as `make zoo` examines 149."
import csv
import subprocess
import sys

import pytest
from conftest import ROOT

NETWORKS = "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", "swin_t"


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, dict[str, str]]:
    "One line of the zoo's table for each, made by one program, which imports PyTorch once."
    table = tmp_path_factory.mktemp("zoo") / "zoo.tsv"
    command = [sys.executable, ROOT / "tools/zoo.py", "--out", table, *(f"torchvision/{name}" for name in NETWORKS)]
    said = subprocess.run(command, capture_output=True, text=True)
    if not table.exists(): pytest.fail(said.stdout + said.stderr, pytrace=False)
    return {row["network"]: row for row in csv.DictReader(table.open(encoding="utf-8"), delimiter="\t")}


@pytest.mark.parametrize("name", NETWORKS)
def test_is_right(name, rows):
    row = rows[f"torchvision/{name}"]
    assert row["verdict"] == "passed", row["reason"]
