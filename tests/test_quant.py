"Contracts of the room `quant` that no reader wants to see: odd layers, odd weights, odd tables, and what is refused."
import copy
import json
import operator
import pickle
import platform
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from arq_nb.core.classifiers import evaluation_mode
from arq_nb.core.fingerprint import fingerprint, inner_network
from arq_nb.core.record import load_tensors, save_tensors
from arq_nb.quant import exporter, runtimes
from arq_nb.quant.backends import BFloat16, check_backend, deployed, suitable_backend
from arq_nb.quant.budgets import Budget, BudgetError, edge_layers, inner_layers, pin
from arq_nb.quant.costs import bitops, cost_table, layer_table, model_size
from arq_nb.quant.export import export
from arq_nb.quant.fused import _Program, fuse
from arq_nb.quant.int8 import _few_channels, export_int8, Int8
from arq_nb.quant.interchange import export_qonnx, run_qonnx
from arq_nb.quant.layers import follow_weights, QuantizedLayer
from arq_nb.quant.learned_bits import fix_bits, learned_bits, PseudoNoise
from arq_nb.quant.models import load_weights, Normalize, normalized, resnet8, resnet20, save_weights
from arq_nb.quant.networks import (
    copied,
    fold_batch_norm,
    one_image,
    quantizable_layers,
    shared_weights,
    traced,
    unwrapped,
)
from arq_nb.quant.operations import FUNCTIONS, MODULES
from arq_nb.quant.packed import _KEYS, _sha256, export_packed, load_packed, network_sha256, packed_bytes
from arq_nb.quant.policies import calibrate, dequantize, freeze, Policy, quantize, try_once
from arq_nb.quant.products import open_attention, recorded_products
from arq_nb.quant.quantizers import (
    _calibrated_scale,
    fake_quantize,
    fixed,
    integer_range,
    LSQ,
    PACT,
    UniformQuantizer,
)
from arq_nb.quant.runtimes import _OnnxFile, _program, load_exported

PICTURES = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SHAPE = 3, 8, 8


def refused(*words: str, error: type[Exception] = ValueError):
    "Expect an error that says all of this, word for word."
    class Contains:
        def __enter__(self): return self
        def __exit__(self, kind, value, _):
            assert kind is not None, f"no error, but one that says {words!r} was expected"
            if not issubclass(kind, error): return False
            for word in words: assert word in str(value), f"{word!r} is not in {str(value)!r}"
            return True
    return Contains()


class Network(nn.Module):
    "A convolution, something in the middle, and a linear layer, for 4 classes."
    def __init__(self, middle=None):
        super().__init__()
        self.stem, self.middle, self.head = nn.Conv2d(3, 8, 3, padding=1), middle, nn.Linear(8, 4)
    def forward(self, x): return self.head(self.between(self.stem(x).relu()).mean((2, 3)))
    def between(self, x): return self.middle(x)


class Standardized(nn.Conv2d):
    "Weight standardization (Qiao et al. 2019)."
    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, w / (w.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)


class Same(nn.Conv2d):
    "Pads as TensorFlow does: more at the end."
    def forward(self, x): return super().forward(F.pad(x, (0, 1, 0, 1)))


class Borrowed(Network):
    "Takes the weight of a layer that it never calls."
    def between(self, x): return F.conv2d(x, self.middle.weight, padding=1)


class InARow(Network):
    "A convolution over the pixels in a row."
    def between(self, x): return self.middle(x.flatten(2))[..., None]


class Twice(Network):
    "Calls one layer twice, the second time with negative numbers too."
    def between(self, x): return self.middle(self.middle(x) - 1)


class Embedded(Network):
    "The head shares its weight with a table that is looked up, and not rounded."
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 8)
        self.head.weight = self.table.weight
    def between(self, x): return x + self.table(torch.zeros(len(x), dtype=torch.long))[..., None, None]


class Volume(nn.Module):
    "A convolution in three dimensions."
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv3d(1, 4, 3, padding=1), nn.Linear(4, 4)
    def forward(self, x): return self.head(self.conv(x[:, None]).relu().mean((2, 3, 4)))


class Auxiliary(Network):
    "A head that is used in training only."
    def __init__(self):
        super().__init__(inner())
        self.extra = nn.Linear(8, 4)


class Two(nn.Module):
    "Two linear layers, used as somebody likes."
    def __init__(self, use=None):
        super().__init__()
        self.a, self.b, self.use = nn.Linear(4, 4), nn.Linear(4, 4), use
    def forward(self, x): return self.use(self, x)


def inner(kind=nn.Conv2d, **more): return kind(8, 8, 3, **{"padding": 1, **more})


def pruned(layer):
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def tied():
    "Two convolutions with one weight."
    net = Network(nn.Sequential(inner(), nn.ReLU(), inner()))
    net.middle[2].weight = net.middle[0].weight
    return net.eval()


KINDS = {
    "plain": lambda: Network(inner()),
    "weight standardized": lambda: Network(inner(Standardized)),
    "same padding": lambda: Network(inner(Same, stride=2)),
    "circular padding": lambda: Network(inner(padding_mode="circular")),
    "grouped, dilated": lambda: Network(inner(groups=4, dilation=2)),
    "transposed": lambda: Network(inner(nn.ConvTranspose2d, stride=2)),
    "transposed, grouped": lambda: Network(inner(nn.ConvTranspose2d, groups=2)),
    "one-dimensional": lambda: InARow(inner(nn.Conv1d)),
    "three-dimensional": Volume,
    "borrowed weight": lambda: Borrowed(inner(bias=False)),
    "called twice": lambda: Twice(inner()),
    "pruned": lambda: Network(pruned(inner())),
    "weight norm": lambda: Network(parametrizations.weight_norm(inner())),
    "weight norm, old": lambda: Network(torch.nn.utils.weight_norm(inner())),
    "spectral norm": lambda: Network(parametrizations.spectral_norm(inner())),
    "two of one": tied,
    "one module, two names": lambda: Network(nn.Sequential(*[inner()] * 2)),
    "shared with a table": Embedded,
}


@pytest.fixture(params=KINDS)
def kind(request):
    "A network with a strange layer, in eval mode."
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")   # one of them is deprecated by PyTorch
        torch.manual_seed(0)
        yield KINDS[request.param]().eval()


def rounded(net, bits=8, images=PICTURES): return calibrate(quantize(net, Policy.uniform(net, bits, bits)), images)


@pytest.mark.parametrize("bits", (8, 2))
@torch.no_grad()
def test_layers_of_all_kinds_there_and_back(kind, bits):
    "32 bits, `freeze`, a reloaded state and `dequantize` change nothing, to the last bit; few bits change something."
    wanted, state = kind(PICTURES), copied(kind).state_dict()
    assert torch.equal(quantize(kind, Policy.uniform(kind, 32, 32))(PICTURES), wanted)
    quantized = rounded(kind, bits)
    logits, back = quantized(PICTURES), dequantize(quantized)
    change = ((logits - wanted).norm() / wanted.norm()).item()
    assert change < 0.03 if bits == 8 else change > 0.01
    assert torch.equal(freeze(quantized)(PICTURES), logits)
    loaded = quantize(kind, Policy.uniform(kind, bits, bits)).eval()   # as from a file: nobody has called it yet
    loaded.load_state_dict(quantized.state_dict())
    try_once(loaded, SHAPE)
    assert torch.equal(freeze(loaded)(PICTURES), logits)
    assert list(back.state_dict()) == list(state)
    assert torch.equal(back(PICTURES), wanted)
    assert [type(m) for m in back.modules()] == [type(m) for m in kind.modules()]
    for name, value in state.items(): assert torch.equal(kind.state_dict()[name], value)


def test_every_multiply_add_is_counted_once_for_each_call(kind):
    with torch.no_grad(), FlopCounterMode(display=False) as counter: kind(PICTURES[:1])
    assert sum(l.macs for l in layer_table(kind, SHAPE)) == counter.get_total_flops() // 2


# policies

def test_policies_are_values():
    policy = Policy({"conv1": (np.int64(4), np.int8(8))})
    assert policy.bits == {"conv1": (4, 8)}
    for same in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy)), Policy(policy.bits)): assert same == policy
    patterned = Policy({"a.*": (2, 2)}, default=(4, 4))
    assert patterned == Policy({"*": (4, 4), "a.*": (2, 2)})
    assert len({patterned, Policy({"*": (4, 4), "a.*": (2, 2)}), policy}) == 2
    with refused("they mean the same"): Policy({"*": (4, 4)}, default=(4, 4))
    for bits in (4, "44", (4,), (0, 4), (9, 4), (True, 4), (4, 16), None):
        with refused("layer 'a' has bits", "each 1 to 8 or 32"): Policy({"a": bits})


def test_patterned_policies_are_saved_too(tmp_path):
    policy = Policy({"layer1.*": (2, 4), "fc": (8, 8)}, default=(4, 4))
    policy.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json") == policy
    for text in ('{"conv1": 4}', "[1]", '{"conv1": {"weight_bits": 4}}'):
        (tmp_path / "bad.json").write_text(text)
        with refused("bad.json is not a policy"): Policy.load(tmp_path / "bad.json")
    for content in (b"{", b"\xff"):
        (tmp_path / "bad.json").write_bytes(content)
        with refused("cannot read a policy from", "bad.json"): Policy.load(tmp_path / "bad.json")
    with refused("none.json"): Policy.load(tmp_path / "none.json")


def test_the_most_specific_pattern_counts():
    names = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "fc"]
    policy = Policy({"layer1.*": (2, 2), "layer1.0.conv?": (3, 3), "fc": (8, 8), "f*": (1, 1)}, default=(4, 4))
    found = policy.resolve(names)
    assert found.layers == names
    assert [w for w, _ in found.bits.values()] == [4, 3, 3, 4, 8]
    assert policy.resolve(names).resolve(names) == found
    assert Policy({}, default=(4, 4)).resolve(names).text == "4/4 4/4 4/4 4/4 4/4"
    agreeing = Policy({"*conv1": (4, 4), "conv1*": (4, 4)}, default=(8, 8))
    assert agreeing.resolve(names).bits["conv1"] == (4, 4)
    with refused("'*conv1' and 'conv1*'", "equally specific", "name the layer itself"):
        Policy({"*conv1": (4, 4), "conv1*": (2, 2)}, default=(8, 8)).resolve(names)


