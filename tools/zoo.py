"""Does `arq_nb` do the right thing, or refuse by name, on networks that it has never seen?

All classification networks of torchvision, and those of timm that tools/zoo.txt names, with random weights. Of each:

    32_bits     quantized at 32 by 32 bits nothing changes, to the last bit
    asleep      with quantizers that do nothing in every layer nothing changes (but for 0.001 % where PyTorch's fused
                attention is taken apart), and each one that matters is called
    8_bits      within 10 % of the float logits (relative norm)
    costs       multiply-adds as PyTorch's flop counter sees them in products with weights
    frozen      `freeze` changes nothing, to the last bit
    deployed    `deployed` changes nothing in the quantized network, to the last bit, and 0.1 % at most in the float one
    undone      `dequantize` gives back state and logits, to the last bit, and the network given is as it was

Deep random networks can amplify: values that differ in the last bit are rounded to different levels, and per cents of
the logits are what becomes of it. Where a limit is passed, `reason` compares with a yardstick that knows nothing of
the library: noise of the size of 8 bits on the float network's weights and inputs. Up to three times the yardstick is
the network's doing. `spread` is how far the logits of two
images are apart: where it is 0, the check at 8 bits says little.

With --export each network goes through a file instead, at 8 and at 4 bits: it is exported as ONNX, loaded in ONNX
Runtime and in OpenVINO, and asked for the logits of six images. The distance to the simulation (relative norm, of the
image where it is largest) is to be at most 0.001, or three times what the simulation itself moves if the last digits of
what is rounded change (`digits`): where a value lands on another level and a network amplifies that, no file is nearer.
`near` counts the images within 0.001 in both runtimes. A network further off is "wrong", unless half of its images are
near: then the graph computes the right thing, and the other images have met a value between two levels ("ties").

A row is written as soon as it is known and is not made again while the library stays the same. The exit status is 1
if a network is silently wrong. Networks of more than 100 million weights take minutes and some 10 GB.
"""
import argparse
import copy
import csv
import fnmatch
import functools
import hashlib
import importlib.util
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = "32_bits asleep 8_bits costs frozen deployed undone".split()
COLUMNS = ["network", "verdict", *CHECKS, *"spread M_weights M_macs pixels seconds reason code".split()]
WIDTHS = 38, 8, 8, 12, 8, 9, 8, 8, 8, 8, 9, 9, 6, 7
RUNTIMES = "onnxruntime", "openvino"
EXPORTS = [f"{bits}_{name}" for bits in (8, 4) for name in ("digits", *RUNTIMES, "near", "kB")]
EXPORT_COLUMNS = ["network", "verdict", *EXPORTS, *"M_weights pixels seconds reason code".split()]
SMALL = 96  # pixels a side, for networks that take images of any size
PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
PRELOAD = ["torchvision", "torch.utils.flop_counter", "arq_nb.quant.backends", "timm"]


def names(chosen):
    "torchvision/NAME and timm/NAME of all networks that match one of the patterns."
    import torchvision
    every = [f"torchvision/{n}" for n in torchvision.models.list_models(module=torchvision.models)]
    if importlib.util.find_spec("timm"): every += [f"timm/{n}" for n in (ROOT / "tools/zoo.txt").read_text().split()]
    else: print("timm is not there, so torchvision alone is examined: `make zoo` installs it beside the environment")
    return [n for n in every if any(fnmatch.fnmatch(n, p) or fnmatch.fnmatch(n.split("/")[1], p) for p in chosen)]


def library():
    "16 hexadecimal digits of SHA-256 over the library that is imported, and this file."
    import arq_nb
    files = sorted(Path(arq_nb.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in [*files, Path(__file__)])).hexdigest()[:16]


def build(name):
    "A network with random weights, and the images (batch, channels, height, width) that suit it."
    import torchvision
    source, short = name.split("/")
    if source == "timm":
        import timm
        model = timm.create_model(short)
        native = model.default_cfg["input_size"][-1]
    else:
        model = torchvision.models.get_model(short, weights=None)
        native = 299 if short == "inception_v3" else 224
    for size in (SMALL, native):
        try: return with_statistics(fill(model), size), pictures(6, size)
        except (RuntimeError, AssertionError, ValueError):
            if size == native: raise


def fill(model):
    "Random values where training would have moved away from zero: heads, residual scales, biases."
    import torch
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.abs().max() > 1e-3: continue
            if name.endswith("bias"): p.normal_(0, 0.02)
            elif p.numel() == max(p.shape, default=1): p.uniform_(0.2, 0.5)
            else: p.normal_(0, p[0].numel() ** -0.5)
    return model


