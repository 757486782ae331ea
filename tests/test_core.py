"Contracts of the room `core` that no reader wants to see: odd files, odd data sets, locks, fingerprints, the gate."
import copy
import functools
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import types
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import launch
from matplotlib import font_manager, ft2font
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from torch.nn.utils.prune import l1_unstructured
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset
from torchvision.datasets import CIFAR10, ImageFolder
from tqdm import tqdm

from arq_nb.certify.logs import CertificateLog
from arq_nb.core.archives import find_data, load_dataset, source_digest, unpack
from arq_nb.core.classifiers import evaluation_mode, gate, in_two_companies, logits_of
from arq_nb.core.data import augment, batch_sizes, concat, DataError, ImageData
from arq_nb.core.files import _image_files, load_image_folder, read_image, scale_16_bits
from arq_nb.core.fingerprint import _place, fingerprint
from arq_nb.core.record import check_same, load_tensors, one_writer, plain, Record, save_tensors

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257  # 16 bits, from black to white
COLOR = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
GRAY = np.asarray(Image.fromarray(COLOR).convert("L"))
NAMES = ["cat", "dog", "frog"]


def refused(sentence: str, error: type[Exception] = ValueError):
    "Expect an error that says so, word for word."
    class Contains:
        def __enter__(self): return self
        def __exit__(self, kind, value, _):
            assert kind is not None, f"no error, but one that says {sentence!r} was expected"
            if not issubclass(kind, error): return False
            assert sentence in str(value), f"{sentence!r} is not in {str(value)!r}"
            return True
    return Contains()


def tree(root: Path, *files: str, side: int = 4) -> Path:
    "A folder with small images of random bytes."
    random = np.random.default_rng(0)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(root / file)
    return root


def saved(path: Path, image: Image.Image, **how) -> Path:
    image.save(path, **how)
    return path


def labels_of(root: Path, classes=None) -> dict[str, int]:
    return {Path(f).relative_to(root).parts[0]: label for f, label in _image_files(root, classes)[0]}


@pytest.fixture
def toy() -> ImageData:
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 0, 1])
    return ImageData(torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1), labels, NAMES, "toy")


# ---- images in memory

def test_classes_are_matched_by_name(toy):
    assert toy.with_classes(("frog", "bird", "cat", "dog")).labels.tolist() == [(2, 3, 0)[k] for k in toy.labels]
    assert toy.subset(toy.labels < 2).with_classes(["cat", "dog"]).classes == ["cat", "dog"]  # nobody is a frog
    for classes, sentence in ((["Cat", "dog", "frog"], "class 'cat' (is it 'Cat'? upper case and spaces count)"),
                              (["cat ", "dog", "frog"], "(is it 'cat '?"),
                              (["cat", "dog", "frog", "cat"], "classes must differ by name")):
        with refused(sentence, DataError): toy.with_classes(classes)
    with refused("b must be an ImageData, got tuple", DataError): concat(toy, (toy.images, toy.labels))


def test_composed_and_decomposed_accents_are_one_name(toy, tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    accents = ImageData(toy.images, toy.labels, ["cat", decomposed, "frog"], "accents")
    assert accents.with_classes([composed, "frog", "cat"]).labels.tolist() == [(2, 0, 1)[k] for k in toy.labels]
    folder = tree(tmp_path / "one", f"{decomposed}/a.png", "tea/a.png")
    assert set(labels_of(folder, ["tea", composed]).values()) == {0, 1}
    both = tree(tmp_path / "both", f"{decomposed}/a.png", f"{composed}/a.png")
    with refused("classes must differ by name", DataError): _image_files(both)


def test_a_short_repr_names_the_images(toy):
    assert repr(toy) == "ImageData('toy': 12 images of (1, 1, 1), 3 classes)"


def test_a_last_single_image_joins_the_batch_before_it():
    sizes = {1: [1], 4: [4], 5: [5], 6: [4, 2], 8: [4, 4], 9: [4, 5]}
    assert {n: batch_sizes(n, np.int64(4), True) for n in sizes} == sizes
    assert batch_sizes(3, 1, True) == [1, 1, 1]


# ---- folders of images

def test_folder_names_are_sorted_as_text(tmp_path):
    numbered = tree(tmp_path, "2/a.png", "10/a.png", "1/a.png")
    assert labels_of(numbered) == {"1": 0, "10": 1, "2": 2}
    assert labels_of(numbered, ["1", "2", "10"]) == {"1": 0, "2": 1, "10": 2}
    ours, theirs = load_image_folder(numbered), ImageData.from_dataset(ImageFolder(numbered))
    assert torch.equal(ours.images, theirs.images)
    assert (theirs.labels.tolist(), theirs.classes) == (ours.labels.tolist(), ours.classes)
    assert theirs.name == "ImageFolder: 3 images"


@pytest.mark.parametrize("name", ["apple ", "Apple"])
def test_a_class_name_that_is_nearly_right_gets_a_hint(tmp_path, name):
    folder = tree(tmp_path, f"{name}/a.png", "berry/a.png")
    with refused(f"class {name!r} (is it 'apple'? upper case and spaces count)", DataError):
        _image_files(folder, ["apple", "berry"])


def test_an_empty_folder_is_a_class_without_images(tmp_path):
    one = tree(tmp_path / "one", "berry/a.png")
    (one / "apple").mkdir()
    with pytest.warns(UserWarning, match="no images of 1 of the 2 classes: 'apple'"):
        files, classes = _image_files(one, ["apple", "berry"])
    assert ([label for _, label in files], classes) == ([1], ["apple", "berry"])
    with refused("apple: no images in this class folder", DataError): _image_files(one)
    with refused("no images of any of the 2 classes", DataError): _image_files(one / "berry", ["apple", "berry"])


def test_links_are_followed_except_upwards_and_to_nowhere(tmp_path):
    linked = tree(tmp_path, "apple/a.png", "berry/a.png")
    (linked / "apple" / "b.png").symlink_to(linked / "berry" / "a.png")
    (linked / "cherry").symlink_to(linked / "berry")
    (linked / "apple" / "again").symlink_to(linked / "apple")
    found = [f"{Path(f).parent.name}/{Path(f).name}" for f, _ in _image_files(linked)[0]]
    assert found == ["apple/a.png", "apple/b.png", "berry/a.png", "cherry/a.png"]
    (linked / "damson").symlink_to(linked / "unmounted")
    with refused("damson: a link to", DataError): _image_files(linked)


def test_a_change_behind_a_link_is_seen(tmp_path):
    tree(tmp_path / "pool", "cat/a.png", "dog/a.png")
    (tmp_path / "own" / "train").mkdir(parents=True)
    for name in ("cat", "dog"): (tmp_path / "own" / "train" / name).symlink_to(tmp_path / "pool" / name)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "train").symlink_to(tmp_path / "own" / "train")
    digests = [[source_digest(tmp_path / name) for name in ("own", "linked")]]
    tree(tmp_path / "pool", "cat/b.png")
    digests.append([source_digest(tmp_path / name) for name in ("own", "linked")])
    os.utime(tmp_path / "pool" / "cat" / "b.png", ns=(1, 1))   # overwritten by as many bytes
    digests.append([source_digest(tmp_path / name) for name in ("own", "linked")])
    assert all(len({*own}) == 3 for own in zip(*digests))