@pytest.mark.parametrize("bits, default, says", [
    ({"layer9.*": (4, 4)}, (8, 8), "no layer called 'layer9.*' (there are 'layer"),
    ({"layr1.0.conv1": (4, 4)}, (8, 8), "no layer called 'layr1.0.conv1' (there are 'layer1.0.conv1'"),
    ({"conv1": (4, 4)}, None, "no bits for 'layer1.0.conv1', 'layer1.0.conv2'"),
    ({"LAYER1.*": (4, 4)}, (8, 8), "no layer called 'LAYER1.*'")])
def test_policies_that_do_not_fit(bits, default, says):
    with refused("the policy does not fit the model", says): Policy(bits, default).resolve(resnet8())


def test_patterns_are_understood_wherever_a_policy_is():
    net = Network(inner()).eval()
    short = Policy({"*m*": (8, 4)}, default=(2, 4))
    whole = short.resolve(net)
    budget = Budget(net, SHAPE, bits=4)
    assert bitops(net, short, SHAPE) == bitops(net, whole, SHAPE) == budget.cost(short)
    assert model_size(net, short) == model_size(net, whole)
    assert cost_table(net, short, SHAPE) == cost_table(net, whole, SHAPE)
    assert budget.fit(short) == budget.fit(whole)
    assert rounded(net).stem.weight_quantizer.bits == 8
    assert quantize(net, short).head.weight_quantizer.bits == 2
    memory = Budget.memory(net, SHAPE, fraction=0.5)
    assert memory.cost(short) == memory.cost(whole)


def test_what_quantize_refuses():
    net = Network(inner()).eval()
    with refused("quantized already"): quantize(rounded(net), Policy.uniform(net, 4, 4))
    for bad in ("nan", "inf"):
        broken = copy.deepcopy(net)
        broken.middle.weight.data[0, 0, 0, 0] = float(bad)
        with refused("the weight of layer 'middle' contains NaN or infinite"): quantize(broken, Policy({}, (4, 4)))
    parts = nn.Sequential(nn.DataParallel(net), nn.ReLU())
    with refused("the part '0' of Sequential is wrapped in DataParallel"): quantize(parts, Policy.uniform(parts, 8, 8))
    bare = Two(lambda m, x: m.b(m.a(x) @ m.mix))
    bare.mix = nn.Parameter(torch.eye(4))
    for check in (lambda: rounded(bare, images=torch.rand(2, 4)), lambda: Budget(bare, (4,), bits=4)):
        with refused("a product with 'mix'"): check()


def test_layers_that_share_a_weight_have_one_bit_width():
    net = tied()
    unequal = Policy({"middle.2": (2, 4)}, default=(4, 4))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        both = quantize(net, unequal)
    assert both.middle[0].weight_quantizer is both.middle[2].weight_quantizer
    assert both.middle[2].weight_quantizer.bits == 4
    assert ["middle.2" in str(warning.message) for warning in said] == [True]
    budget = Budget(net, SHAPE, bits=4)
    assert budget.cost(unequal) == budget.cost(Policy.uniform(net, 4, 4))
    assert model_size(net, Policy.uniform(net, 32, 32)) == sum(p.numel() for p in net.parameters()) * 4
    table = {l.name: (l.macs, l.weights) for l in layer_table(net, SHAPE)}
    assert table["middle.2"] == (64 * 8 * 72, 0)   # the weight counts where it comes first


@pytest.mark.parametrize("dtype", (torch.float64, torch.bfloat16, torch.float16))
def test_networks_of_another_precision(dtype):
    half = Network(inner()).to(dtype).eval()
    quantized = rounded(half)
    with torch.no_grad(): change = (quantized(PICTURES.to(dtype)).float() - half(PICTURES.to(dtype)).float()).norm()
    assert quantized(PICTURES.to(dtype)).dtype == dtype
    assert change < 0.05


@pytest.mark.parametrize("quantizer", (LSQ, UniformQuantizer, PACT))
def test_weights_that_are_nearly_zero(quantizer):
    net = Network(inner()).eval()
    with torch.no_grad(): net.middle.weight.mul_(1e-40)
    assert quantize(net, Policy.uniform(net, 4, 4), quantizer)(PICTURES).isfinite().all()


def test_modes_are_put_back_part_by_part():
    modes = nn.Sequential(Network(inner()), nn.Dropout()).train()
    modes[0].eval()
    quantized = rounded(modes)
    found = [quantized.training, quantized[0].training, quantized[0].stem.training, quantized[1].training]
    assert found == [True, False, False, True]
    half_asleep = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()).train()
    half_asleep[0].eval()
    with evaluation_mode([*half_asleep.modules()]): assert not any(m.training for m in half_asleep.modules())
    assert [m.training for m in half_asleep.modules()] == [True, False, True]


def test_wrapped_networks_are_unwrapped():
    net = Network(inner()).eval()
    assert type(quantize(nn.DataParallel(net), Policy.uniform(net, 8, 8))) is Network
    assert list(quantizable_layers(nn.DataParallel(net))) == list(quantizable_layers(net))
    assert unwrapped(torch.compile(net)) is net


def test_one_step_for_a_tensor():
    quantized = quantize(Network(inner()), Policy({}, default=(4, 4)), UniformQuantizer, per_channel=False)
    assert quantized.stem.weight_quantizer.scale.shape == ()


def test_what_freezing_needs_to_know():
    with torch.random.fork_rng(): net = Borrowed(inner(bias=False)).eval()
    with refused("layer 'stem' is not calibrated"): freeze(quantize(net, Policy.uniform(net, 8, 8)))
    def as_from_a_file(net):
        loaded = quantize(net, Policy.uniform(net, 8, 8))
        loaded.load_state_dict(rounded(net).state_dict())
        return loaded
    with refused("'Borrowed' may use the weights of its layers in its own way"): freeze(as_from_a_file(net))
    assert isinstance(freeze(as_from_a_file(Network(inner()).eval())), Network)


def test_a_head_that_is_never_called():
    net = Auxiliary().eval()
    budget = Budget(net, SHAPE, bits=4)
    assert [(l.name, l.macs > 0) for l in budget.layers][-1] == ("extra", False)
    assert edge_layers(budget.layers) == ("stem", "head")
    assert inner_layers(budget.layers) == ["middle"]
    assert cost_table(net, Policy.uniform(net, 8, 8), SHAPE).rows[-1].bitops == 0
    frozen = freeze(rounded(net))
    assert frozen(PICTURES).isfinite().all()
    with refused("layer 'extra' was not called while the network was calibrated"): frozen.extra(torch.rand(2, 8))


def test_a_transformer_of_torch_cannot_pass_by_its_layers():
    encoder, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval(), torch.rand(3, 5, 8)
    everywhere = Policy.uniform(encoder, 32, 32)
    with torch.no_grad(): assert torch.equal(calibrate(quantize(encoder, everywhere), x)(x), encoder(x))
    back = dequantize(quantize(encoder, Policy.uniform(encoder, 4, 4)))
    assert [(n, type(m)) for n, m in back.named_modules()] == [(n, type(m)) for n, m in encoder.named_modules()]
    assert list(back.state_dict()) == list(encoder.state_dict())


# networks and layers

def test_layers_that_cannot_be_followed():
    replaced = nn.Sequential(nn.Linear(2, 2))
    replaced[0].forward = lambda x: x
    for net, says in ((nn.ReLU(), "ReLU has no convolution"), (nn.Sequential(nn.LazyLinear(3)), "layer '0' is lazy"),
                      (replaced, "layer '0' has been replaced on the object"),
                      (nn.Sequential(nn.Linear(2, 2, dtype=torch.complex64)), "torch.complex64"),
                      (nn.MultiheadAttention(8, 2, kdim=4), "only plain self-attention")):
        with refused(says): quantizable_layers(net)


def test_projections_of_attention_are_layers():
    attention = nn.MultiheadAttention(8, 2)
    layers = quantizable_layers(attention)
    assert list(layers) == ["in_proj", "out_proj"]
    assert layers["in_proj"].weight is attention.in_proj_weight
    opened = open_attention(copied(attention))
    with refused("need_weights=False"): opened(*[torch.rand(5, 3, 8)] * 3)
    assert list(opened.close().state_dict()) == list(attention.state_dict())


def test_shared_weights_are_found():
    two = Two()
    assert shared_weights(quantizable_layers(two)) == {}
    two.b.weight = two.a.weight
    assert shared_weights(quantizable_layers(two)) == {"b": "a"}


@pytest.mark.parametrize("use, says", [
    (lambda m, x: x @ (m.a.weight @ m.b.weight), "two weights, of the layers 'a' and 'b'"),
    (lambda m, x: F.linear(x, m.a.weight.abs()[:2]), "enters a product as (2, 4)"),
    (lambda m, x: torch.einsum("bi,oi,oi->bo", x, m.a.weight, m.a.weight), "'a' is in an einsum"),
    (lambda m, x: F.linear(x, m.a.weight + m.b.weight), "'a' and 'b' are made into one")])
def test_products_without_a_meaning_for_bits(use, says):
    two = Two(use)
    for name in ("a", "b"):
        QuantizedLayer.wrap(getattr(two, name), LSQ(3, signed=True, axis=0, channels=4, ndim=2), LSQ(3), name)
    with refused(says): follow_weights(two, ["a", "b"])(torch.rand(2, 4))


def test_quantized_layers_are_copied_and_pickled():
    layer, x = nn.Linear(6, 4), torch.rand(5, 6)
    QuantizedLayer.wrap(layer, LSQ(3, signed=True, axis=0, channels=4, ndim=2), LSQ(3), "layer")
    expected = layer(x)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(again) is type(layer)
        assert torch.equal(again(x), expected)


def products_of(network):
    image = torch.zeros(1, *SHAPE)
    with torch.no_grad(), recorded_products(network, image) as products: network(image)
    return products


def four(x): return x.mean((2, 3)).repeat(1, 2)[:, :4]