def pictures(count, size):
    "Smooth random images, all different, in [0, 1]."
    import torch
    from torch.nn.functional import interpolate
    smooth = interpolate(torch.rand(count, 3, 4, 4), (size, size), mode="bicubic")
    return (smooth + 0.05 * torch.randn(count, 3, size, size)).clamp_(0, 1)


def with_statistics(model, size, batches=3):
    "A network whose batch norms have seen some batches."
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm
    has_norms = any(isinstance(m, _BatchNorm) for m in model.modules())
    with torch.no_grad():
        for _ in range(batches if has_norms else 0): model.train()(pictures(8, size))
        model.eval()(pictures(1, size))
    return model.eval()


def weighted_macs(model, image):
    "Multiply-adds, by PyTorch's formulas, of all products but those between two tensors that depend on the image."
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry, FlopCounterMode
    def address(t): return t.untyped_storage().data_ptr()
    def tensors(tree): return [t for t in tree_leaves(tree) if isinstance(t, torch.Tensor)]
    def written(func, args):
        return tensors([t for a, t in zip(func._schema.arguments, args) if a.alias_info and a.alias_info.is_write])
    class Counter(TorchDispatchMode):
        total, kept, depends = 0, [image], {address(image)}   # what is kept cannot give its address to another tensor
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if func._overloadpacket not in flop_registry:
                with self:
                    if (out := func.decompose(*args, **kwargs)) is not NotImplemented: return out
            out, given = func(*args, **kwargs), tensors((args, kwargs))
            if any(address(t) in self.depends for t in given):
                made = tensors(out) + written(func, args)
                self.kept += made
                self.depends |= {address(t) for t in made}
            count, operands = flop_registry.get(func._overloadpacket), [t for t in given if t.ndim > 1][-2:]
            if count and not all(address(t) in self.depends for t in operands):
                self.total += count(*args, **kwargs, out_val=out)
            return out
    # PyTorch's counter stumbles over a parameter that is a layer's input.
    model = copy.deepcopy(model).requires_grad_(False)
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)   # the fused attention hides its products from the counter
    with torch.no_grad(), Counter() as counter: model(image)
    with torch.no_grad(), FlopCounterMode(display=False) as official: model(image)
    torch.backends.mha.set_fastpath_enabled(fused)
    assert counter.total <= official.get_total_flops(), (counter.total, official.get_total_flops())
    return counter.total // 2


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def uniform(like, size, seed=0):
    "Noise of the size of an error of rounding, the same at each call."
    import torch
    return (size * (torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)) - 0.5)).to(like)


def shaken(model, size, seed=0):
    "A copy with noise on its weights, `size` times the largest one of each output channel."
    model = copy.deepcopy(model)
    for p in model.parameters():
        if p.ndim < 2: continue
        largest = p.detach().abs().flatten(1).amax(1).view(-1, *[1] * (p.ndim - 1))
        p.data += uniform(p, size, seed) * largest
    return model


def rounded_at_random(model, bits):
    "A copy of a float network with noise of the size of rounding, on weights and on what its layers are given."
    from torch import nn
    steps = 2 ** (bits - 1) - 1
    model = shaken(model, 1 / steps)
    def shake(m, x): return x[0] + uniform(x[0], x[0].abs().max() / steps)
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)): m.register_forward_pre_hook(shake)
    return model


def same_bits(a, b):
    import torch
    return torch.equal(a, b)


def same(a, b):
    "Nothing where two tensors are equal to the last bit, else their distance."
    return "" if same_bits(a, b) else f"{((a - b).abs().max() / b.abs().max()).item():.2g}"