def test_files_that_are_not_read_are_named(tmp_path):
    folder = tree(tmp_path, "ant/a.png", "zebra/a.png")
    (folder / "zebra" / "moving.gif").write_bytes(b"GIF89a")
    with pytest.warns(UserWarning, match="files of the kinds .gif are not read"): _image_files(folder)


def test_a_folder_is_read_with_the_classes_of_another(tmp_path):
    folder = tree(tmp_path, "ant/a.png", "zebra/a.png", "zebra/b.png")
    with pytest.warns(UserWarning, match="no images of 1 of the 3 classes: 'bee'") as said:
        few = load_image_folder(folder, classes=["bee", "zebra", "ant"])
    assert (few.labels.tolist(), few.classes, len(said)) == ([2, 1, 1], ["bee", "zebra", "ant"], 1)


def test_deep_files_in_a_folder(tmp_path):
    for c in "ab":
        (tmp_path / c).mkdir()
        Image.fromarray(RAMP).save(tmp_path / c / "1.png")
    for channels, convert in ((1, False), (1, True), (3, True)):
        images = load_image_folder(tmp_path, channels=channels, convert=convert).images
        assert (images[1, 0].numpy() == RAMP // 257).all()
    with refused("pass convert=True (--convert on the command line)", DataError): load_image_folder(tmp_path)
    for c in "ab": Image.fromarray(RAMP // 16).save(tmp_path / c / "1.png")  # 12 bits in 16
    with pytest.warns(UserWarning, match="are nearly black: no value is above 16 of 255. If the files hold 10 or 12"):
        load_image_folder(tmp_path, channels=1)


# ---- one image file

@pytest.mark.parametrize("name, values", [("deep.tif", RAMP), ("deep.pgm", RAMP), ("big.tif", RAMP.astype(">u2"))])
def test_sixteen_bits_become_eight(tmp_path, name, values):
    pixels = read_image(saved(tmp_path / name, Image.fromarray(values)), channels=1)
    assert (pixels[0].numpy() == RAMP // 257).all()


def test_what_only_looks_like_sixteen_bits(tmp_path):
    masked = saved(tmp_path / "masked.png", Image.fromarray(RAMP // 257))
    with refused("masked.png: 16-bit pixels, none above 255 of 65535", DataError): read_image(masked, channels=1)
    assert read_image(saved(tmp_path / "dark.png", Image.fromarray(0 * RAMP)), channels=1).max() == 0
    with refused("signed.tif: values -1..300 are no 16-bit pixels", DataError):
        scale_16_bits(np.array([-1, 300]), "signed.tif")


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind, sentence", [("int32", "32-bit integers (I) have no agreed white"),
                                            ("float32", "floating-point numbers (F) have no agreed white")])
def test_numbers_without_a_white_are_refused(tmp_path, kind, sentence, channels, convert):
    path = saved(tmp_path / f"{kind}.tif", Image.fromarray(RAMP.astype(kind)))
    with refused(sentence, DataError): read_image(path, None, channels, convert)


@pytest.mark.parametrize("name, how", [("clear.png", {}), ("clear.tif", {}), ("clear.webp", {"lossless": True})])
def test_transparent_pixels_lie_on_white(tmp_path, name, how):
    alpha = np.where(np.arange(16) < 8, 255, 0)[None].repeat(16, 0).astype(np.uint8)
    path = saved(tmp_path / name, Image.fromarray(np.dstack([COLOR, alpha])), **how)
    with refused(f"{name}: a RGBA image with transparent pixels", DataError): read_image(path)
    shown = read_image(path, convert=True).permute(1, 2, 0).numpy()
    assert (shown[:, :8] == COLOR[:, :8]).all()
    assert (shown[:, 8:] == 255).all()


def test_other_kinds_of_transparency(tmp_path):
    alpha = np.where(np.arange(16) < 8, 255, 0)[None].repeat(16, 0).astype(np.uint8)
    path = saved(tmp_path / "gray.png", Image.fromarray(np.dstack([GRAY, alpha]), "LA"))
    assert read_image(path, channels=1, convert=True)[0, :, 8:].min() == 255
    half = saved(tmp_path / "half.png", Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert read_image(half, convert=True).unique().tolist() == [127]
    path = saved(tmp_path / "keyed.png", Image.fromarray(COLOR), transparency=tuple(map(int, COLOR[0, 0])))
    with refused("a RGB image with transparent pixels", DataError): read_image(path)
    assert read_image(path, convert=True)[:, 0, 0].tolist() == [255] * 3
    opaque = saved(tmp_path / "opaque.png", Image.fromarray(COLOR).convert("RGBA"))
    assert (read_image(opaque, convert=True).permute(1, 2, 0).numpy() == COLOR).all()


def test_palettes(tmp_path):
    two = Image.fromarray(np.eye(8, dtype=np.uint8), "P")
    two.putpalette([200, 10, 10, 10, 200, 10])
    clear = saved(tmp_path / "clear.png", two, transparency=0)
    assert read_image(clear, convert=True)[:, 0, :2].T.tolist() == [[10, 200, 10], [255, 255, 255]]
    brightness = [round(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in ((10, 200, 10), (200, 10, 10))]
    indexed = saved(tmp_path / "indexed.png", two)
    assert read_image(indexed, channels=1, convert=True)[0, 0, :2].tolist() == brightness


def test_black_and_white(tmp_path):
    path = saved(tmp_path / "bits.png", Image.fromarray(GRAY > 127))
    assert (read_image(path, channels=1, convert=True)[0].numpy() == np.where(GRAY > 127, 255, 0)).all()
    with refused("a 1 (black and white) image", DataError): read_image(path, channels=1)


@pytest.mark.parametrize("name, mode, tolerance", [("a.jpg", "CMYK", 4), ("a.tif", "CMYK", 4), ("b.tif", "YCbCr", 2)])
def test_printers_colors_are_converted(tmp_path, name, mode, tolerance):
    path = saved(tmp_path / name, Image.new("RGB", (16, 16), (200, 80, 40)).convert(mode))
    found = read_image(path, convert=True)[:, 8, 8].int()
    assert (found - torch.tensor([200, 80, 40])).abs().max() <= tolerance
    with refused(f"{name}: a {mode} image" if name.endswith("tif") else name, DataError): read_image(path, channels=1)


@pytest.mark.parametrize("name, how", [("stack.tif", {}), ("moving.png", {}), ("moving.webp", {"lossless": True})])
def test_several_pictures_in_one_file(tmp_path, name, how):
    pages = [Image.new("RGB", (4, 4), c) for c in ("red", "lime")]
    path = saved(tmp_path / name, pages[0], save_all=True, append_images=pages[1:], **how)
    with refused(f"{name}: 2 pictures in one file; pass convert=True (--convert", DataError): read_image(path)
    assert read_image(path, convert=True)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_camera_file_is_its_first_picture(tmp_path):
    more = [Image.new("RGB", (4, 4))]
    path = saved(tmp_path / "a.jpg", Image.fromarray(COLOR), format="MPO", save_all=True, append_images=more)
    assert read_image(path).shape == (3, 16, 16)


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("name", [
    "cut.jpg", "cut.png", "text.png", "empty.png", "folder.png", "lost.png", "absent.png"])
def test_damaged_files_are_named(tmp_path, name, convert):
    whole = saved(tmp_path / f"whole{Path(name).suffix}", Image.fromarray(COLOR)).read_bytes()
    if name.startswith("cut"): (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    if name == "text.png": (tmp_path / name).write_text("hello")
    if name == "empty.png": (tmp_path / name).touch()
    if name == "folder.png": (tmp_path / name).mkdir()
    if name == "lost.png": (tmp_path / name).symlink_to(tmp_path / "nowhere.png")
    with refused(f"{name}: cannot be decoded as an image", DataError): read_image(tmp_path / name, convert=convert)


def test_nonsense_in_the_tags_does_not_matter(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(COLOR), exif=b"Exif\0\0II*\0" + bytes(range(40)))
    assert read_image(path).shape == (3, 16, 16)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(COLOR))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with refused("decompression bomb", DataError): read_image(path)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 2.5}, {"size": True}, {"channels": 4}, {"channels": "RGB"}])
def test_sizes_and_channels_that_no_image_has(tmp_path, wrong):
    path = saved(tmp_path / "a.png", Image.fromarray(COLOR))
    with refused(*wrong): read_image(path, **wrong)


# ---- data sets of torch

RED, BLUE = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (8, 6), "blue")


def of(*items, **options) -> ImageData:
    return ImageData.from_dataset(list(items), **{"classes": ["x", "y"]} | options)


class Twelve(Dataset):
    "A data set whose class names stand in `classes`, or in `class_to_idx`."
    classes = NAMES
    def __len__(self): return 12
    def __getitem__(self, i): return RED, i % 3


class Stream(IterableDataset):
    def __iter__(self): return iter([(RED, 0), (RED, 1)])


def test_images_of_other_kinds_are_brought_together():
    assert of((RED, 0), (BLUE, 1), size=np.int64(4)).shape == (3, 4, 4)
    mixed = of((RED.convert("L"), 0), (RED, 1), channels=3, convert=True)
    assert torch.equal(mixed.images[1], of((RED, 0), (RED, 1)).images[1])
    assert of((RED.convert("P"), 0), (RED.convert("RGBA"), 1), convert=True).shape == (3, 4, 4)
    deep = of((Image.fromarray(RAMP), 0), (RAMP, 1)).images[:, 0]
    assert (deep.numpy() == RAMP // 257).all()
    assert of((torch.zeros(1, 4, 4), 0), (torch.zeros(4, 4), 1), size=8, channels=3, convert=True).shape == (3, 8, 8)


@pytest.mark.parametrize("how", [{"size": 8}, {"channels": 3}])
def test_four_channels_are_not_taken_for_transparency(how):
    with refused("are for 1 or 3 channels, this image has 4", DataError):
        of((np.full((4, 4, 4), 200, np.uint8), 0), convert=True, **how)


def test_a_picture_in_color_does_not_become_gray_unasked():
    gray = RED.convert("L")
    with refused("list[1]: a RGB image, and the first one is gray: give channels=3", DataError):
        of((gray, 0), (RED, 1), convert=True)
    assert of((RED, 0), (gray, 1), convert=True).shape == (3, 4, 4)
    assert of((gray, 0), (RED, 1), convert=True, channels=1).shape == (1, 4, 4)


def test_five_channels_are_taken_as_they_are():
    five = torch.zeros(5, 4, 4, dtype=torch.uint8)
    assert of((five, 0), (five, 1)).shape == (5, 4, 4)
    with refused("this image has 5", DataError): of((five, 0), size=8)


@pytest.mark.parametrize("items, sentence", [
    ([(RED, 0), (BLUE, 1)], "list[1]: (3, 6, 8) differs from (3, 4, 4) of the first image; pass size="),
    ([(RED, 0), (RED.convert("L"), 1)], "list[1]: a L (gray) image, but 3 channel(s)"),
    ([(RED.convert("L"), 0), (RED, 1)], "list[1]: a RGB image, but 1 channel(s)"),
    ([(Image.fromarray(RAMP.astype(np.float32)), 0)], "list[0]: floating-point numbers (F)")])
def test_images_that_do_not_fit_together(items, sentence):
    with refused(sentence, DataError): of(*items)


def test_a_file_that_is_damaged_behind_the_first(tmp_path):
    whole = saved(tmp_path / "a.jpg", Image.fromarray(COLOR).resize((128, 128))).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-200])
    cut = Image.open(tmp_path / "cut.jpg")
    with refused("list[1]: cannot be decoded as an image", DataError): of((RED, 0), (cut, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_every_byte_comes_back_from_floats(dtype, recwarn):
    levels = (torch.arange(256) / 255).to(dtype).view(1, 16, 16)
    assert of((levels, 0), (levels, 1)).images[0].flatten().tolist() == list(range(256))
    assert len(recwarn) == (dtype == torch.float16)


def test_other_floats_are_rounded_with_a_word():
    with pytest.warns(UserWarning, match="no multiples of 1/255 were rounded to bytes, by up to 0.0020"):
        uneven = of((torch.full((1, 2, 2), 0.5), 0), (torch.full((1, 2, 2), 0.25), 1))
    assert uneven.images.amax((1, 2, 3)).tolist() == [128, 64]


@pytest.mark.parametrize("image, sentence", [
    (torch.full((1, 2, 2), 200.0), "[200, 200], they must lie in [0, 1]: divide by 255"),
    (torch.full((1, 2, 2), float("nan")), "leave out transforms.Normalize"),
    (torch.zeros(2, 2, dtype=torch.int64), "int64 pixels; allowed are uint8, uint16 and floats"),
    (torch.zeros(32, 32, 3, dtype=torch.uint8), "use image.permute(2, 0, 1)"),
    (np.zeros((3, 32, 32), np.uint8), "use np.moveaxis(image, 0, 2)"), (np.zeros((0, 4), np.uint8), "none empty"),
    (np.zeros((1, 2, 3, 4), np.uint8), "images have 2 or 3 dimensions"), (np.array([[True]]), "bool pixels"),
    ("photo.png", "a str is no image")])
def test_what_is_no_image(image, sentence):
    with refused("list[1]: ", DataError): of((RED, 0), (image, 1))
    with refused(sentence, DataError): of((RED, 0), (image, 1))


@pytest.mark.parametrize("label, sentence", [
    (torch.tensor([0, 1]), "list[1]: a label of 2 numbers; a class index is needed: of a one-hot label its"),
    ("y", "list[1]: label 'y' is a str"), (1.0, "list[1]: label 1.0 is a float"), ([0, 1], "is a list"),
    (2, "list[1]: label 2 is none of the 2 classes 0..1"), (-1, "list[1]: label -1 is none of")])
def test_what_is_no_label(label, sentence):
    with refused(sentence, DataError): of((RED, 0), (RED, label))


@pytest.mark.parametrize("item, sentence", [({"image": RED, "label": 0}, "this is a dict of image, label"),
                                            ((RED, 0, 1), "a tuple of 3"), (RED, "a Image")])
def test_what_is_no_item(item, sentence):
    with refused(sentence, DataError): of(item)


def test_what_is_no_data_set(toy):
    with refused("Stream has no length or no items by number: pass list(dataset)", DataError):
        ImageData.from_dataset(Stream())
    assert ImageData.from_dataset(list(Stream())).classes == ["0", "1"]
    with refused("list: the data set is empty", DataError): ImageData.from_dataset([])
    with refused("ImageData has no length or no items by number", DataError): ImageData.from_dataset(toy)


def test_a_random_transform_is_frozen_with_a_word():
    class Noise(Twelve):
        def __getitem__(self, i): return torch.rand(3, 4, 4), i % 3
    with pytest.warns(UserWarning, match="Noise gives other images each time, which are drawn once and kept"):
        ImageData.from_dataset(Noise())


def test_names_that_stand_twice_get_their_numbers():
    cranes = Twelve()
    cranes.classes = [("crane",), ("macaw",), ("crane",)]
    assert ImageData.from_dataset(cranes).classes == ["crane (0)", "macaw", "crane (2)"]


def test_class_names_of_parts_and_joins():
    part = Subset(Subset(Twelve(), range(6)), [3, 1])
    assert ImageData.from_dataset(ConcatDataset([Twelve(), part])).classes == NAMES
    with refused("have different classes", DataError):
        ImageData.from_dataset(ConcatDataset([Twelve(), list(Stream())]))
    only_places = Twelve()
    only_places.classes, only_places.class_to_idx = None, {"frog": 2, "cat": 0, "dog": 1}
    assert ImageData.from_dataset(only_places).classes == NAMES


# ---- archives and data sets by name

@pytest.fixture
def tars(tmp_path) -> Path:
    "A folder with a good archive, one that writes outside, and one that is cut off."
    folder = tmp_path / "tars"
    folder.mkdir()
    with tarfile.open(folder / "good.tar.xz", "w:xz") as tar:
        tar.add(tree(tmp_path / "own", "ant/a.png", "zebra/a.png", side=16), "train")
    with tarfile.open(folder / "evil.tar", "w") as tar: tar.addfile(tarfile.TarInfo("../evil.txt"))
    (folder / "cut.tar.xz").write_bytes((folder / "good.tar.xz").read_bytes()[:1000])
    return folder


@pytest.mark.parametrize("name", ["evil.tar", "cut.tar.xz"])
def test_a_bad_archive_leaves_no_trace(tars, name):
    before = sorted(p.name for p in tars.iterdir())
    with refused(f"{name}: not a sound", DataError): unpack(tars / name, tars / "out")
    assert sorted(p.name for p in tars.iterdir()) == before


def test_a_folder_holds_one_archive(tars, tmp_path):
    target = tmp_path / "target"
    assert unpack(tars / "good.tar.xz", target) == unpack(tars / "good.tar.xz", target)
    shutil.copy(tars / "good.tar.xz", tars / "other.tar.xz")
    with refused("already holds good.tar.xz", DataError): unpack(tars / "other.tar.xz", target)
    with refused("already holds other files", DataError): unpack(tars / "good.tar.xz", tmp_path / "own")
    with refused("no such archive", DataError): unpack(tars / "absent.tar", target)
    with tarfile.open(tars / "good.tar.xz", "w:xz") as tar: tar.add(tmp_path / "own", "test")  # same name, other bytes
    with refused("target: already holds good.tar.xz ", DataError): unpack(tars / "good.tar.xz", target)


def test_missing_archives_are_said_aloud(monkeypatch, tars):
    monkeypatch.setenv("ARQ_REQUIRE_DATA", "0")
    monkeypatch.setenv("ARQ_DATA", "/nowhere")
    with pytest.warns(UserWarning, match="SKIPPED, nothing was checked on digits.tar: .*looked for /nowhere"):
        assert find_data("digits.tar") is None
    monkeypatch.setenv("ARQ_DATA", str(tars))
    assert find_data("good.tar.xz") == tars / "good.tar.xz"


def fake_cifar(root: Path) -> dict:
    "A torchvision CIFAR-10 folder with 5 x 3 training images and 3 test images; returns the lists of its MD5 sums."
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    def write(name, content):
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return [name, hashlib.md5(raw).hexdigest()]
    def batch(k): return {"data": np.full((3, 3072), k, dtype=np.uint8), "labels": [k, 9, 0]}
    meta = write("batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
    return {"train_list": [write(f"data_batch_{k}", batch(k)) for k in range(1, 6)],
            "test_list": [write("test_batch", batch(7))],
            "meta": {"filename": meta[0], "key": "label_names", "md5": meta[1]}}


def test_cifar_as_torchvision_keeps_it(tmp_path, monkeypatch):
    for name, value in fake_cifar(tmp_path).items(): monkeypatch.setattr(CIFAR10, name, value)
    train, test = (load_dataset("cifar10", tmp_path, split) for split in ("train", "test"))
    assert (len(train), len(test), train.shape) == (15, 3, (3, 32, 32))
    assert (test.labels.tolist(), test.name) == ([7, 9, 0], "cifar10 test: 3 images (torchvision)")
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"damaged")
    with refused("cifar-10-batches-py: Dataset not found or corrupted", DataError):
        load_dataset("cifar10", tmp_path, "train")
    with refused("'train' or 'test'", DataError): load_dataset("cifar10", tmp_path, "val")


def test_what_is_no_cifar(tmp_path):
    with refused("holds neither cifar-10-batches-py", DataError): load_dataset("cifar10", tmp_path)
    tree(tmp_path, "train/ant/a.png", "train/zebra/a.png", side=16)
    with refused("CIFAR-10 has 10 classes of 3x32x32 images, found 2 of (3, 16, 16)", DataError):
        load_dataset("cifar10", tmp_path)


def test_labels_of_another_split_mean_the_training_classes(tmp_path):
    fruit = tree(tmp_path, "train/apple/a.png", "train/berry/a.png", "train/cherry/a.png",
                 "test/cherry/a.png", "test/berry/a.png", "test/berry/b.png")
    missing = "test: no images of 1 of the 3 classes: 'apple'"
    with pytest.warns(UserWarning, match=missing): tested = load_dataset("folder", fruit, "test")
    assert (tested.labels.tolist(), tested.classes) == ([1, 1, 2], ["apple", "berry", "cherry"])
    (fruit / "test" / "apple").mkdir()  # an empty folder is the same
    with pytest.warns(UserWarning, match=missing):
        turned = load_dataset("folder", fruit, "test", classes=["cherry", "berry", "apple"])
    assert turned.labels.tolist() == [1, 1, 0]
    assert load_dataset("folder", fruit).labels.tolist() == [0, 1, 2]
    tree(fruit, "test/damson/a.png")
    with refused("test: class 'damson' is not among the 3 classes that labels point into, ['apple', ", DataError):
        load_dataset("folder", fruit, "test")


def test_without_a_training_folder_the_classes_are_the_folders_own(tmp_path):
    assert load_dataset("folder", tree(tmp_path, "test/a/a.png", "test/b/a.png"), "test").labels.tolist() == [0, 1]


def test_data_sets_join_by_name(tmp_path):
    fruit = load_dataset("folder", tree(tmp_path / "a", "train/apple/a.png", "train/berry/a.png", "train/cherry/a.png"))
    more = load_dataset("folder", tree(tmp_path / "b", "train/cherry/z.png", "train/berry/z.png"))
    assert concat(fruit, more).labels.tolist() == [0, 1, 2, 1, 2]


@pytest.mark.parametrize("name, options, sentence", [
    ("digits", {"size": 32}, "digits: size cannot be chosen"),
    ("cifar10", {"root": ".", "convert": True}, "cifar10: convert cannot be chosen"),
    ("imagenet", {}, "imagenet: pass root="), ("mnist", {}, "unknown data set 'mnist': allowed are digits, cifar10,"),
    ("folder", {"root": "nowhere", "split": "test"}, "split='test' names a subfolder of root")])
def test_data_sets_that_cannot_be(name, options, sentence):
    with refused(sentence, DataError): load_dataset(name, **options)


# ---- fingerprints

def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Linear(4, 4), nn.Linear(4, 4))


def tied(model: nn.Sequential) -> None: model[4].weight = model[3].weight


def tied_and_untied(model: nn.Sequential) -> None:
    tied(model)
    model[4].weight = nn.Parameter(model[3].weight.clone())


def seen_after(change) -> bool:
    "Does the change show in the fingerprint?"
    one, two = layers(), layers()
    assert fingerprint(one) == fingerprint(two)
    with torch.no_grad(): change(two)
    return fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("change", [
    lambda m: m[0].weight.copy_(m[0].weight.flip(2)), lambda m: m[1].running_mean.add_(1),
    lambda m: m.append(nn.ReLU()), lambda m: setattr(m[0], "stride", (2, 2)),
    lambda m: setattr(m[1], "eps", 1e-3), lambda m: setattr(m[2], "p", 0.1),
    lambda m: m.register_buffer("quiet", torch.ones(1), persistent=False), lambda m: m.double(), tied, tied_and_untied,
    lambda m: setattr(m[3], "limit", torch.ones(1)),
    lambda m: m.register_forward_hook(lambda module, args, out: 2 * out)])
def test_fingerprint_sees(change):
    assert seen_after(change)


@pytest.mark.parametrize("change", [lambda m: m.eval(), lambda m: m.requires_grad_(False),
                                    lambda m: m.to(memory_format=torch.channels_last)])
def test_fingerprint_does_not_mind(change):
    assert not seen_after(change)


def test_fingerprint_of_tied_and_equal_weights():
    one, other = (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(2))
    one[1].weight = one[0].weight
    other.load_state_dict(one.state_dict())
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(copy.deepcopy(one)) == fingerprint(one)


def test_fingerprint_of_weights_that_are_computed_anew():
    pruned = l1_unstructured(nn.Linear(3, 3), "weight", amount=2)
    before = fingerprint(pruned)
    pruned.weight = pruned.weight.detach() + 1
    assert fingerprint(pruned) == before


def test_fingerprint_of_wrapped_networks():
    net = layers()
    before = fingerprint(net)
    assert fingerprint(nn.DataParallel(net)) == before
    assert fingerprint(torch.compile(net)) == before
    assert fingerprint(net) == before  # although `torch.compile` has left a mark on it
    traced = torch.fx.symbolic_trace(net)
    assert fingerprint(traced) == fingerprint(torch.fx.symbolic_trace(net))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.bool, torch.complex64, torch.int64])