def test_products_with_what_is_no_layers_weight():
    class Filter(Network):
        "A fixed filter, kept as a buffer."
        def __init__(self):
            super().__init__(inner())
            self.register_buffer("blur", torch.ones(3, 1, 3, 3) / 9)
        def forward(self, x): return super().forward(F.conv2d(x, self.blur, groups=3, padding=1))
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.rnn = nn.Conv2d(3, 4, 3), nn.LSTM(4, 4, batch_first=True)
        def forward(self, x): return self.rnn(self.conv(x).flatten(2).transpose(1, 2))[0]
    low_rank = Two(lambda m, x: F.linear(four(x), m.a.weight @ m.b.weight))
    merged = Two(lambda m, x: F.linear(four(x), m.a.weight + m.b.weight))
    for net, says in ((Filter(), "'blur'"), (Recurrent(), "'rnn.weight_ih_l0'"),
                      (low_rank, "'a.weight' and 'b.weight'"), (merged, "'a.weight' and 'b.weight'")):
        with refused(says): products_of(net)


def test_folding_leaves_alone_what_it_does_not_understand():
    class Branching(nn.Module):
        def forward(self, x): return x if x.sum() > 0 else -x
    with refused("torch.fx cannot trace Branching"): traced(Branching())
    assert fold_batch_norm(Branching())(torch.ones(1)) == 1   # no batch norm, no warning
    with refused("`freeze` it first"): fold_batch_norm(quantize(resnet8(), Policy.uniform(resnet8(), 4, 4)))


def test_a_wrong_shape_is_named():
    conv = nn.Conv2d(3, 4, 3)
    with refused("one image of input_shape=(1, 8, 8)"):
        with one_image(conv, (1, 8, 8)) as image: conv(image)
    for ask in (lambda: layer_table(conv, (1, 8, 8)), lambda: try_once(conv, (1, 8, 8))):
        with refused("one image of input_shape=(1, 8, 8)"): ask()


# models

class Tied(nn.Module):
    "Two layers with one weight."
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
    def forward(self, x): return self.b(self.a(x).relu())


def test_weights_of_wrapped_and_tied_networks(tmp_path):
    net, path = Tied(), tmp_path / "tied.safetensors"
    inside = nn.Sequential(torch.compile(nn.Linear(2, 2)), nn.ReLU())
    save_weights(inside, path)
    assert sorted(load_tensors(path)[1]) == ["0.bias", "0.weight"]
    assert torch.equal(load_weights(nn.Sequential(nn.Linear(2, 2)), path)[0].weight, inside[0].weight)
    own = nn.Module()
    own.module = nn.Linear(2, 2)   # its own name begins with "module."
    save_weights(own, path)
    assert sorted(load_tensors(path)[1]) == ["module.bias", "module.weight"]
    load_weights(own, path)
    weights = net.state_dict()
    save_tensors(path, {**weights, "b.weight": weights["a.weight"] + 1})
    with refused("'a.weight' and 'b.weight' are one tensor in the model and differ"): load_weights(Tied(), path)
    save_tensors(path, {**weights, "module.a.bias": weights["a.bias"]})
    with refused("holds some tensors twice"): load_weights(Tied(), path)
    assert inner_network(load_weights(torch.compile(Tied()), save(net, path))).b.bias.equal(net.b.bias)


def save(net, path):
    save_weights(net, path)
    return path


def test_files_that_hold_no_weights(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_text("hello")
    with refused("not a safetensors file"): load_weights(Tied(), path)
    for zipped in (True, False):
        torch.save(Tied().state_dict(), tmp_path / "tied.pt", _use_new_zipfile_serialization=zipped)
        with refused("it is a PyTorch file (.pt, .pth)"): load_weights(Tied(), tmp_path / "tied.pt")
    class Noted(nn.Linear):
        def get_extra_state(self): return {"note": 1}
    with refused("'_extra_state' is a dict and not a tensor"): save_weights(Noted(2, 2), path)


def test_weights_of_odd_layouts_and_types(tmp_path):
    half, other = (nn.Conv2d(4, 4, 3).half() for _ in range(2))
    half.to(memory_format=torch.channels_last).register_buffer("part", torch.arange(10.0)[2:8:2])
    other.register_buffer("part", torch.zeros(3))
    load_weights(other, save(half, tmp_path / "half.safetensors"))
    for name, value in other.state_dict().items(): assert torch.equal(value, half.state_dict()[name])


def test_normalized_keeps_a_network_what_it_is():
    theirs = mobile().eval()
    before, x = copied(theirs).state_dict(), torch.rand(2, 3, 32, 32)
    ours = normalized(theirs, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert isinstance(ours, torchvision.models.MobileNetV2)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items(): assert torch.equal(value, before[name])
    with torch.inference_mode():
        wanted = theirs(Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))(x))
        for net in (ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), traced(ours)):
            assert torch.equal(net(x), wanted)
    assert fingerprint(normalized(theirs)) == fingerprint(normalized(theirs)) != fingerprint(ours)
    assert dequantize(quantize(ours, Policy.uniform(ours, 4, 4))).state_dict().keys() == ours.state_dict().keys()
    half = normalized(nn.Sequential(nn.Conv2d(3, 2, 1)).half())
    assert half.normalize.mean.dtype == torch.float16
    assert next(iter(half.children())) is half.normalize
    assert normalized(torch.compile(theirs)).training == theirs.training
    assert fingerprint(normalized(theirs)) != fingerprint(theirs)


def test_normalized_refuses_what_would_go_wrong_in_silence():
    class Walks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 3, 1)
        def forward(self, x):
            for part in self.children(): x = part(x)
            return x
    class Named(nn.Conv2d):
        def normalize(self): return None
    class Row(nn.Sequential):
        def forward(self, x): return super().forward(x) + 1
    replaced = nn.Conv2d(3, 3, 1)
    replaced.forward = lambda x: x
    for net, says in ((Walks(), "goes through its own parts"), (Named(3, 3, 1), "has a part called `normalize`"),
                      (Row(nn.ReLU()), "goes through its own parts"), (replaced, "has a forward pass of its own"),
                      (torch.fx.symbolic_trace(plain()), "has a forward pass of its own"),
                      (resnet8(), "normalizes its input already"),
                      (nn.Sequential(Normalize((0.5,), (0.5,)), nn.ReLU()), "normalizes its input already")):
        with refused(type(net).__name__, says): normalized(net)


# quantizers and learned bits

def test_quantizers_are_saved_with_step_and_sign():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, generator=g)
    unsigned, other = UniformQuantizer(4).calibrate(torch.rand(9, generator=g)), UniformQuantizer(4)
    other.load_state_dict(unsigned.state_dict())
    assert not other.signed
    with torch.inference_mode(): UniformQuantizer(4)(x)
    pact, again = PACT(4).calibrate(torch.rand(100, generator=g)), PACT(4)
    again.load_state_dict(pact.state_dict())
    with torch.no_grad():
        for same in (again, copy.deepcopy(pact)): assert torch.equal(same(x), pact(x))
    assert sorted(pact.state_dict()) == ["alpha", "sign"]
    with torch.inference_mode(): assert len(PACT(2)(x.relu()).unique()) == 4


def test_learned_bits_are_a_uniform_quantizer():
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(6, 3, 2, 2, generator=g) * torch.logspace(-2, 0, 6)[:, None, None, None]
    twin, source = PseudoNoise(8.0, axis=0, channels=6), PseudoNoise(5.0, axis=0, channels=6).calibrate(weights)
    twin.load_state_dict(source.state_dict())
    plain = UniformQuantizer(5, True, axis=0, channels=6).calibrate(weights)
    assert torch.equal(twin.eval()(weights), source.eval()(weights))
    assert torch.allclose(source(weights), plain(weights), atol=1e-6)
    assert (twin.integer_bits, twin.scale.shape) == (5, (6, 1, 1, 1))
    assert sorted(n for n, _ in source.named_parameters()) == ["bits", "clip"]
    assert isinstance(fixed(PseudoNoise(4.0).calibrate(weights)), nn.Module)
    with refused("max_bits <= 8, not 2, 9.0 and 8"): PseudoNoise(9.0)
    with refused("NaN"): PseudoNoise(4.0).calibrate(torch.tensor([float("nan")]))
    assert PseudoNoise(3.0)(torch.rand(100, generator=g)).min() >= -0.1


def test_fixed_bits_give_the_same_outputs():
    net = tied()
    noisy = calibrate(quantize(net, Policy.uniform(net, 6, 8), PseudoNoise), PICTURES).eval()
    for kind in (LSQ, UniformQuantizer):
        hard = fix_bits(noisy, kind)
        assert {type(m.weight_quantizer) for m in hard.modules() if isinstance(m, QuantizedLayer)} == {kind}
        assert hard.middle[0].weight_quantizer is hard.middle[2].weight_quantizer
        assert learned_bits(hard) == learned_bits(noisy) == dict(Policy.uniform(net, 6, 8).bits)
        with torch.no_grad(): assert torch.equal(hard(PICTURES), noisy(PICTURES))
    with torch.no_grad(): assert torch.equal(freeze(noisy)(PICTURES), noisy(PICTURES))
    partly = quantize(net, Policy.uniform(net, 8, 32), PseudoNoise)
    assert learned_bits(partly)["stem"] == (8, 32)


# budgets

@pytest.mark.parametrize("bits", (0, 33, "4", True, None, float("nan")))
def test_a_budget_needs_a_bit_width(bits):
    if bits is None:
        with refused("bits", error=TypeError): Budget(resnet8(), (1, 8, 8))
    else:
        with refused(f"bits must be a number from 1 to 32, not {bits!r}"): Budget(resnet8(), (1, 8, 8), bits=bits)


def test_budgets_are_values_and_need_a_name_for_their_limit():
    net, shape = resnet8(), (1, 8, 8)
    budget = Budget(net, shape, bits=4)
    assert budget == Budget.bitops(net, shape) == Budget.bitops(net, shape, fraction=1 / 64, limit=None)
    assert budget.limit == budget.cost(Policy.uniform(net, 4, 4)) == Budget.bitops(net, shape, limit=budget.limit).limit
    assert budget.limit < Budget(net, shape, bits=4.5).limit < Budget(net, shape, bits=5).limit
    for same in (copy.deepcopy(budget), pickle.loads(pickle.dumps(budget))): assert same == budget
    for make in (Budget, Budget.bitops, Budget.size, Budget.memory):
        with refused("positional", error=TypeError): make(net, shape, 4)
    with refused("give one of fraction, limit and bits"): Budget.bitops(net, shape, bits=4, limit=1e9)
    for make in (Budget.size, Budget.memory):
        with refused("give a limit or a fraction"): make(net, shape)
        with refused("give a limit or a fraction"): make(net, shape, fraction=0.5, limit_bytes=100)
    for fraction in (-1.0, 0.0, float("inf"), float("nan")):
        with refused("must be positive and finite"): Budget.bitops(net, shape, fraction=fraction)


