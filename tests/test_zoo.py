"Four networks of torchvision that the library has never seen, as `make zoo` examines 149."
import subprocess
import sys

import pytest
from conftest import ROOT

NETWORKS = "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", "swin_t"


@pytest.mark.parametrize("name", NETWORKS)
def test_is_right_or_refused_by_name(name, tmp_path):
    command = [sys.executable, ROOT / "tools/zoo.py", "--out", tmp_path / "zoo.tsv", f"torchvision/{name}"]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode: pytest.fail(said.stdout + said.stderr, pytrace=False)