def test_fingerprint_of_tensors(dtype):
    assert fingerprint(torch.ones(3, dtype=dtype)) != fingerprint(torch.zeros(3, dtype=dtype))


@pytest.mark.parametrize("array", [np.arange(3), np.array(["a", "b"]), np.array([None, "b"]), np.ones((2, 2)).T])
def test_fingerprint_of_arrays(array):
    assert fingerprint(array) == fingerprint(array.copy())


def test_fingerprint_of_containers():
    assert fingerprint({"a": np.float64(0.25), "b": np.int32(3)}) == fingerprint({"b": 3, "a": 0.25})
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint(torch.ones(2, 3)) != fingerprint(torch.ones(3, 2))


def around(model, factor=1):
    "A function that takes a network from outside."
    return lambda x: model(x) * factor


def test_fingerprint_of_functions():
    net, other = layers(), layers().double()
    assert fingerprint(around(net)) == fingerprint(around(copy.deepcopy(net)))
    callables = around(net), around(other), around(net, 2), net.forward, functools.partial(around, net)
    assert len({fingerprint(f) for f in callables}) == 5
    assert fingerprint(lambda x: net(x)) != fingerprint(lambda x: other(x))


class Noting:
    "Counts its calls."
    def __init__(self, f): self.f, self.calls = f, 0

    def __call__(self, x):
        self.calls += 1
        return self.f(x)