def test_a_budget_out_of_reach_says_what_could_be_reached():
    net, shape = resnet20(), (3, 32, 32)
    four, budget = Policy.uniform(net, 4, 4), Budget.bitops(net, shape, fraction=0.001)
    with refused("smallest reachable cost is 162,204,160, with 2 bits in every free layer", error=BudgetError):
        budget.fit(four)
    edges = edge_layers(budget.layers)
    with refused("conv1 pinned at 8/8, linear pinned at 8/8; a larger budget would do, or fewer bits for the first and "
                 "last layer", error=BudgetError):
        budget.fit(pin(four, edges), fixed=edges)
    with refused("no policy meets", "layer1.0.conv1 pinned at 4/4", error=BudgetError):
        budget.fit(four, fixed=four.layers)
    with refused("60,000 bytes of memory: the smallest reachable cost is", error=BudgetError):
        Budget.memory(net, shape, limit_bytes=60_000).fit(four)


TINY = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 2))
HEADER = "layer,weight bits,activation bits,milliseconds"
ROWS = [f"{name},{w},{a},{w * a}" for name in "024" for w in (2, 4, 8) for a in (2, 4, 8)]


def latency(path, rows, header=HEADER, **limit):
    path.write_text("\n".join([header, *rows]) + "\n")
    return Budget.latency(TINY, (3, 6, 6), path, **limit or {"limit": 1})


@pytest.mark.parametrize("row, says", [
    ("0,8,8", "line 3: 3 fields instead of 4"), ("0,four,8,1", "line 3: bits must be integers"),
    ("0,4,8,fast", "line 3: bits must be integers and milliseconds a number, not 4, 8, fast"),
    ("0,4,8,-1", "line 3: milliseconds must be positive"), ("0,4,8,nan", "line 3: milliseconds must be positive"),
    ("0,9,8,1", "line 3: layer '0' has bits (9, 8)"), (ROWS[0], "line 3: layer '0' with bits (2, 2) is there twice")])
def test_a_latency_table_with_a_mistake(tmp_path, row, says):
    with refused("table.csv", says): latency(tmp_path / "table.csv", [ROWS[0], row])


def test_latency_tables_that_do_not_fit(tmp_path):
    path = tmp_path / "table.csv"
    with refused("line 1: the header must be layer,weight bits"): latency(path, [], "name,bits")
    with refused("no rows for the layers ['0']"): latency(path, ROWS[9:])
    with refused("['7'], which are no layers"): latency(path, [*ROWS, "7,8,8,1"])
    with refused("cannot read a latency table"): Budget.latency(TINY, (3, 6, 6), tmp_path / "none.csv", limit=1)
    budget = latency(path, [*ROWS, "", " "], limit=100)
    with refused("no row for layer '0' with 3 weight bits and 8 activation"): budget.cost(Policy.uniform(TINY, 3, 8))
    assert pickle.loads(pickle.dumps(budget)) == budget


def test_a_latency_table_that_knows_a_diagonal_only(tmp_path):
    rows = [f"{n},{b},{b},{b}" for n in "024" for b in (2, 4, 8, 32)]
    diagonal = latency(tmp_path / "table.csv", rows, limit=11)
    assert diagonal.fit(Policy.uniform(TINY, 8, 8)).bits == {"0": (2, 2), "2": (2, 2), "4": (4, 4)}
    assert diagonal.float_cost == 96
    assert diagonal.fraction(Policy.uniform(TINY, 8, 8)) == 0.25


# fused

JOINS = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")


def answers(network, x=PICTURES) -> tuple[torch.Tensor, bool]:
    "What a network says, and whether its program said it."
    program, used = network._compiled_call_impl, []
    if program is not None:
        forward = program.forward
        program.forward = lambda *args: used.append(1) or forward(*args)
    with torch.inference_mode(): found = network(x)
    if program is not None: program.forward = forward
    return found, bool(used)


def rgb8():
    "A residual network for color pictures whose batch norms do something."
    net = resnet20().eval()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
    return net


def test_a_fused_network_is_the_same_network():
    torch.manual_seed(0)
    net = rgb8()
    plain, fast = deployed(net, fused=False), deployed(net)
    assert type(fast) is type(net)
    assert fingerprint(fast) == fingerprint(plain)
    assert [name for name, _ in fast.named_modules()] == [name for name, _ in plain.named_modules()]
    expected, (found, used) = plain(PICTURES), answers(fast)
    assert used == JOINS
    assert torch.allclose(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(found.argmax(1), expected.argmax(1))
    many, ordered = PICTURES.repeat(20, 1, 1, 1), PICTURES.contiguous(memory_format=torch.channels_last)
    if JOINS: fast._compiled_call_impl.pieces = dict.fromkeys(fast._compiled_call_impl.pieces, 7)   # many pieces
    assert torch.allclose(answers(fast, many)[0][-16:], found, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert torch.allclose(answers(fast, ordered)[0], found, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_a_copy_in_bfloat16_rounds_as_the_original_does():
    torch.manual_seed(0)
    net = rgb8()
    fast, plain = BFloat16(net), BFloat16(net, fused=False)
    for network in (fast, plain):
        for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert fingerprint(again) == fingerprint(network)
            assert type(again.model._compiled_call_impl) is type(network.model._compiled_call_impl)
            with torch.inference_mode(): assert torch.equal(again(PICTURES), network(PICTURES))
    assert fingerprint(fast) != fingerprint(plain)      # sums are rounded twice
    with torch.inference_mode(): change, size = fast(PICTURES) - plain(PICTURES), plain(PICTURES).abs().max()
    assert float(change.abs().max()) < 0.05 * float(size)


def test_what_cannot_be_traced_is_left_alone():
    class Branches(Network):
        def forward(self, x): return super().forward(x) if x.sum() > 0 else x
    class Mixed(Network):
        def forward(self, x, y=None): return super().forward(x if y is None else x + y)
    class Listed(Network):
        def forward(self, *images): return super().forward(images[0])
    patched = Network().eval()
    patched.forward = lambda x: x
    for net in (Branches(), Mixed(), Listed(), patched): assert fuse(net.eval())._compiled_call_impl is None
    assert fuse(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))._compiled_call_impl is None   # nothing to join


@pytest.mark.filterwarnings("ignore")   # of PyTorch, about other processors and its own future
def test_a_program_steps_back():
    torch.manual_seed(0)
    fast = deployed(rgb8())
    plain = copy.deepcopy(fast)
    assert answers(fast)[1] == JOINS
    assert not answers(fast, PICTURES[:0])[1]
    with torch.backends.mkldnn.flags(enabled=False): assert not answers(fast)[1]
    with torch.autocast("cpu", torch.bfloat16): assert not answers(fast)[1]
    with FlopCounterMode(display=False) as flops: assert not answers(fast)[1]
    with FlopCounterMode(display=False) as others: plain(PICTURES)
    assert flops.get_total_flops() == others.get_total_flops() > 0
    x = PICTURES.clone().requires_grad_()
    fast(x).sum().backward()
    assert x.grad.abs().sum() > 0
    tangents = [torch.func.jvp(f, (PICTURES,), (PICTURES,))[1] for f in (fast, plain)]
    assert torch.allclose(*tangents)
    assert tangents[0].abs().sum() > 0
    with pytest.raises(ValueError, match="this network takes a batch"): fast(PICTURES[:, :2])
    assert torch.equal(fast.double()(PICTURES.double()), plain.double()(PICTURES.double()))
    fast.float()
    seen, hook = [], fast.layer1.register_forward_hook(lambda *args: seen.append(1))
    assert not answers(fast)[1]
    assert seen == [1]
    hook.remove()
    fast.layer1.train()
    assert not answers(fast)[1]
    fast.layer1.eval()
    assert answers(fast)[1] == JOINS
    fast.linear = nn.Linear(64, 3)
    found, used = answers(fast)
    assert (found.shape[1], used) == (3, False)


def test_weights_that_change_count():
    torch.manual_seed(0)
    fast, other = deployed(rgb8()), deployed(rgb8(), fused=False)
    before = answers(fast)[0]
    fast.load_state_dict(other.state_dict())
    found, used = answers(fast)
    assert used == JOINS
    assert not torch.allclose(found, before)
    assert torch.allclose(found, other(PICTURES), rtol=0, atol=1e-3)
    with torch.inference_mode(): made_there = deployed(rgb8())
    first = answers(made_there)[0]
    with torch.inference_mode(): made_there.conv1.weight.mul_(2)
    assert not torch.allclose(answers(made_there)[0], first)


def test_a_program_does_not_keep_its_network_alive():
    net = fuse(fold_batch_norm(rgb8()))
    program = net._compiled_call_impl
    del net
    if JOINS: assert (type(program), program.model()) == (_Program, None)


# backends

def test_a_compiler_is_asked_for(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with refused("torch.compile needs a C++ compiler", error=RuntimeError): deployed(resnet8(), compiled=True)


def test_backends_by_name(monkeypatch):
    net = resnet8().eval()
    quantized = rounded(net, images=torch.rand(4, 1, 8, 8))
    assert [suitable_backend(n, "int8") for n in (net, quantized)] == ["float32", "int8"]
    for ask in (lambda: deployed(net, (1, 8, 8), "int4"), lambda: suitable_backend(net, "int4"),
                lambda: check_backend(net, (1, 8, 8), "int4")):
        with refused("backend='int4' is unknown", "float32, bfloat16, int8"): ask()
    with refused("needs the input_shape"): deployed(quantized, backend="int8")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with refused("arq_nb[int8]", error=ImportError): Int8("digits.xml")
    with refused("arq_nb[int8]", error=ImportError): deployed(quantized, (1, 8, 8), "int8")


class Pooled(nn.Sequential):
    def forward(self, x): return self[2](torch.flatten(self[1](self[0](x)), 1))


def pooled():
    first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return Pooled(first, nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8, 5))


def mobile(): return torchvision.models.MobileNetV2(num_classes=4, width_mult=0.25)


@pytest.mark.parametrize("make", (pooled, lambda: normalized(mobile())))
@torch.no_grad()
def test_integers_for_pooling_depthwise_and_negative_batch_norms(make):
    pytest.importorskip("openvino")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        big, x = make().eval(), torch.rand(2, 3, 32, 32)
        for m in big.modules():
            if not isinstance(m, nn.BatchNorm2d): continue
            m.weight.data.uniform_(-1, 1)
            m.running_mean.uniform_(-0.1, 0.1)
            m.running_var.uniform_(0.5, 1)
    quantized = calibrate(quantize(big, Policy.uniform(big, 4, 5)), x).eval()
    got, expected = Int8(export_int8(quantized, (3, 32, 32)))(x), quantized.double()(x.double())
    assert (got - expected).abs().max() < 1e-4 * expected.abs().max()


def test_integers_for_a_row_of_layers_and_for_learned_bits():
    pytest.importorskip("openvino")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Flatten(1), nn.Linear(8 * 25, 4)
        plain, x = nn.Sequential(*parts).eval(), torch.rand(2, 3, 7, 7)
    for kind in (LSQ, PseudoNoise):
        quantized = calibrate(quantize(plain, Policy.uniform(plain, 8, 8), kind), x).eval()
        with torch.inference_mode():
            assert torch.allclose(Int8(export_int8(quantized, (3, 7, 7)))(x), quantized(x), atol=1e-4)


def integers_of_two_layers():
    "A small integer network, and its images."
    pytest.importorskip("openvino")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(1), nn.Linear(8 * 36 * 36, 4)), None
        images = torch.rand(53, 3, 38, 38)
    quantized = calibrate(quantize(net, Policy.uniform(net, 4, 4)), images).eval()
    return Int8(export_int8(quantized, (3, 38, 38)), threads=2), images


def test_an_integer_program_is_one_function():
    "Each image has the same logits in any batch, in any memory layout, in any floating type that holds its pixels."
    program, images = integers_of_two_layers()
    assert (program.together, len(program.requests)) == (10, 4)
    alone = torch.cat([program(image[None]) for image in images])
    for n in (0, 1, 9, 10, 11, 53): assert torch.equal(program(images[:n]), alone[:n])
    last = images.contiguous(memory_format=torch.channels_last)
    for same in (last, images.double(), images.flip(0).flip(0), images.repeat_interleave(2, 0)[::2], last.mT.mT):
        assert torch.equal(program(same), alone)
    halved = images.half()
    assert torch.equal(program(halved), program(halved.float()))


def test_an_integer_program_is_asked_by_several_threads():
    program, images = integers_of_two_layers()
    expected = [program(images[i:]) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5): assert all(map(torch.equal, pool.map(lambda i: program(images[i:]), range(8)), expected))
    waits = [program.in_background(images[i:]) for i in range(8)]
    assert all(torch.equal(wait(), logits) for wait, logits in [*zip(waits, expected)][::-1])


@pytest.mark.parametrize("convert, says", [
    (lambda: MODULES[nn.BatchNorm2d](nn.BatchNorm2d(2, track_running_stats=False), None), "running statistics"),
    (lambda: FUNCTIONS[F.adaptive_avg_pool2d](None, 2), "only global average pooling"),
    (lambda: FUNCTIONS[operator.getitem](None, slice(1, None)), "only slices [::step]"),
    (lambda: FUNCTIONS[torch.flatten](None), "only flatten(x, 1)")])
def test_what_a_converter_refuses(convert, says):
    with refused(says): convert()


def test_operations_without_a_converter():
    pytest.importorskip("openvino")
    own = nn.Sequential(Same(3, 8, 3), nn.ReLU(), nn.Flatten(1), nn.Linear(8 * 36, 4)).eval()
    softplus = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softplus()).eval()
    for net, says in ((own, "layer '0' of type QuantizedSame computes"),
                      (softplus, "type Softplus cannot be exported")):
        with refused(says): export_int8(rounded(net, images=torch.rand(2, 3, 7, 7)), (3, 7, 7))