class Examination:
    "One network and what is found out about it. A check answers with what is wrong, in words; \"\" is well."

    def __init__(self, name):
        import torch
        torch.manual_seed(0)
        self.model, images = build(name)
        self.x, self.typical, self.shape = images[:2], images, tuple(images.shape[1:])
        self.before = {k: v.clone() for k, v in self.model.state_dict().items()}
        with torch.no_grad(): self.expected = self.model(self.x)
        self.problems, self.notes, self.refused = [], [], {}
        self.row = dict.fromkeys(COLUMNS, "") | {"network": name, "pixels": self.shape[1]}
        self.row["spread"] = f"{relative(self.expected[:1], self.expected[1:]):.2g}"
        self.row["M_weights"] = f"{sum(p.numel() for p in self.model.parameters()) / 1e6:.1f}"

    def bits(self, weight, activation=None):
        from arq_nb.quant.policies import Policy
        return Policy.uniform(self.model, weight, weight if activation is None else activation)

    def used(self):
        "Names of the parameters that the logits depend on."
        import torch
        named = dict(self.model.named_parameters())
        loss = self.model(self.x[:1]).square().sum()
        gradients = torch.autograd.grad(loss, [*named.values()], allow_unused=True)
        moved = {p for p, g in zip(named.values(), gradients) if g is not None}
        return {n for n, p in self.model.named_parameters(remove_duplicate=False) if p in moved}

    @functools.cached_property
    def quantized(self):
        from arq_nb.quant.policies import calibrate, quantize
        from arq_nb.quant.quantizers import LSQ
        return calibrate(quantize(self.model, self.bits(8), LSQ, largest_step()), self.typical)

    @functools.cached_property
    def simulated(self): return self.quantized(self.x)

    def check_32_bits(self):
        from arq_nb.quant.policies import quantize
        return same(quantize(self.model, self.bits(32))(self.x), self.expected)

    def check_asleep(self):
        import torch

        from arq_nb.quant.policies import quantize
        Nothing, policy = quantizer_of_nothing(), self.bits(8)
        with torch.enable_grad(): used = self.used()
        quantized = quantize(self.model, policy, Nothing, Nothing)
        if changed := same(quantized(self.x), self.expected):
            if float(changed) > 1e-5: return changed
            self.notes.append(f"asleep: {changed} of the largest logit: the fused attention sums in another order")
        awake = [name for name, m in quantized.named_modules() if isinstance(m, Nothing) and m.called]
        sleeping = [n for n in policy.layers if not any(name.startswith(f"{n}.") for name in awake)]
        return " ".join(n for n in sleeping if f"{n}.weight" in used or f"{n}_weight" in used)

    def beyond(self, column, value, limit, yardstick):
        "Nothing if `value` is within its limit or, with a word, within three times the yardstick."
        self.row[column] = f"{value:.2g}"
        if value <= limit: return ""
        by_itself = yardstick()
        text = f"{value:.2g}, of which this random network makes {by_itself:.2g} by itself"
        if value > 3 * by_itself: return text
        self.notes.append(f"{column}: {text}")
        return ""

    def check_8_bits(self):
        def yardstick(): return relative(rounded_at_random(self.model, 8)(self.x), self.expected)
        return self.beyond("8_bits", relative(self.simulated, self.expected), 0.1, yardstick)

    def check_costs(self):
        from arq_nb.quant.costs import bitops
        counted, right = bitops(self.model, self.bits(1), self.shape), weighted_macs(self.model, self.x[:1])
        self.row["M_macs"] = f"{right / 1e6:.1f}"
        return "" if counted == right else f"{counted / right - 1:+.3%}"

    def check_frozen(self):
        from arq_nb.quant.policies import freeze
        return same(freeze(self.quantized)(self.x), self.simulated)

    def check_deployed(self):
        from arq_nb.quant.backends import deployed
        if changed := same(deployed(self.quantized)(self.x), self.simulated): return changed
        off = relative(deployed(self.model)(self.x), self.expected)   # the float network is folded
        return f"the float network, folded: {off:.2g}" if off > 1e-3 else ""

    def check_undone(self):
        from arq_nb.quant.policies import dequantize
        back = dequantize(self.quantized)
        for name, state in (("dequantized", back.state_dict()), ("given", self.model.state_dict())):
            if others := sorted(state.keys() ^ self.before.keys()): return f"{name}: other names {others[:3]}"
            moved = [k for k, v in self.before.items() if not same_bits(v, state[k])]
            if moved: return f"{name}: {moved[0]} has changed"
        return same(back(self.x), self.expected) or same(self.model(self.x), self.expected)

    def run(self, column):
        "Note what one check finds; a ValueError is a refusal."
        try: found = getattr(self, f"check_{column}")()
        except ValueError as error: self.row[column], self.refused[column] = "refused", " ".join(str(error).split())
        except Exception as error:
            self.row[column] = "crash"
            self.problems.append(f"{column}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        else:
            self.row[column] = self.row[column] or found or "ok"
            if found: self.problems.append(f"{column}: {found}")

    def verdict(self):
        culprits = [n for n, _ in self.model.named_modules() if n] + [type(self.model).__name__]
        unnamed = [text for text in self.refused.values() if not any(n in text for n in culprits)]
        if unnamed: self.problems.append("a refusal names neither layer nor network")
        return "wrong" if self.problems else "refused" if self.refused else "passed"


def largest_step():
    "A kind of quantizer with the step of the largest value: where quantizers sit is examined, not how steps are found."
    from arq_nb.quant.quantizers import UniformQuantizer
    class Largest(UniformQuantizer):
        def __init__(self, *args, **kwargs): super().__init__(*args, **{**kwargs, "method": "minmax"})
    return Largest


def quantizer_of_nothing():
    "A kind of quantizer that lets everything pass, and knows whether it was called."
    from arq_nb.quant.quantizers import UniformQuantizer
    class Nothing(UniformQuantizer):
        called = False
        def calibrate(self, x): return self
        def forward(self, x):
            self.called = True
            return x
    return Nothing


def examine(name):
    "The row of one network."
    import torch
    start, found = time.perf_counter(), Examination(name)
    if not torch.isfinite(found.expected).all() or found.expected.std() == 0:
        raise ValueError("the random network's logits say nothing")
    with warnings.catch_warnings(record=True) as said, torch.no_grad():
        warnings.simplefilter("always")
        for column in CHECKS: found.run(column)
    verdict = found.verdict()
    refusals = [f"{column}: {text}" for text, column in {t: c for c, t in found.refused.items()}.items()]
    words = dict.fromkeys(str(w.message) for w in said if "arq_nb" in str(w.filename))
    found.row |= {"verdict": verdict, "seconds": f"{time.perf_counter() - start:.0f}"}
    return found.row | {"reason": " | ".join([*found.problems, *found.notes, *refusals, *words])[:600]}


def each_off(a, b): return max(relative(x, y) for x, y in zip(a, b))


def last_digits(quantized, x, expected, draws=4):
    """How far the logits of an image move, at most, if last digits change.

    What quantizers are given changes by some 3 units in its last digit, or by 1.5e-5 of a step, the last digit of the
    255 levels that a runtime counts from the lowest one; in several draws. Or all is done in float64."""
    from arq_nb.quant.operations import step_of

    def shake(seed, draw):
        def hook(m, inputs):
            x = inputs[0] * (1 + uniform(inputs[0], 3.6e-7, seed))
            return x + step_of(m) * uniform(x, 3e-5, seed + 50) if draw % 2 else x
        return hook
    every = (m.input_quantizer for m in quantized.modules() if hasattr(m, "input_quantizer"))
    quantizers = [q for q in every if hasattr(q, "scale")]
    found = []
    for seed in range(draws):
        hooks = [q.register_forward_pre_hook(shake(100 * seed + i, seed)) for i, q in enumerate(quantizers)]
        found.append(each_off(quantized(x), expected))
        for hook in hooks: hook.remove()
    try: found.append(each_off(copy.deepcopy(quantized).double()(x.double()).float(), expected))
    except (RuntimeError, ValueError): pass   # a network that knows float32 alone
    return max(found)


def exported(model, images, bits, row):
    "Note in a row how far a file of so many bits is from the simulation; answers with what is wrong."
    from tempfile import TemporaryDirectory

    import torch

    from arq_nb.quant.export import export
    from arq_nb.quant.policies import calibrate, Policy, quantize
    from arq_nb.quant.quantizers import LSQ
    from arq_nb.quant.runtimes import load_exported
    policy, problems = Policy.uniform(model, bits, bits), []
    quantized = calibrate(quantize(model, policy, LSQ, largest_step()), images).eval()
    with torch.no_grad():
        expected = quantized(images)
        yardstick = last_digits(quantized, images, expected)
    row[f"{bits}_digits"] = f"{yardstick:.2g}"
    with TemporaryDirectory() as folder:
        path = export(quantized, Path(folder) / "net.onnx", images.shape[1:])
        row[f"{bits}_kB"] = f"{path.stat().st_size / 1000:.0f}"
        del quantized
        near = [True] * len(images)
        for runtime in RUNTIMES:
            try: distances = [relative(x, y) for x, y in zip(load_exported(path, runtime)(images), expected)]
            except ValueError as error:
                row[f"{bits}_{runtime}"] = "refused"
                problems.append(f"{bits}_{runtime}: {' '.join(str(error).split())}".replace(folder, ""))
                continue
            row[f"{bits}_{runtime}"] = f"{max(distances):.2g}"
            here = [d <= 1e-3 for d in distances]
            near = [a and b for a, b in zip(near, here)]
            if not all(d <= max(1e-3, 3 * yardstick) for d in distances):   # NaN is not near
                kind = "from the simulation" if 2 * sum(here) < len(here) else "at a tie"
                problems.append(f"{bits}_{runtime}: {max(distances):.2g} {kind}")
    row[f"{bits}_near"] = f"{sum(near)} of {len(near)}"
    return problems


def examine_export(name):
    "The row of one network and its files."
    import torch
    torch.manual_seed(0)
    start, (model, images), row = time.perf_counter(), build(name), dict.fromkeys(EXPORT_COLUMNS, "")
    problems, refusals = [], []
    for bits in (8, 4):
        try: problems += exported(model, images, bits, row)
        except ValueError as error: refusals.append(f"{bits} bits: {' '.join(str(error).split())}")
    refused = refusals or any("refused" == row[column] for column in EXPORTS)
    wrong, tied = (any(kind in text for text in problems) for kind in ("from the simulation", "at a tie"))
    verdict = "wrong" if wrong else "refused" if refused else "ties" if tied else "passed"
    row |= {"verdict": verdict, "pixels": images.shape[2]}
    row["M_weights"] = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}"
    return row | {"seconds": f"{time.perf_counter() - start:.0f}", "reason": " | ".join([*problems, *refusals])[:600]}