@pytest.mark.filterwarnings("ignore:.*torch.ao")
def test_fingerprint_of_what_is_compiled():
    one, other = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    def kept(net): return functools.lru_cache(4)(lambda x: net(x))
    def times(net): return net[1].weight.detach().matmul
    def forest(net): return RandomForestClassifier(2, random_state=0).fit(net[1].weight.detach(), [0, 1, 1])
    def in_integers(net): return torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    for make in (kept, times, forest, in_integers):
        found, again, changed = (fingerprint(make(net)) for net in (one, copy.deepcopy(one), other))
        assert found == again != changed, make.__name__
    backends = torch.nn.attention.SDPBackend
    assert fingerprint(backends.MATH) != fingerprint(backends.FLASH_ATTENTION)


def test_what_shows_nothing_needs_a_fingerprint_of_its_own():
    font = ft2font.FT2Font(font_manager.findfont("DejaVu Sans"))
    def opaque(x): return x + font.num_glyphs
    with pytest.warns(UserWarning, match="there are FT2Font in it, which are compiled and store nothing"):
        fingerprint(opaque)
    opaque.fingerprint = "DejaVu Sans"
    fingerprint(opaque)


def test_fingerprint_leaves_out_what_a_call_writes():
    net, calls = nn.Linear(2, 2), []
    def noting(x):
        calls.append(len(x))
        return net(x)
    counting, x = Noting(net), torch.ones(1, 2)
    before = [fingerprint(f) for f in (counting, noting)]
    counting(x), noting(x)
    assert [fingerprint(f) for f in (counting, noting)] == before
    assert fingerprint(Noting(net)) != fingerprint(Noting(layers()))


