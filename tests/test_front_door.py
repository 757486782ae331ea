"The front door: `import arq_nb as arq`, in any order, and the ten lines."
import json
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import arq_nb as arq
from arq_nb.core.data import DataError, ImageData

HEAVY = ("torch", "torchvision", "numpy", "scipy", "pandas", "gymnasium", "matplotlib", "fastcore", "sklearn", "tyro")


def run(program: str, *options: str) -> str:
    "What a program prints in a process of its own; a warning is an error."
    done = subprocess.run([sys.executable, "-W", "error", *options, "-c", program], capture_output=True, text=True)
    if done.returncode: pytest.fail(f"{program}\n{done.stderr}", pytrace=False)
    return done.stdout.strip()


def photographs(root, counts: dict[str, int], size: int = 40):
    "Folders of bright and dark images of several sizes: train/day, train/night, and so on."
    rng = np.random.default_rng(0)
    for part, count in counts.items():
        for name, (low, high) in dict(day=(128, 256), night=(0, 128)).items():
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(low, high, (size + i % 3, size + i % 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


# ---- what is behind the door

def test_nothing_heavy_is_imported():
    program = f"import sys, arq_nb; print(arq_nb.__version__, [name for name in {HEAVY} if name in sys.modules])"
    assert run(program) == f"{arq.__version__} []"


def test_every_name_is_there_and_documented():
    for name in arq.__all__:
        thing = getattr(arq, name)
        assert callable(thing), name
        assert thing.__doc__, name
    assert set(arq.__all__) <= set(dir(arq))
    names = {}
    exec("from arq_nb import *", names)
    assert set(arq.__all__) <= set(names)


def test_names_are_the_things_themselves():
    from arq_nb.quant.policies import Policy
    from arq_nb.train.network import load
    assert arq.Policy is Policy
    assert arq.load is load
    assert pickle.loads(pickle.dumps(arq.load)) is load
    with pytest.raises(AttributeError, match="module 'arq_nb' has no attribute 'quantise'"): _ = arq.quantise
    with pytest.raises(ImportError, match="cannot import name 'quantise'"): exec("from arq_nb import quantise")


def test_the_version_is_that_of_the_settings():
    assert f"\nversion = {arq.__version__}\n" in (ROOT / "settings.ini").read_text()
    assert f"\nversion: {arq.__version__}\n" in (ROOT / "CITATION.cff").read_text()


# ---- the search, which is a room and a function

ORDERS = [
    "import arq_nb as arq",
    "import arq_nb as arq; arq.search",
    "import arq_nb as arq; arq.SearchConfig",
    "import arq_nb.search",
    "import arq_nb.search.search",
    "import arq_nb.search.judges",
    "from arq_nb.search import judges",
    "from arq_nb.search import search, SearchConfig",
    "from arq_nb.search.search import search",
]
AGAIN = """
import inspect, sys
def forget(*libraries):
    "So that the next import is the first one; PyTorch stays."
    for name in [m for m in sys.modules if m.split(".")[0] in libraries]: del sys.modules[name]
"""


def test_a_search_can_be_called_whatever_came_first():
    program = f"""{AGAIN}
for order in {ORDERS}:
    forget("arq_nb")
    exec(order)
    import arq_nb as arq
    assert list(inspect.signature(arq.search).parameters)[:3] == ["model", "train", "holdout"], order
    from arq_nb.search import search
    for call in (arq.search, search):
        try: call()
        except TypeError as error: assert "missing 5 required positional arguments: 'model'" in str(error), order
    import arq_nb.search.judges as judges, arq_nb.search.search as module
    assert judges.Judge and module.play and arq.search.judges is judges, order
    print(order)"""
    assert run(program).splitlines() == ORDERS


def test_names_of_the_module_that_the_room_was():
    program = """
from arq_nb.search import finish, finetuned, PolicyEvaluator, play, read_history, SearchResult, switchable
from arq_nb.search.judges import RadiusJudge
from arq_nb.train.finish import finetune
print(PolicyEvaluator is RadiusJudge, finetuned is finetune)
import arq_nb.search
try: arq_nb.search.nothing
except AttributeError as error: print(error)"""
    first, second = run(program).splitlines()
    assert first == "True True"
    assert "'nothing'" in second


# ---- the game

def test_gymnasium_knows_the_game_whatever_came_first():
    orders = ["import arq_nb, gymnasium", "import gymnasium, arq_nb", "import gymnasium.spaces, arq_nb",
              "import arq_nb; arq_nb.search; import gymnasium", "import arq_nb.search.environment, gymnasium",
              "import arq_nb, importlib.util; importlib.util.find_spec('gymnasium')"]
    program = f"""{AGAIN}
for order in {orders}:
    forget("arq_nb", "gymnasium")
    exec(order)
    import gymnasium
    assert gymnasium.make("ArqBitWidth-v0").reset(seed=0)[0].shape == (10,), order
    print(order)
for module in ("arq_nb", "arq_nb.search.environment"):
    forget("arq_nb", "gymnasium")
    import gymnasium
    assert gymnasium.make(module + ":ArqBitWidth-v0").spec.id == "ArqBitWidth-v0", module"""
    assert run(program).splitlines() == orders


# ---- images

def test_three_parts_of_a_folder(tmp_path):
    train, held_out, test = arq.images(photographs(tmp_path, dict(train=6, test=2)), size=32, hold_out=4)
    assert (len(train), len(held_out), len(test)) == (8, 4, 4)
    assert train.classes == held_out.classes == test.classes == ["day", "night"]
    assert train.shape == test.shape == (3, 32, 32)
    assert held_out.labels.bincount().tolist() == [2, 2]
    again = arq.images(str(tmp_path), size=32, hold_out=4)
    other = arq.images(tmp_path, size=32, hold_out=4, seed=1)
    assert torch.equal(again.held_out.images, held_out.images)
    assert not torch.equal(other.held_out.images, held_out.images)
    gray = arq.images(tmp_path / "train", tmp_path / "test", size=32, hold_out=4, channels=1)
    assert gray.train.shape == (1, 32, 32)


def test_three_parts_of_other_data():
    images, labels = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(-1, 1, 4, 4), torch.arange(12) % 3
    data = ImageData(images, labels, ["cat", "dog", "frog"])
    class Pairs(torch.utils.data.Dataset):
        classes = ["frog", "cat"]
        def __len__(self): return 4
        def __getitem__(self, i): return np.full((4, 4), i, np.uint8), i % 2
    parts = arq.images(data, Pairs(), hold_out=3)
    assert parts.test.classes == data.classes
    assert parts.test.labels.tolist() == [2, 0, 2, 0]
    with pytest.raises(DataError, match="'frog'"): arq.images(Pairs(), data, hold_out=1)


def test_images_that_are_no_three_parts(tmp_path):
    root = photographs(tmp_path, dict(train=3))
    with pytest.raises(DataError, match="has no folder test"): arq.images(root, size=32)
    train = arq.ImageData.from_folder(root / "train", size=32)
    with pytest.raises(DataError, match="test= is needed"): arq.images(train)
    photographs(tmp_path, dict(test=1))
    with pytest.raises(DataError, match=r"can hold out 1\.\.5 images, got 500"): arq.images(root, size=32)
    with pytest.raises(DataError, match="pass size="): arq.images(root, hold_out=2)
    small = arq.ImageData.from_folder(root / "test", size=16)
    with pytest.raises(DataError, match=r"size=32 .* this ImageData holds images of \(3, 16, 16\)"):
        arq.images(root / "train", small, size=32, hold_out=2)
    with pytest.raises(DataError, match=r"test images are \(3, 16, 16\), training images \(3, 32, 32\)"):
        arq.images(train, small, hold_out=2)


# ---- the ten lines

def ten_lines() -> str:
    "As the chapter prints them."
    cells = json.loads((ROOT / "nbs" / "00_front_door.ipynb").read_text())["cells"]
    return re.search(r"```python\n(.*?)```", "\n".join("".join(c["source"]) for c in cells), re.DOTALL)[1]


def test_the_ten_lines_run_as_written(tmp_path, monkeypatch):
    "With smaller numbers, and a smaller network."
    photographs(tmp_path / "photos", dict(train=20, test=2))
    monkeypatch.chdir(tmp_path)
    program, numbers = ten_lines(), {"size=224": "size=32", "hold_out=500": "hold_out=4", "epochs=10": "epochs=1",
                                     "policies=24": "policies=2", "epochs=3": "epochs=1", "n=1_000": "n=100",
                                     "resnet18(": "squeezenet1_1("}
    assert len(program.splitlines()) <= 10
    for big, little in numbers.items():
        assert program.count(big) == 1, big
        program = program.replace(big, little)
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(program, made)
    image = made["test"].images[0] / 255
    assert made["again"].certify(image) == made["small"].certify(image)
    assert (tmp_path / "runs" / "r18" / "final" / "model.safetensors").exists()
