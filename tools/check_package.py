"""Does the package stand without notebook tools?

By default: sdist and wheel into dist/, the wheel into an empty environment with nothing but what it asks for
(some 5 GB and two minutes), and `arq demo` there, in miniature. PYTHON chooses the interpreter. With --here: the wheel
unpacked beside the present environment, whose notebook tools are made unimportable, once with the fastcore that nbdev
needs and once with the newest, which users get; seconds instead of minutes, so `make test` does that.
"""
import os, subprocess, sys, tempfile, zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = "nbdev", "execnb", "ghapi", "nbconvert", "jupyterlab", "notebook"
PROBE = f"""
import importlib, importlib.util, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TOOLS}: raise ModuleNotFoundError(f"arq_nb imported {{name}}, a notebook tool")
if "--here" in sys.argv: sys.meta_path.insert(0, Absent())
else: assert not [t for t in {TOOLS} if importlib.util.find_spec(t)], "a notebook tool came with the package"
import arq_nb
assert "arq_nb" in arq_nb.__file__ and {str(ROOT)!r} not in arq_nb.__file__, arq_nb.__file__
modules = [m.name for m in pkgutil.iter_modules(arq_nb.__path__)]
for name in modules: importlib.import_module(f"arq_nb.{{name}}")
import fastcore, torch
print("arq_nb", arq_nb.__version__, "imports beside fastcore", fastcore.__version__, *modules)
from arq_nb.policies import Policy, calibrate, quantize
from arq_nb.smoothing import SmoothedClassifier, make_generator
net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)).eval()
small = calibrate(quantize(net, Policy.uniform(net, 4, 4)), torch.rand(2, 1, 8, 8))
print(SmoothedClassifier(small, 0.25).certify(torch.rand(1, 8, 8), n0=10, n=100, generator=make_generator(0)))
sys.argv = ["arq", "--help"]
from arq_nb.cli import main
try: main()
except SystemExit as end: assert not end.code, end.code
"""


def run(*command, cwd=None, env=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def probe(python, folder: Path, *args, env=None):
    (folder / "probe.py").write_text(PROBE)
    return run(python, folder / "probe.py", *args, cwd=folder, env=env)


def here(folder: Path):
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive: archive.extractall(folder / "site")
    def beside(*paths): return probe(sys.executable, folder, "--here", env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))})
    said = beside(folder / "site")
    newest = sys.executable, "-m", "pip", "install", "--quiet", "--target", folder / "newest", "--no-deps", "fastcore"
    if subprocess.run([str(c) for c in newest], capture_output=True).returncode:
        return f"{said}SKIPPED: the newest fastcore cannot be installed (no network?), so the package is tried with that of nbdev alone"
    return said + beside(folder / "newest", folder / "site")


def fresh(folder: Path):
    run(sys.executable, "-m", "build", "--outdir", ROOT / "dist", ROOT)
    wheel = max((ROOT / "dist").glob("*.whl"), key=lambda p: p.stat().st_mtime)
    run(os.environ.get("PYTHON", sys.executable), "-m", "venv", folder / "env")
    python = folder / "env/bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    demo = run(folder / "env/bin/arq", "demo", "--out", folder / "demo", "--episodes", "2", "--epochs", "2", "--images", "10", cwd=folder)
    made = sorted(p.relative_to(folder / "demo").as_posix() for p in (folder / "demo").rglob("*") if p.is_file())
    if not {"report.md", "search/policy.json", "figures/certified_accuracy.png"} <= set(made): sys.exit(f"`arq demo` made only {made}\n{demo}")
    return f"{run(python, '--version')}{probe(python, folder)}{demo}{len(made)} files made by `arq demo`"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder: print((here if "--here" in sys.argv else fresh)(Path(folder).resolve()))
