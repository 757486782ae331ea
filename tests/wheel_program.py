"Run by test_package.py beside an installed wheel: every module imports, and the front door works on small images."
import importlib
import importlib.util
import pkgutil
import sys

TOOLS = "nbdev", "execnb", "ghapi", "nbconvert", "jupyterlab", "notebook"


class Absent:
    "As if the notebook tools were not installed."
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in TOOLS: raise ModuleNotFoundError(f"arq_nb imported {name}, a notebook tool")


if "without-tools" in sys.argv: sys.meta_path.insert(0, Absent())
else: assert not [t for t in TOOLS if importlib.util.find_spec(t)], "a notebook tool came with the package"

import torch  # noqa: E402

import arq_nb as arq  # noqa: E402

for found in pkgutil.walk_packages(arq.__path__, "arq_nb."):
    if not found.name.endswith("__main__"): importlib.import_module(found.name)

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)).eval()
small = arq.calibrate(arq.quantize(net, arq.Policy.uniform(net, 4, 4)), torch.rand(2, 1, 8, 8))
print(arq.__version__, arq.SmoothedClassifier(small, 0.25).certify(torch.rand(1, 8, 8), n0=10, n=100))