def kinds_of_rows():
    "Channels of every kind that a weight or an activation has."
    g = torch.Generator().manual_seed(0)
    def normal(*shape): return torch.randn(shape, generator=g)
    def uniform(*shape): return torch.rand(shape, generator=g)
    outliers = normal(3, 1152)
    outliers[:, 0] = 40.0
    return {"normal": normal(3, 1152), "laplace": -uniform(3, 1152).log() * normal(3, 1152).sign(),
            "uniform": uniform(3, 1152) * 2 - 1, "heavy": normal(3, 1152) / normal(2, 3, 1152).square().mean(0).sqrt(),
            "relu": normal(3, 1152).relu(), "sparse": normal(3, 2304) * (uniform(3, 2304) < 0.3), "outliers": outliers,
            "constant": torch.full((3, 20), -0.7), "nine": normal(300, 9), "two": normal(300, 2),
            "zero": torch.zeros(3, 9)}


def squared_errors(rows, steps, bits, signed):
    "Of each row."
    return (fake_quantize(rows, steps[:, None], bits, signed) - rows).double().square().sum(1)


def longest_search(rows, clips, bits, signed):
    "The squared error of the best of many steps for each row."
    steps = clips[:, None] * rows.abs().amax(1).clamp_min(1e-30) / integer_range(bits, signed)[1]
    return torch.stack([squared_errors(rows, s, bits, signed) for s in steps]).amin(0).sum().item()


@pytest.mark.parametrize("name", kinds_of_rows())
def test_steps_lose_no_more_than_those_of_long_searches(name):
    "At most 1 % more than 60 candidates a channel, as before, and than 400 in the range that matters."
    rows = kinds_of_rows()[name]
    nothing = 1e-9 * rows.double().square().sum().item() + 1e-30
    for bits, signed in [(b, s) for b in range(1, 9) for s in (True, False) if b > 1 or not s]:
        values = rows if signed else rows.abs()
        quantizer = UniformQuantizer(bits, signed, axis=0, channels=len(rows), ndim=2).calibrate(values)
        found = squared_errors(values, quantizer.scale.flatten(), bits, signed).sum().item()
        for clips in (torch.linspace(1 / 60, 1.2, 60), torch.logspace(-2.5, 0.1, 400)):
            least = longest_search(values, clips, bits, signed)
            assert found <= 1.01 * least + nothing, (bits, signed, len(clips))


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_steps_of_huge_and_tiny_values(size, method):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * size
    error = fake_quantize(x, _calibrated_scale(x, 8, method=method), 8) - x
    assert error.abs().mean() < 0.05 * size
    assert abs(_calibrated_scale(x, 1) / size - x.abs().mean() / size) < 1e-3


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-45])
def test_subnormal_values_count_as_zero(size, axis):
    tiny = torch.full((3, 4), size)
    step = _calibrated_scale(tiny, 4, axis=axis)
    assert step.shape == (() if axis is None else (3, 1))
    assert step.min() > 0
    assert fake_quantize(tiny, step, 4).abs().max() <= size


def test_minmax_meets_the_one_value_that_a_sample_would_miss():
    long = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    long[123_457] = 10.0
    assert abs(_calibrated_scale(long, 4, method="minmax") - 10 / 7) < 1e-6
    steps = _calibrated_scale(long.expand(3, -1), 4, axis=0, method="minmax")
    assert torch.allclose(steps, torch.full((3, 1), 10 / 7), atol=1e-6)


def test_what_calibration_refuses():
    with refused("NaN"): _calibrated_scale(torch.tensor([1.0, float("nan")]), 4)
    with refused("minmax, percentile, mse"): _calibrated_scale(torch.rand(4), 4, method="best")


# packed files

def packed(network, folder, **about):
    "The path of a packed file."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # some weights have to stay in float
        export_packed(network, folder / "net.safetensors", about)
    return folder / "net.safetensors"


@torch.no_grad()
def test_packed_networks_of_all_kinds_come_back(kind, tmp_path):
    for bits in (3, 1):
        given = rounded(kind, bits).eval()
        logits = given(PICTURES)
        path = packed(given, tmp_path)
        for structure in (kind, given):
            found = load_packed(path, structure)
            assert torch.equal(found(PICTURES), logits)
            assert network_sha256(found) == network_sha256(given)
        assert sum(packed_bytes(path).values()) == path.stat().st_size


@torch.no_grad()
def test_packed_attention(tmp_path):
    net = torchvision.models.VisionTransformer(8, 4, 2, 2, 16, 32, num_classes=4).eval()
    given = rounded(net, 5).eval()
    given(PICTURES)
    found = load_packed(packed(given, tmp_path), net)
    assert torch.equal(found(PICTURES), given(PICTURES))
    assert packed_bytes(packed(given, tmp_path))["5 bits"] > 0


def test_a_layer_that_no_calibration_reached_stays_so(tmp_path):
    given = rounded(Auxiliary().eval(), 4).eval()
    found = load_packed(packed(given, tmp_path), Auxiliary())
    assert not found.extra.input_quantizer.calibrated
    assert found.middle.input_quantizer.calibrated


def test_packing_leaves_the_network_alone(tmp_path):
    given = calibrate(quantize(resnet8(), Policy.uniform(resnet8(), 4, 4), PseudoNoise), DIGITS).train()
    before = fingerprint(given)
    packed(given, tmp_path)
    assert fingerprint(given) == before
    assert given.training


def test_which_weights_stay_in_float(tmp_path):
    with pytest.warns(UserWarning, match="'head' stay in float"):
        export_packed(rounded(Embedded().eval(), 4), tmp_path / "net.safetensors")
    with pytest.warns(UserWarning, match="'middle' stay in float"):
        export_packed(rounded(Network(inner(Standardized)).eval(), 4), tmp_path / "net.safetensors")


DIGITS = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def small():
    return calibrate(quantize(resnet8(), Policy.uniform(resnet8(), 3, 3)), DIGITS).eval()


