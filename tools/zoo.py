"""Does `arq_nb` do the right thing, or refuse by name, on networks that it has never seen?

All classification networks of torchvision, and those of timm that tools/zoo.txt names, with random weights. Of each:

    32 bits     quantized at 32 by 32 bits nothing changes, to the last bit
    asleep      8 by 8 bits with quantizers that do nothing: nothing changes, and every one of them that matters is called
    8 bits      within 10 % of the float logits (relative norm)
    costs       multiply-adds as PyTorch's flop counter sees them in products with weights
    frozen      `freeze` changes nothing, to the last bit
    deployed    `deployed` within 0.1 % of the simulation
    undone      `dequantize` gives the same state and the same logits, to the last bit, and the network given is as it was

Deep random networks can amplify: values that differ in the last bit are rounded to different levels, and per cents of
the logits are what becomes of it. Where a limit is passed, `reason` compares with a yardstick that knows nothing of
the library: 8 bits with noise of that size on the float network's weights and inputs, `deployed` with an error in the
last bits of the weights. Up to three times the yardstick is the network's doing. `spread` is how far the logits of two
images are apart: where it is 0, the check at 8 bits says little.

A row is written as soon as it is known and is not made again while the library stays the same. The exit status is 1
if a network is silently wrong. Networks of more than 100 million weights take minutes and some 10 GB.
"""
import argparse, copy, csv, fnmatch, functools, hashlib, multiprocessing, os, sys, time, warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = "network verdict 32_bits asleep 8_bits costs frozen deployed undone spread M_weights M_macs pixels seconds reason code".split()
SMALL = 96  # pixels a side, for networks that take images of any size
PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
PRELOAD = ["torchvision", "torch.utils.flop_counter", "arq_nb.backends", "timm"]


def names(chosen):
    "torchvision/NAME and timm/NAME of all networks that match one of the patterns."
    import torchvision
    every = [f"torchvision/{n}" for n in torchvision.models.list_models(module=torchvision.models)]
    every += [f"timm/{n}" for n in (ROOT / "tools/zoo.txt").read_text().split()]
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
    "Random values where training would have moved away from zero (heads, residual scales, biases), without which nothing could be seen."
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
    with torch.no_grad():
        for _ in range(batches if any(isinstance(m, _BatchNorm) for m in model.modules()) else 0): model.train()(pictures(8, size))
        model.eval()(pictures(1, size))
    return model.eval()


def weighted_macs(model, image):
    "Multiply-adds of all products but those between two tensors that depend on the image, counted by PyTorch's formulas."
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode, flop_registry
    address = lambda t: t.untyped_storage().data_ptr()
    tensors = lambda tree: [t for t in tree_leaves(tree) if isinstance(t, torch.Tensor)]
    class Counter(TorchDispatchMode):
        total, kept, depends = 0, [image], {address(image)}   # what is kept cannot give its address to another tensor
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if func._overloadpacket not in flop_registry:
                with self:
                    if (out := func.decompose(*args, **kwargs)) is not NotImplemented: return out
            out, given = func(*args, **kwargs), tensors((args, kwargs))
            moving = [t for t in given if address(t) in self.depends]
            if moving:
                made = tensors(out) + [t for a, t in zip(func._schema.arguments, args) if a.alias_info and a.alias_info.is_write and isinstance(t, torch.Tensor)]
                self.kept += made
                self.depends |= {address(t) for t in made}
            count = flop_registry.get(func._overloadpacket)
            operands = [t for t in given if t.ndim > 1][-2:]
            if count and not all(address(t) in self.depends for t in operands): self.total += count(*args, **kwargs, out_val=out)
            return out
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
        if p.ndim > 1: p.data += uniform(p, size, seed) * p.detach().abs().flatten(1).amax(1).view(-1, *[1] * (p.ndim - 1))
    return model


def rounded_at_random(model, bits):
    "A copy of a float network with noise of the size that rounding has, on weights and on what goes into convolutions and linear layers."
    from torch import nn
    steps = 2 ** (bits - 1) - 1
    model = shaken(model, 1 / steps)
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)): m.register_forward_pre_hook(lambda m, x: x[0] + uniform(x[0], x[0].abs().max() / steps))
    return model