def test_fingerprint_leaves_out_where_something_was_defined():
    source = "class Halves:\n def __init__(self): self.factor = 0.5\n def __call__(self, x): return self.factor * x\n"
    places = [{}, {"__name__": "__main__"}, {"__name__": "elsewhere"}]
    for place in places: exec(source, place)
    assert len({fingerprint(place["Halves"]()) for place in places}) == 1
    other = places[0]["Halves"]()
    other.factor = 2
    assert fingerprint(other) != fingerprint(places[1]["Halves"]())


def test_our_own_functions_have_the_places_of_version_0_2():
    assert _place(augment) == "arq_nb.data"
    assert _place(load_dataset) == "arq_nb.data"
    assert _place(types.FunctionType(augment.__code__, {"__name__": "arq_nb.quant.layers"})) == "arq_nb.products"
    assert _place(F.relu) == "torch.nn.functional"


def test_fingerprint_of_circles_and_of_programs():
    circle = types.SimpleNamespace()
    circle.itself = circle
    assert fingerprint(circle) == fingerprint(circle)
    class Program:
        precision = "int8"
        def __init__(self, fingerprint): self.fingerprint = fingerprint
    programs = Program("a"), Program("b"), around(Program("a")), around(Program("b"))
    assert len({fingerprint(p) for p in programs}) == 4