def rewritten(path, change, signed=True):
    "The file with a changed header or changed tensors; `signed`: with the SHA-256 of what it holds now."
    metadata, tensors = load_tensors(path)
    header = {key: json.loads(value) for key, value in metadata.items()}
    change(header, tensors)
    if signed: header["network_sha256"] = _sha256(tensors, {key: header.get(key) for key in _KEYS[1:]})
    save_tensors(path, tensors, {key: json.dumps(value) for key, value in header.items()})
    return path


@pytest.mark.parametrize("change, words", [
    (lambda header, tensors: header.pop("format"), ["format=None"]),
    (lambda header, tensors: header.update(format="gguf"), ["format='gguf'"]),
    (lambda header, tensors: header.update(format_version=3), ["format_version=3", "reads 1 and 2"]),
    (lambda header, tensors: header.update(weights=[1]), ["weights=[1]"]),
    (lambda header, tensors: header["weights"]["conv1"].update(bits=9), ["'conv1'", "bits=9"]),
    (lambda header, tensors: header["weights"]["conv1"].update(bits="3"), ["'conv1'", "bits='3'"]),
    (lambda header, tensors: header["weights"]["conv1"].update(shape=[-1]), ["'conv1'", "shape=[-1]"]),
    (lambda header, tensors: header["weights"]["conv1"].update(shape=[10**12]), ["'conv1'", "there are 54"]),
    (lambda header, tensors: header["weights"]["conv1"].update(shape=[16, 9, 1, 1]), ["(16, 9, 1, 1)"]),
    (lambda header, tensors: header["weights"].pop("conv1"), ["(54,)", "conv1.weight"]),
    (lambda header, tensors: header["weights"]["conv1"].update(axis=7), ["IndexError"]),
    (lambda header, tensors: header["inputs"].pop("conv1"), ["KeyError('conv1')"]),
    (lambda header, tensors: header["inputs"]["conv1"].update(bits=0), ["bit-width 0"]),
    (lambda header, tensors: header["policy"].update(conv1=[3, 33]), ["'conv1'", "[3, 33]"]),
    (lambda header, tensors: header["same"].update({"conv1.weight": "nothing"}), ["KeyError('nothing')"]),
    (lambda header, tensors: tensors.pop("conv1.weight_step"), ["KeyError('conv1.weight_step')"]),
    (lambda header, tensors: tensors.pop("linear.bias"), ["'linear.bias'", "in the network alone"]),
    (lambda header, tensors: tensors.update(more=torch.zeros(1)), ["'more'", "in the file alone"]),
    (lambda header, tensors: tensors.update({"linear.bias": torch.zeros(3)}), ["'linear.bias'", "(3,)", "(10,)"]),
    (lambda header, tensors: tensors.update({"conv1.weight": torch.zeros(54)}), ["'conv1'", "float32"]),
])
def test_odd_packed_files_are_refused(small, tmp_path, change, words):
    path = rewritten(packed(small, tmp_path), change)
    with refused(str(path), *words): load_packed(path, resnet8())


def test_damaged_packed_files_are_refused(small, tmp_path):
    whole = packed(small, tmp_path).read_bytes()
    path = tmp_path / "part.safetensors"
    for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with refused(str(path)): load_packed(path, resnet8())
    path.write_bytes(whole + b"x")
    with refused(str(path)): load_packed(path, resnet8())
    for place in range(len(whole) - 1, len(whole) // 5, -len(whole) // 9):   # in the numbers
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with refused(str(path), "is damaged"): load_packed(path, resnet8())
    def wider(header, tensors): header["policy"]["conv1"] = [4, 4]
    with refused("is damaged"): load_packed(rewritten(packed(small, tmp_path), wider, signed=False), resnet8())


def test_foreign_files_are_no_packed_networks(small, tmp_path):
    path = tmp_path / "net.safetensors"
    with refused(str(path), "no such"): load_packed(path, resnet8())
    torch.save(small.state_dict(), path)
    with refused(str(path), "can run code"): load_packed(path, resnet8())
    save_weights(small, path)
    with refused(str(path), "format=None"): load_packed(path, resnet8())
    path.write_bytes(b"\x08\x0aonnx")
    with refused(str(path), "not a safetensors file"): load_packed(path, resnet8())


def test_networks_that_do_not_fit_a_packed_file(small, tmp_path):
    path = packed(small, tmp_path)
    with refused(str(path), "'layer1.1.conv1'", "network alone"): load_packed(path, resnet20())
    with refused(str(path), "(10,)", "(7,)"): load_packed(path, resnet8(7))
    with refused(str(path), "torch.float64"): load_packed(path, resnet8().double())


def test_networks_that_cannot_be_packed(small, tmp_path):
    path = tmp_path / "net.safetensors"
    with refused("'conv1'", "before `freeze`"): export_packed(freeze(small), path)
    with refused("torch.bfloat16"): export_packed(copy.deepcopy(small).bfloat16(), path)
    with refused("'conv1'", "not calibrated"): export_packed(quantize(resnet8(), Policy.uniform(resnet8(), 4, 4)), path)
    with refused("about"): export_packed(small, path, {"about": object()})
    assert not path.exists()


# QONNX

@pytest.mark.parametrize("name", ["transposed", "borrowed weight", "two of one"])
@torch.no_grad()
def test_qonnx_files_compute_what_the_simulation_does(name, tmp_path):
    pytest.importorskip("qonnx")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = KINDS[name]().eval()
    given = calibrate(quantize(net, Policy({"stem": (1, 3), "head": (6, 2)}, default=(3, 5))), PICTURES).eval()
    export_qonnx(given, tmp_path / "net.onnx", SHAPE)
    wanted, found = given(PICTURES), run_qonnx(tmp_path / "net.onnx", PICTURES)
    assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()   # one value on another level moves them by less
    assert ((found - wanted).abs().amax(1) < 1e-5 * wanted.abs().max()).float().mean() > 0.7


@torch.no_grad()
def test_attention_in_qonnx(tmp_path):
    pytest.importorskip("qonnx")
    given = rounded(torchvision.models.VisionTransformer(8, 4, 1, 2, 16, 32, num_classes=4).eval(), 5).eval()
    export_qonnx(given, tmp_path / "net.onnx", SHAPE)
    found = torch.cat([run_qonnx(tmp_path / "net.onnx", image) for image in PICTURES[:3].split(1)])
    assert (found - given(PICTURES[:3])).abs().max() < 0.02


class OfRows(nn.Module):
    "There and back by one weight, for each row of an image."
    def __init__(self):
        super().__init__()
        self.there, self.last = nn.Linear(8, 4, bias=False), nn.Linear(192, 10)

    def forward(self, x): return self.last((self.there(x.flatten(1, 2)).relu() @ self.there.weight).flatten(1))


@torch.no_grad()
def test_a_weight_used_both_ways_in_qonnx(tmp_path):
    pytest.importorskip("qonnx")
    given = calibrate(quantize(OfRows(), Policy.uniform(OfRows(), 4, 8)), PICTURES).eval()
    export_qonnx(given, tmp_path / "net.onnx", SHAPE)
    assert torch.allclose(run_qonnx(tmp_path / "net.onnx", PICTURES[:1]), given(PICTURES[:1]), atol=1e-4)
    export_qonnx(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LocalResponseNorm(3)), tmp_path / "lrn.onnx", SHAPE)
    with pytest.raises(ValueError, match="the package qonnx cannot run it"):
        run_qonnx(tmp_path / "lrn.onnx", PICTURES[:1])


def test_what_cannot_become_qonnx(small, tmp_path):
    pytest.importorskip("qonnx")
    path = tmp_path / "net.onnx"
    with refused("'conv1'", "not calibrated"):
        export_qonnx(quantize(resnet8(), Policy.uniform(resnet8(), 4, 4)), path, (1, 8, 8))
    with refused("'conv1'", "before `freeze`"): export_qonnx(freeze(small), path, (1, 8, 8))
    assert not path.exists()


# Files for other programs

def apart(logits, wanted) -> float:
    "The distance of the median image, as a share: on some processor an image has a value between two levels."
    return ((logits - wanted).norm(dim=1) / wanted.norm(dim=1)).median().item()


def together(quantized, path, images=PICTURES) -> dict[str, float]:
    "How far a file's logits are from the simulation, in each runtime that is installed."
    runtimes = filter(find_spec, ("onnxruntime", "openvino"))
    return {name: apart(load_exported(path, name)(images), quantized(images)) for name in runtimes}


@pytest.fixture
def exporting(): pytest.importorskip("onnxscript")


@pytest.mark.parametrize("name", ["weight standardized", "transposed", "borrowed weight", "weight norm"])
@torch.no_grad()
def test_files_compute_what_the_simulation_does(name, exporting, tmp_path):
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        given = rounded(KINDS[name]().eval(), 3).eval()
    path = export(given, tmp_path / "net.onnx", SHAPE)
    assert all(off < 1e-4 for off in together(given, path).values())


@torch.no_grad()
def test_files_of_small_residual_networks(exporting, tmp_path):
    "OpenVINO without its snippets was off by a fifth on every image."
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = resnet8()
    given = calibrate(quantize(net, Policy.uniform(net, 3, 5)), DIGITS).eval()
    path = export(given, tmp_path / "net.onnx", (1, 8, 8))
    assert all(off < 1e-4 for off in together(given, path, DIGITS).values())


class Tiny(nn.Module):
    "Its second convolution reads values of 1e-9."
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, bias=False), nn.Linear(128, 5)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu() * 1e-9).flatten(1) * 1e9)


@torch.no_grad()
def test_files_with_tiny_inputs(exporting, tmp_path):
    "ONNX Runtime, left to itself, gives 4 bits here the levels of 8."
    with torch.random.fork_rng():
        torch.manual_seed(0)
        given = rounded(Tiny().eval(), 4).eval()
    given.second.input_quantizer.scale.div_(3)   # many values are beyond the last level
    with pytest.warns(UserWarning, match="tiny inputs: 'second'.*ClipQuantRewrite"):
        path = export(given, tmp_path / "net.onnx", SHAPE)
    assert all(off < 1e-4 for off in together(given, path).values())