def same(a, b):
    "Nothing where two tensors are equal to the last bit, else their distance."
    import torch
    return "" if torch.equal(a, b) else f"{((a - b).abs().max() / b.abs().max()).item():.2g}"


def examine(name):
    "The row of one network."
    import torch
    from arq_nb.backends import deployed
    from arq_nb.policies import Policy, bitops, calibrate, dequantize, freeze, quantize
    from arq_nb.quantizers import LSQ, UniformQuantizer

    class Largest(UniformQuantizer):
        "The step of the largest weight: what is examined here is where quantizers sit, not how a step is found."
        def __init__(self, *args, **kwargs): super().__init__(*args, **{**kwargs, "method": "minmax"})

    class Nothing(UniformQuantizer):
        "Lets everything pass, and knows whether it was called."
        called = False
        def calibrate(self, x): return self
        def forward(self, x):
            self.called = True
            return x

    torch.manual_seed(0)
    row, start = dict.fromkeys(COLUMNS, ""), time.perf_counter()
    model, images = build(name)
    x, shape = images[:2], tuple(images.shape[1:])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    row |= {"network": name, "pixels": shape[1], "M_weights": f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}"}
    problems, notes, refused = [], [], {}

    def check(column, measure):
        "Note what `measure` finds wrong; a ValueError is a refusal."
        try: found = measure()
        except ValueError as error: row[column], refused[column] = "refused", " ".join(str(error).split())
        except Exception as error:
            row[column] = "crash"
            problems.append(f"{column}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        else:
            row[column] = row[column] or found or "ok"
            if found: problems.append(f"{column}: {found}")

    policy = lambda bits: Policy.uniform(model, bits, bits)
    with torch.no_grad(): expected = model(x)
    if not torch.isfinite(expected).all() or expected.std() == 0:
        return row | {"verdict": "broken", "reason": "the random network's logits say nothing"}
    row["spread"] = f"{relative(expected[:1], expected[1:]):.2g}"
    used = {p for p, g in zip(model.parameters(), torch.autograd.grad(model(x[:1]).square().sum(), [*model.parameters()], allow_unused=True)) if g is not None}
    used = {n for n, p in model.named_parameters(remove_duplicate=False) if p in used}

    def at_32(): return same(quantize(model, policy(32))(x), expected)

    def asleep():
        q = quantize(model, policy(8), Nothing, Nothing)
        if changed := same(q(x), expected): return changed
        below = {n: [m for k, m in q.named_modules() if isinstance(m, Nothing) and k.startswith(f"{n}.")] for n in policy(8).layers}
        sleeping = [n for n, found in below.items() if not any(m.called for m in found)]
        return " ".join(n for n in sleeping if f"{n}.weight" in used or f"{n}_weight" in used)

    def costs():
        counted, right = bitops(model, policy(1), shape), weighted_macs(model, images[:1])
        row["M_macs"] = f"{right / 1e6:.1f}"
        return "" if counted == right else f"{counted / right - 1:+.3%}"

    @functools.cache
    def at_8():
        quantized = calibrate(quantize(model, policy(8), LSQ, Largest), images[2:])
        return quantized, quantized(x)

    def beyond(column, value, limit, yardstick):
        "Nothing if `value` is within its limit or, with a word, within three times the yardstick; else what is wrong."
        row[column] = f"{value:.2g}"
        if value <= limit: return ""
        allowed = yardstick()
        if value <= 3 * allowed: notes.append(f"{column}: {value:.2g}, of which this random network makes {allowed:.2g} by itself")
        return "" if value <= 3 * allowed else f"{value:.2g}, by itself this random network makes {allowed:.2g}"

    def off():
        return beyond("8_bits", relative(at_8()[1], expected), 0.1, lambda: relative(rounded_at_random(model, 8)(x), expected))

    def frozen(): return same(freeze(at_8()[0])(x), at_8()[1])

    def off_deployed():
        weights_only = quantize(model, Policy.uniform(model, 8, 32), LSQ, Largest)   # nothing is rounded while it runs, so nothing is amplified
        if (distance := relative(deployed(weights_only)(x), weights_only(x))) > 1e-3: return f"weights alone: {distance:.2g}"
        quantized, simulated = at_8()
        def last_bits(): return max(relative(shaken(freeze(quantized), 2**-21, seed)(x), simulated) for seed in range(3))
        return beyond("deployed", relative(deployed(quantized)(x), simulated), 1e-3, last_bits)

    def undone():
        back = dequantize(at_8()[0])
        state = back.state_dict()
        if state.keys() != before.keys(): return f"state dict: {sorted(state.keys() ^ before.keys())[:3]}"
        moved = [k for k, v in before.items() if not torch.equal(v, state[k])] + [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
        return " ".join(moved[:3]) or same(back(x), expected) or same(model(x), expected)

    measures = {"32_bits": at_32, "asleep": asleep, "8_bits": off, "frozen": frozen, "deployed": off_deployed, "undone": undone, "costs": costs}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with torch.no_grad():
            for column, measure in measures.items(): check(column, measure)
    notes += [f"{column}: {text}" for text, column in {text: column for column, text in refused.items()}.items()]
    culprits = [n for n, _ in model.named_modules() if n] + [type(model).__name__]
    if not all(any(n in text for n in culprits) for text in refused.values()): problems += ["a refusal names neither layer nor network"]
    word = [str(w.message) for w in said if "arq_nb" in str(w.filename)]
    row["verdict"] = "wrong" if problems else "refused" if refused else "passed"
    row["reason"] = " | ".join([*problems, *notes, *dict.fromkeys(word)])[:600]
    return row | {"seconds": f"{time.perf_counter() - start:.0f}"}


def work(name, answer):
    "In a process of its own: sends the row."
    warnings.filterwarnings("ignore")
    try: row = examine(name)
    except Exception as error: row = {"verdict": "broken", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    answer.send(row)


def in_time(name, limit):
    receive, send = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=work, args=(name, send))
    process.start()
    send.close()
    if receive.poll(limit):
        try: row = receive.recv()
        except EOFError: row = {"verdict": "broken", "reason": "the process died: too little memory?"}
    else: row = {"verdict": "broken", "reason": f"not finished in {limit} s"}
    process.kill()
    process.join()
    return dict.fromkeys(COLUMNS, "") | row | {"network": name}


def read_rows(path: Path):
    if not path.exists(): return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {r["network"]: {c: r.get(c, "") for c in COLUMNS} for r in csv.DictReader(file, delimiter="\t")}


def write_rows(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    os.replace(partial, path)


def show(row):
    print(" ".join(f"{str(row[c])[:w]:<{w}}" for c, w in zip(COLUMNS, (38, 8, 8, 12, 8, 9, 8, 8, 8, 8, 9, 9, 6, 7))), str(row["reason"])[:150], flush=True)


def summary(rows):
    count = lambda verdict, part="": sum(r["verdict"] == verdict and r["network"].startswith(part) for r in rows)
    for part in ("torchvision", "timm"):
        total = sum(r["network"].startswith(part) for r in rows)
        print(f"{part}: {total} networks, " + ", ".join(f"{count(v, part)} {v}" for v in ("passed", "refused", "wrong", "broken")))
    return count("wrong") + count("broken")


def main(args):
    rows, code = ({} if args.again else read_rows(args.out)), library()
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    PROCESSES.set_forkserver_preload(PRELOAD)
    chosen = names(args.networks)
    if not chosen: sys.exit(f"no network matches {' '.join(args.networks)}")
    show(dict(zip(COLUMNS, COLUMNS)))
    for name in chosen:
        if rows.get(name, {}).get("code") != code:
            rows[name] = in_time(name, args.time) | {"code": code}
            write_rows(args.out, rows)
        show(rows[name])
    return summary([rows[name] for name in chosen])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["*"], help="patterns, such as 'swin*' or 'timm/*'; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/zoo.tsv", help="the table; rows made from the same library are kept")
    parser.add_argument("--again", action="store_true", help="start the table anew")
    parser.add_argument("--time", type=float, default=1200, help="seconds for one network")
    sys.exit(main(parser.parse_args()) > 0)