def work(name, examination, answer):
    "In a process of its own: sends the row."
    warnings.filterwarnings("ignore")
    try: row = examination(name)
    except Exception as error:
        row = {"verdict": "broken", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    answer.send(row)


def in_time(name, examination, limit):
    "The row of one network, made in a process that may die, within a limit in seconds."
    receive, send = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=work, args=(name, examination, send))
    process.start()
    send.close()
    if receive.poll(limit):
        try: row = receive.recv()
        except EOFError: row = {"verdict": "broken", "reason": "the process died: too little memory?"}
    else: row = {"verdict": "broken", "reason": f"not finished in {limit} s"}
    process.kill()
    process.join()
    return row | {"network": name}


def read_rows(path: Path):
    if not path.exists(): return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {r["network"]: r for r in csv.DictReader(file, delimiter="\t")}


def write_rows(path: Path, rows, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, "", "ignore", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    os.replace(partial, path)


def show(row, columns):
    widths = zip(columns, WIDTHS if columns is COLUMNS else (38, 8, *[12] * len(EXPORTS), 9, 6, 7))
    print(" ".join(f"{str(row.get(c, ''))[:w]:<{w}}" for c, w in widths), str(row.get("reason"))[:150], flush=True)


def summary(rows):
    count = lambda verdict, part="": sum(r["verdict"] == verdict and r["network"].startswith(part) for r in rows)
    for part in ("torchvision", "timm"):
        total = sum(r["network"].startswith(part) for r in rows)
        verdicts = ", ".join(f"{count(v, part)} {v}" for v in ("passed", "ties", "refused", "wrong", "broken"))
        print(f"{part}: {total} networks, {verdicts}")
    return count("wrong") + count("broken")


def main(args):
    examination, columns, table = (examine_export, EXPORT_COLUMNS, "zoo-export.tsv") if args.export else \
        (examine, COLUMNS, "zoo.tsv")
    out = args.out or ROOT / "runs" / table
    rows, code = ({} if args.again else read_rows(out)), library()
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    PROCESSES.set_forkserver_preload(PRELOAD)
    chosen = names(args.networks)
    if not chosen: sys.exit(f"no network matches {' '.join(args.networks)}")
    show(dict(zip(columns, columns)), columns)
    for name in chosen:
        if name not in rows or not args.keep and rows[name].get("code") != code:
            rows[name] = in_time(name, examination, args.time) | {"code": code}
            write_rows(out, rows, columns)
        show(rows[name], columns)
    return summary([rows[name] for name in chosen])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["*"], help="patterns, such as 'swin*'; all by default")
    parser.add_argument("--out", type=Path, help="the table, runs/zoo.tsv or runs/zoo-export.tsv; rows of this library "
                                                 "stay")
    parser.add_argument("--export", action="store_true", help="examine files instead, at 8 and 4 bits")
    parser.add_argument("--keep", action="store_true", help="rows of another version of the library stay as well")
    parser.add_argument("--again", action="store_true", help="start the table anew")
    parser.add_argument("--time", type=float, default=1200, help="seconds for one network")
    sys.exit(main(parser.parse_args()) > 0)