class Aside(nn.Module):
    "Half of its channels go another way, as in CSP networks."
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Linear(16, 10)
        self.way = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
                                 nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.join = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())

    def forward(self, x):
        one, other = F.silu(self.norm(self.first(x))).chunk(2, 1)
        return self.last(self.join(torch.cat([one, self.way(other) + other], 1)).mean((2, 3)))


@pytest.mark.filterwarnings("ignore:OpenVINO's integers", "ignore:ONNX Runtime has no exact sums")
@torch.no_grad()
def test_files_that_openvino_gets_wrong_in_integers(exporting, tmp_path):
    "Its integers are off by a tenth, on processors that have any."
    pytest.importorskip("openvino")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        given = calibrate(quantize(Aside().eval(), Policy.uniform(Aside(), 8, 8)), PICTURES).eval()
    path = export(given, tmp_path / "net.onnx", SHAPE)
    assert all(off < 1e-4 for off in together(given, path).values())


@torch.no_grad()
def test_exact_sums_that_onnxruntime_does_not_have(exporting, tmp_path, monkeypatch):
    "On processors without VNNI it refuses some files: they are computed in floats, and their name says so."
    package = pytest.importorskip("onnxruntime")
    given = rounded(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval(), 4)
    path, real, asked = export(given, tmp_path / "net.onnx", SHAPE), package.InferenceSession, []
    def session(source, options, **rest):
        asked.append(options.graph_optimization_level)
        if asked[-1] != package.GraphOptimizationLevel.ORT_DISABLE_ALL: raise RuntimeError("no exact sums")
        return real(source, options, **rest)
    monkeypatch.setattr(package, "InferenceSession", session)
    monkeypatch.setattr(runtimes, "_saturates", lambda: False)   # sums are exact anyway: a refusal is a refusal
    with refused("net.onnx", "no exact sums"): load_exported(path, "onnxruntime")
    monkeypatch.setattr(runtimes, "_saturates", lambda: True)
    with pytest.warns(UserWarning, match="computes with floats"): found = load_exported(path, "onnxruntime")
    assert found.runtime.endswith("in floats") and "in floats" in found.precision and len(asked) == 3
    assert apart(found(PICTURES), given(PICTURES)) < 1e-4


def test_files_ask_for_the_kernels_of_programs(exporting, tmp_path):
    "Without them OpenVINO takes a quarter longer for a file than for our own program of the same network."
    pytest.importorskip("openvino")
    net = resnet8()
    given = calibrate(quantize(net, Policy.uniform(net, 4, 8)), DIGITS).eval()
    path = export(given, tmp_path / "net.onnx", (1, 8, 8))
    wanted = _few_channels(export_int8(given, (1, 8, 8)))
    assert len(_few_channels(_program(_OnnxFile(path)))) == len(wanted) > 4


@pytest.mark.parametrize("bits", [(1, 1), (4, 32), (32, 4), (8, 8)])
@pytest.mark.filterwarnings("ignore:layers with float weights", "ignore:ONNX Runtime has no exact sums")
@torch.no_grad()
def test_files_of_all_bits(bits, exporting, tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for p in net.parameters(): p.normal_(0, 0.3)
    given = calibrate(quantize(net, Policy.uniform(net, *bits), PACT, per_channel=False), PICTURES).eval()
    path = export(given, tmp_path / "net.onnx", SHAPE, about={"sigma": 0.5})
    assert all(off < 1e-4 for off in together(given, path).values())
    notes = load_exported(path).notes
    assert json.loads(notes["policy"])["0"] == list(bits)
    assert (notes["sigma"], notes["network_sha256"]) == ("0.5", network_sha256(given))


@pytest.mark.parametrize("bad, words", [
    (lambda net: quantize(net, Policy.uniform(net, 4, 4)), ["not calibrated"]),
    (lambda net: freeze(rounded(net, 4)), ["'0'", "before `freeze`"]),
    (lambda net: nn.Sequential(net, nn.Softmax(1), Odd()), ["bessel_j1", "'2'"]),
], ids=["not calibrated", "frozen", "operation"])
def test_what_cannot_become_onnx(bad, words, exporting, tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)).eval()
    with refused(*words): export(bad(net), tmp_path / "net.onnx", SHAPE)
    assert not list(tmp_path.iterdir())


class Odd(nn.Module):
    def forward(self, x): return torch.special.bessel_j1(x)


def test_names_of_files(exporting, tmp_path):
    with refused("net.pt", ".safetensors"): export(nn.Conv2d(3, 4, 3), tmp_path / "net.pt", SHAPE)
    with refused("format='gguf'", "packed"): export(nn.Conv2d(3, 4, 3), tmp_path / "net.onnx", SHAPE, "gguf")


@pytest.fixture
def model():
    "A valid ONNX model of a classifier, to be spoiled."
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = onnx.numpy_helper.from_array(np.ones((192, 2), np.float32), "weight")
    nodes = [make.make_node("Flatten", ["x"], ["flat"]), make.make_node("MatMul", ["flat", "weight"], ["y"])]
    ends = [[make.make_tensor_value_info(name, kind, shape)] for name, shape in (("x", ["n", *SHAPE]), ("y", ["n", 2]))]
    return make.make_model(make.make_graph(nodes, "g", *ends, [weight]), opset_imports=[make.make_opsetid("", 17)],
                           ir_version=8)


def test_a_file_of_somebody_else(model, tmp_path):
    (path := tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = load_exported(path, "onnxruntime")
    assert torch.allclose(found(PICTURES), PICTURES.flatten(1).sum(1, keepdim=True).expand(-1, 2), rtol=1e-5)
    assert torch.equal(found(PICTURES[:1]), found(PICTURES)[:1])
    assert (found.precision.split()[0], found(PICTURES[:0]).shape) == ("float32", (0, 2))
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()
    assert fingerprint(found) == fingerprint(load_exported(path, "onnxruntime"))
    with refused("takes images (3, 8, 8)"): found(torch.rand(2, 3, 9, 9))


@pytest.mark.parametrize("content, words", [
    (b"", ["ir_version"]), (b"PK\x03\x04", ["PyTorch file", "can run code"]), (b"\x80\x02cos", ["PyTorch file"]),
    (b"garbage of no kind", ["not an ONNX file"]), (None, ["no such file"]),
], ids=["empty", "zip", "pickle", "garbage", "missing"])
def test_files_that_are_none(content, words, tmp_path):
    pytest.importorskip("onnx")
    if content is not None: (tmp_path / "net.onnx").write_bytes(content)
    with refused("net.onnx", *words): load_exported(tmp_path / "net.onnx", "onnxruntime")


def test_files_that_are_cut_off(model, tmp_path):
    data = model.SerializeToString()
    for length in (len(data) // 3, len(data) - 300, len(data) - 5):
        (tmp_path / "net.onnx").write_bytes(data[:length])
        with refused("net.onnx", "cut off"): load_exported(tmp_path / "net.onnx", "onnxruntime")


@pytest.mark.parametrize("where", ["../secret.bin", "/etc/passwd", "link.bin", "absent.bin"])
def test_numbers_elsewhere_are_not_opened(where, model, tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(192 * 2 * 4))
    if where == "link.bin":
        try: (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
        except OSError: pytest.skip("no symbolic links on this system")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value=where)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with refused("net.onnx", where, "not there" if where == "absent.bin" else "outside its folder"):
        load_exported(folder / "net.onnx", "onnxruntime")


def test_files_that_are_no_classifiers(model, tmp_path):
    two, wide, foreign = (copy.deepcopy(model) for _ in range(3))
    two.graph.output.append(two.graph.input[0])
    wide.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    foreign.graph.node[0].domain = "somebody.else"
    foreign.opset_import.add(domain="somebody.else", version=1)
    for bad, word in ((two, "2 outputs"), (wide, "fixed shape"), (foreign, "somebody.else")):
        (tmp_path / "net.onnx").write_bytes(bad.SerializeToString())
        with refused("net.onnx", word): load_exported(tmp_path / "net.onnx", "onnxruntime")


def test_the_extra_is_named(monkeypatch, tmp_path):
    def missing(name): raise ImportError(name)
    monkeypatch.setattr(exporter, "import_module", missing)
    with refused('pip install "arq_nb[export]"', error=ImportError): export(resnet8(), tmp_path / "n.onnx", (1, 8, 8))
    (tmp_path / "net.onnx").write_bytes(b"")
    with refused('pip install "arq_nb[export]"', error=ImportError): load_exported(tmp_path / "net.onnx")


class Stops(Borrowed):
    "A forward pass that may be interrupted."
    stopped = False

    def between(self, x):
        if self.stopped: raise KeyboardInterrupt
        return super().between(x)


@torch.no_grad()
def test_a_pass_that_is_cut_off_changes_no_other():
    def small(m, args):
        if args[0].shape[-1] != 8: raise ValueError("8 pixels")
    first, second = Borrowed(inner()).eval(), Stops(inner()).eval()
    first.register_forward_pre_hook(small)
    first, second = (rounded(net, 2) for net in (first, second))
    first.register_forward_pre_hook(small, prepend=True)   # runs before the marks are set
    answers = first(PICTURES), second(PICTURES)
    for _ in range(3):
        with refused("8 pixels"): first(torch.rand(2, 3, 9, 9))
        assert all(torch.equal(a, net(PICTURES)) for a, net in zip(answers, (first, second)))
    second.stopped = True
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt): second(PICTURES)
    second.stopped = False
    for layer in (first.middle, second.middle): assert type(layer.weight) is nn.Parameter   # no pass is running
    assert all(torch.equal(a, net(PICTURES)) for a, net in zip(answers, (first, second)))


class Floor(UniformQuantizer):
    "Rounds down, as cheap hardware does."
    def forward(self, x):
        if not self.calibrated: self.calibrate(x)
        return (x / self.scale).floor().clamp(*integer_range(self.bits, self.signed)) * self.scale


@torch.no_grad()
def test_a_quantizer_that_rounds_in_its_own_way_is_not_replaced(tmp_path):
    for kinds in (dict(quantizer=Floor), dict(quantizer=Floor, weight_quantizer=LSQ)):
        given = calibrate(quantize(resnet8(), Policy.uniform(resnet8(), 4, 4), **kinds), DIGITS).eval()
        assert torch.equal(deployed(given)(DIGITS), given(DIGITS))
        with refused("'conv1'", "Floor"): export_packed(given, tmp_path / "net.safetensors")
        if find_spec("openvino"):
            with refused("'conv1'", "Floor"): deployed(given, (1, 8, 8), "int8")
        if find_spec("onnxscript"):
            for name in ("net.onnx", "net.qonnx.onnx"):
                with refused("'conv1'", "Floor"): export(given, tmp_path / name, (1, 8, 8))


@torch.no_grad()
def test_a_packed_file_knows_buffers_that_are_in_no_state_dict(tmp_path):
    made, other = resnet8(mean=(0.5,), std=(0.5,)), resnet8(mean=(0.1,), std=(0.3,))
    other.load_state_dict(made.state_dict())
    one, two = (calibrate(quantize(net, Policy.uniform(net, 4, 4)), DIGITS).eval() for net in (made, other))
    two.load_state_dict(one.state_dict())
    assert network_sha256(one) != network_sha256(two)
    path = packed(one, tmp_path)
    with refused(str(path), "'normalize.mean'"): load_packed(path, other)
    assert torch.equal(load_packed(path, made)(DIGITS), one(DIGITS))

    metadata, tensors = load_tensors(path)   # as version 1 wrote it
    header = {key: json.loads(value) for key, value in metadata.items() if key != "buffers"} | {"format_version": 1}
    header["network_sha256"] = _sha256(tensors, {key: header[key] for key in _KEYS[1:-1]})
    save_tensors(path, tensors, {key: json.dumps(value) for key, value in header.items()})
    assert torch.equal(load_packed(path, made)(DIGITS), one(DIGITS))


class Weighed(nn.Module):
    "A product with factors for its sum and for its bias."
    def __init__(self, alpha, beta):
        super().__init__()
        self.stem, self.middle, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 8), nn.Linear(8, 4)
        self.factors = dict(alpha=alpha, beta=beta)

    def forward(self, x):
        x = self.stem(x).relu().mean((2, 3))
        return self.head(torch.addmm(self.middle.bias, x, self.middle.weight.t(), **self.factors).relu())