# ---- records

@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_the_lock_of_a_killed_process_is_free(tmp_path):
    holds = ("import sys, time\nfrom arq_nb.core.record import one_writer\n"
             "with one_writer(sys.argv[1]):\n    print('holding', flush=True)\n    time.sleep(600)\n")
    log = tmp_path / "log.tsv"
    holder = subprocess.Popen([sys.executable, "-c", holds, log], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "holding\n"
    with refused(f"log.tsv is being written by another process (process {holder.pid} on "): one_writer(log).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert [p.name for p in tmp_path.iterdir()] == [".log.tsv.lock"]
    with one_writer(log): pass


def test_a_lock_is_one_file(tmp_path):
    with one_writer(tmp_path / "log.tsv"):
        with refused(f"(process {os.getpid()} on "): one_writer(tmp_path / "log.tsv").__enter__()
        with one_writer(tmp_path / "other.tsv"): pass
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_is_lost_or_broken(tmp_path):
    log, settings = tmp_path / "log.tsv", {"sigma": 0.25}
    log.write_text("a result")
    with refused("log.tsv has no record (log.tsv.json)"): Record.open(log, settings)
    (tmp_path / "log.tsv.json").write_text('{"sigma": 0.25')
    with refused("log.tsv.json cannot be read as a record"): Record.open(log, settings)
    (tmp_path / "log.tsv.json").write_text("[1]")
    with refused("log.tsv.json is no record: delete it together with its result"): Record.open(log, settings)


def test_settings_that_one_side_does_not_know():
    old = {"sigma": 0.25, "n": 1000}  # written by a version that knew no backends
    later = {**old, "backend": "int8"}
    with refused("backend=not noted there, 'int8' now"): check_same("record.json", old, later)
    with refused("gone=1 there, not asked for now"): check_same("record.json", {**old, "gone": 1}, old)
    check_same("record.json", {**old, "gone": 1}, later, reading=True)
    with refused("sigma=0.25 there, 0.5 now"): check_same("record.json", old, {**later, "sigma": 0.5}, reading=True)
    check_same("record.json", {"limit": float("nan")}, {"limit": float("nan")})
    with refused("and 3 more"): check_same("record.json", {}, {str(i): i for i in range(9)})


def test_what_is_no_setting():
    with refused("run.model.f="): plain({"model": {"f": object()}}, "run")
    assert plain(float("nan")) == "nan"


def test_tensors_that_cannot_be_written(tmp_path):
    for value, sentence in ((3, "'w' is a int and not a tensor"),
                            (torch.ones(1, device="meta"), "'w' has no values yet"),
                            (torch.eye(2).to_sparse(), "'w' is torch.sparse_coo")):
        with refused(sentence): save_tensors(tmp_path / "x", {"w": value})
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_tensors(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "w.pt")
    with refused("w.pt: not a safetensors file (it is a PyTorch file"): load_tensors(tmp_path / "w.pt")
    with refused("none: no such weights file"): load_tensors(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with refused("text: not a safetensors file"): load_tensors(tmp_path / "text")


# ---- several processes

TWO = """
import torch
from arq_nb.core.processes import (
    all_reduce_sum, batch_shard, broadcast_buffers, data_parallel, init_processes, on_first, rank_and_world_size)

init_processes()
rank, world = rank_and_world_size()
torch.manual_seed(0)
net, x, y = torch.nn.Linear(3, 2), torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])
loss = torch.nn.functional.cross_entropy
loss(net(x), y).backward()
whole = [p.grad.clone() for p in net.parameters()]
net.zero_grad()

part, weight = batch_shard(len(x))
parallel = data_parallel(net)
(weight * loss(parallel(x[part]), y[part])).backward()
for p, g in zip(net.parameters(), whole): torch.testing.assert_close(p.grad, g)

assert on_first(lambda: rank + 10) == 10
assert all_reduce_sum(1.0, rank) == [2.0, 1.0]
net.register_buffer("b", torch.full((2,), float(rank)))
broadcast_buffers(net)
assert net.b.sum() == 0
try: on_first(lambda: 1 / 0)
except ZeroDivisionError: pass
else: raise AssertionError("no error")
assert batch_shard(1) == (slice(None), 1.0)  # fewer images than processes: each computes the whole batch
del parallel
print(f"process {rank} of {world}: {len(x[part])} of {len(x)} images, gradients equal", flush=True)
"""


def test_two_processes_compute_one_gradient():
    said = launch(TWO)
    assert "process 0 of 2: 3 of 5 images, gradients equal" in said
    assert "process 1 of 2: 2 of 5 images, gradients equal" in said


# ---- classifiers

@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
    return nn.Sequential(*convolution, nn.Dropout(0.5), nn.Flatten(), nn.Linear(288, 4))


@torch.no_grad()
def passes(f, images: torch.Tensor) -> torch.Tensor:
    "What a classifier answers behind the gate."
    with gate(f, *in_two_companies(images[:3])) as classifier: return classifier(images[:3])


class Merging(nn.Linear):
    "Like LoRA's: what `train` does beyond the flag is undone as well."
    merged = False

    def train(self, mode=True):
        self.merged = not mode
        return super().train(mode)


def test_evaluation_mode_undoes_what_train_does():
    lora = nn.Sequential(nn.Flatten(), Merging(64, 4))
    with evaluation_mode(lora): assert (lora[1].merged, lora[1].training) == (True, False)
    assert (lora[1].merged, lora[1].training, lora.training) == (False, True, True)


def test_evaluation_mode_ends_after_an_error(network):
    network[1].eval()
    modes = [part.training for part in network.modules()]
    with pytest.raises(KeyError):
        with evaluation_mode(lambda x: network(x)): raise KeyError("on the way")
    assert [part.training for part in network.modules()] == modes


class Switching(nn.Linear):
    def forward(self, x):
        self.train()
        return super().forward(x.flatten(1))


def test_a_network_that_switches_itself_to_training(images):
    switching = Switching(64, 4).eval()
    with refused("Switching was switched to training mode while it was asked"):
        with evaluation_mode(switching): switching(images)
    assert switching.training is False


PAIR, Output = torch.tensor([[0.5, -1.0], [2.0, 3.0]]), namedtuple("Output", "logits aux")


@pytest.mark.parametrize("answer, word", [
    ((PAIR,), "f(x)[0]"), ([PAIR], "list of"), ({"out": PAIR}, "f(x)['out']"), ({}, "keys none"),
    (PAIR.numpy(), "from_numpy"), (None, "NoneType"), (PAIR.argmax(1), "not classes"), (PAIR > 0, "torch.bool"),
    (PAIR[:, 0], "one logit"), (PAIR[:1], "one row for each image"), (PAIR[..., None, None], "(2, 2, 1, 1)"),
    (PAIR.flatten(), "(4,) for 2 images"), (PAIR.to(torch.complex64), "complex64"),
    (Output((PAIR, PAIR), None), "Output of tuple, NoneType"), (Output(PAIR[:, :1], None), "one logit")])
def test_answers_that_are_no_logits(answer, word):
    with refused(word): logits_of(answer, 2)


class Sorter(nn.Module):
    "Batch norm used as a function: its statistics move whatever the mode."
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(64)

    def forward(self, x):
        return F.batch_norm(x.flatten(1), self.norm.running_mean, self.norm.running_var, training=True)


class Observer(nn.Module):
    "An observer that was never switched off; its answers do not show it."
    def __init__(self):
        super().__init__()
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, x):
        self.largest.copy_(torch.maximum(self.largest, x.max()))
        return x.flatten(1)


class Growing(nn.Module):
    "An observer whose buffers grow, or are other ones after the first batch."
    def __init__(self, anew):
        super().__init__()
        self.anew = anew
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, x):
        if self.anew: self.seen = x[0].clone()
        else: self.seen.resize_(x[0].shape).copy_(x[0])
        return x.flatten(1)


class Counting(nn.Module):
    "Remembers how often it was asked."
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x.flatten(1) * self.calls


class Unready(nn.Module):
    "As a quantizer is before it has seen anything: its first batch settles its step."
    calibrated = False

    def forward(self, x):
        self.calibrated = True
        return x


def test_the_gate_refuses_what_moves_statistics(images):
    sorter, observer = Sorter(), Observer()
    with refused("depends on neighbors in the batch, first in Sorter"): passes(sorter, images)
    assert (sorter.norm.running_mean.abs().sum(), sorter.norm.num_batches_tracked) == (0, 0)
    with refused("changes largest of Observer while it is asked"): passes(observer, images)
    assert observer.largest == 0


@pytest.mark.parametrize("anew", [False, True])
def test_the_gate_puts_grown_buffers_back(images, anew):
    growing = Growing(anew)
    with refused("changes seen of Growing while it is asked"): passes(growing, images)
    assert growing.seen.shape == (0,)


flat = nn.Flatten()


@pytest.mark.parametrize("f, word", [
    (lambda x: flat(x).squeeze(), "but not one alone"),
    (lambda x: flat(x) / (len(x) > 1 or [][0]), "but not one alone"),
    (lambda x: flat(x) / len(x), "differently alone"), (lambda x: flat(x).softmax(0), "depends on neighbors"),
    (lambda x: flat(x) - flat(x).mean(0), "depends on neighbors"), (lambda x: flat(x).argmax(1), "not classes"),
    (lambda x: flat(x)[:, : 2 + int(x.max() > 0.9999)], "always as many classes"),
    (Counting(), "asked again, first in Counting"),
    (nn.Sequential(nn.Flatten(), Unready()), "'1' (Unready) is not calibrated"),
    (nn.Flatten, "the classifier is the class Flatten itself")])