@pytest.mark.parametrize("alpha, beta", [(1, 1), (3, 1), (1, 0.1)])
@torch.no_grad()
def test_a_product_with_factors_keeps_them(alpha, beta, tmp_path):
    pytest.importorskip("onnxscript")
    net = Weighed(alpha, beta).eval()
    given = calibrate(quantize(net, Policy.uniform(net, 8, 8)), PICTURES).eval()
    path = export(given, tmp_path / "net.onnx", SHAPE)
    assert all(off < 1e-4 for off in together(given, path).values())


@torch.no_grad()
def test_integers_of_one_bit_in_other_precisions_and_with_named_inputs():
    pytest.importorskip("openvino")
    class Named(Network):
        def forward(self, x): return self.head(self.middle(input=self.stem(x) * self.two).mean((2, 3)))
    net = Named(nn.ReLU()).eval()
    net.register_buffer("two", torch.tensor(2))
    given = calibrate(quantize(net, Policy.uniform(net, 1, 4)), PICTURES).eval()
    for dtype in (torch.float32, torch.float64, torch.float16):
        found = deployed(copy.deepcopy(given).to(dtype), SHAPE, "int8")(PICTURES)
        assert (found - given(PICTURES)).norm() < 0.02 * given(PICTURES).norm()
    given.middle.register_forward_hook(lambda m, x, y: y.clamp(max=0.1))
    with refused("layer 'middle' has forward hooks"): export_int8(given, SHAPE)
    class Shifted(nn.Module):
        def forward(self, x): return F.pad(x, (1, 1))
    wrong = quantize(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), Shifted()), Policy({"0": (4, 4)}))
    with refused("'pad' is called in a way that cannot be exported"): export_int8(calibrate(wrong, PICTURES), SHAPE)


def plain():
    "A row of layers: rounding up the size of its images, as SqueezeNet does."
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(),
                         nn.Linear(8 * 9, 4))


def after_normalize(net): return nn.Sequential(torchvision.transforms.Normalize([0.5] * 3, [0.25] * 3), net)


@pytest.mark.parametrize("wrap", (torch.optim.swa_utils.AveragedModel, after_normalize))
@torch.no_grad()
def test_averages_of_weights_and_a_normalization_of_torchvision(wrap, tmp_path):
    for package in ("openvino", "onnxscript", "onnxruntime"): pytest.importorskip(package)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = wrap(plain()).eval()
    given = calibrate(quantize(net, Policy.uniform(net, 4, 4)), PICTURES).eval()
    assert quantizable_layers(net).keys() == quantizable_layers(given).keys()
    path = export(given, tmp_path / "net.onnx", SHAPE)
    for program in (deployed(given, SHAPE, "int8"), load_exported(path)):
        assert (program(PICTURES) - given(PICTURES)).norm() < 1e-3 * given(PICTURES).norm()


def test_calibration_says_which_images_do_not_fit():
    given = quantize(plain(), Policy.uniform(plain(), 4, 4))
    with refused("cannot be called on one image of input_shape=(1, 8, 8)"): calibrate(given, PICTURES[:, :1])
    with refused("cannot be called on one image of input_shape=(3, 12, 12)"): calibrate(given, torch.rand(2, 3, 12, 12))


def test_programs_are_tried_without_rounding(monkeypatch):
    "An operation that became another one is noticed, though rounding would have covered it."
    pytest.importorskip("openvino")
    net = plain().eval()
    given = calibrate(quantize(net, Policy.uniform(net, 2, 2)), PICTURES).eval()
    monkeypatch.setitem(MODULES, nn.ReLU, lambda m, x: x)
    with refused("does not answer as it does in PyTorch's"): export_int8(given, SHAPE)


def test_what_computes_in_bfloat16_within_is_no_onnx_file(tmp_path):
    pytest.importorskip("onnxscript")
    class Auto(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = plain()
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16): return self.net(x)
    with refused("computes in bfloat16 within its forward pass"): export(Auto().eval(), tmp_path / "a.onnx", SHAPE)


class Cosine(Network):
    "Divides by the norms of its last layer's filters."
    def forward(self, x):
        h = self.middle(self.stem(x)).mean((2, 3))
        return self.head(h) / (h.norm(dim=1, keepdim=True) * self.head.weight.norm(dim=1))


class Ensemble(Network):
    "Takes weights in a generator."
    def between(self, x): return sum(F.conv2d(x, layer.weight, padding=1) for layer in self.middle)


class Styled(nn.Conv2d):
    "Multiplies its weight by a style of each image."
    def forward(self, x):
        w = self.weight[None] * x.mean((2, 3))[:, None, :, None, None]
        y = F.conv2d(x.flatten(0, 1)[None], w.flatten(0, 1), padding=1, groups=len(x))
        return y.unflatten(1, (len(x), -1))[0]


@torch.no_grad()
def test_frozen_networks_need_some_float_weights():
    cosine, ensemble = Cosine(inner()).eval(), Ensemble(nn.Sequential(inner(), inner())).eval()
    quantized = rounded(cosine, 2)
    assert torch.equal(freeze(quantized)(PICTURES), quantized(PICTURES))
    assert type(freeze(quantized).middle.weight_quantizer) is nn.Identity   # the others are rounded for good
    quantized, loaded = rounded(ensemble, 2), quantize(ensemble, Policy.uniform(ensemble, 2, 2)).eval()
    loaded.load_state_dict(quantized.state_dict())
    with refused("call the network on a batch once"): freeze(loaded)
    assert torch.equal(freeze(quantized)(PICTURES), quantized(PICTURES))


@torch.no_grad()
def test_a_weight_for_each_image_is_not_left_in_float():
    net = Network(inner(Styled)).eval()
    with refused("'middle'", "such as a weight for each image"): rounded(net)
    one = rounded(net, 2, PICTURES[:1])
    assert not torch.equal(one(PICTURES[:1]), net(PICTURES[:1]))
    with refused("'middle'", "give this layer 32 bits"): one(PICTURES)


@torch.no_grad()
def test_quantizers_are_in_the_mode_of_their_layer():
    net = Network(inner()).eval()
    net.middle.train()
    noisy = quantize(net, Policy.uniform(net, 4, 4), PseudoNoise)
    for layer in quantizable_layers(noisy).values(): assert {m.training for m in layer.modules()} == {layer.training}
    noisy = calibrate(quantize(net.eval(), Policy.uniform(net, 4, 4), PseudoNoise), PICTURES)
    assert torch.equal(noisy(PICTURES), noisy(PICTURES))   # noise is for training


@pytest.mark.parametrize("name", ["codebook", "vector_quantizer"])
def test_bytes_are_counted_whatever_the_names(name):
    net, twice = Network(inner()), Network(inner())
    setattr(net, name, nn.Embedding(512, 4))
    policy = Policy({}, default=(4, 8))
    plain = model_size(twice, policy)
    assert model_size(net, policy) == plain + 4 * 512 * 4
    parametrizations.weight_norm(getattr(net, name))   # a norm for each row is more
    assert model_size(net, policy) == plain + 4 * 512 * (4 + 1)
    twice.again = nn.Sequential(twice.stem, nn.ReLU())
    assert model_size(twice, policy) == plain
    assert Budget.size(twice, (3, 8, 8), limit_bytes=10**6).cost(policy) == plain


class Walk(nn.Module):
    "Looks at the type of each part."
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)])

    def forward(self, x):
        for part in self.layers:
            x = part(x)
            if isinstance(part, nn.BatchNorm2d): x = x.relu()
        return x


class Stem(nn.Module):
    "A convolution with two names."
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.stem = nn.Sequential(self.conv1, nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x): return self.stem(x)


@torch.no_grad()
def test_a_folded_network_answers_as_before():
    for net in (Walk().eval(), Stem().eval()):
        norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
        for high in (0, 0.9):   # fresh statistics hide a missing fold from the eye
            norm.running_mean.uniform_(0, high), norm.bias.uniform_(0, high)
            if isinstance(net, Stem): folded = fold_batch_norm(net)
            else:
                with pytest.warns(UserWarning, match="Walk answers otherwise"): folded = fold_batch_norm(net)
            assert torch.allclose(folded(PICTURES), net(PICTURES), atol=1e-5)
    assert folded.conv1 is folded.stem[0] and type(folded.stem[1]) is nn.Identity