def test_the_gate_refuses(images, f, word):
    with refused(word): passes(f, images)


@pytest.mark.parametrize("f", [lambda x: torch.zeros(len(x), 2), lambda x: flat(x) * float("nan"),
                               lambda x: flat(x) + 1e6, lambda x: flat((4 * x).round())])
def test_the_gate_lets_pass(images, f):
    passes(f, images)  # NaN too: `SmoothedClassifier.votes` refuses it, where it concerns an image


def test_the_gate_says_nothing_of_a_new_wrapper(images, network, recwarn):
    passes(nn.Sequential(network.eval()), images)
    assert [str(w.message) for w in recwarn if "training mode" in str(w.message)] == []


def test_who_has_passed_passes_again(images):
    with gate(flat, *in_two_companies(images)) as checked:
        with gate(checked, *in_two_companies(images)) as again: assert again is checked


def test_the_gate_asks_no_network_of_somebody_else(images, monkeypatch):
    "A progress bar keeps a thread that knows the whole notebook: `tqdm.monitor` here stands for all of that."
    monkeypatch.setattr(tqdm, "monitor", {"of the notebook": nn.BatchNorm1d(2, device="meta")})
    passes(lambda x: flat(tqdm and x), images)


def test_images_and_logs_are_equal_as_objects():
    "Comparing their numbers raised an error of torch, or of NumPy."
    data = load_dataset("digits", split="test")
    log = CertificateLog(*[np.zeros(3)] * 6)
    for one, other in ((data, data.every(1)), (log, CertificateLog(*[np.zeros(3)] * 6))):
        assert one == one and one != other and [other, one].index(one) == 1
