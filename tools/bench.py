"""Samples a second of randomized smoothing: this library beside the field's sampling loop, in one run.

The field's loop is that of Cohen et al. (2019) as most code still has it: copies of one image, fresh noise, argmax,
and a Python count on the host after each batch, in batches of 1000 (as published; slow on a CPU) and of other sizes.
The variants take turns, so that a slow moment of the machine hits all of them; only ratios of medians mean anything.
The peak is a large float32 matrix product on the same threads, at two operations for each multiply-add.
"""
import argparse
import copy
import importlib.util
import os
import platform
import shutil
import time
from statistics import median

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from arq_nb.certify.smoothing import SmoothedClassifier
from arq_nb.certify.sound import SoundGaussianNoise
from arq_nb.core.rng import make_generator
from arq_nb.quant.backends import BFloat16, deployed, disagreement, matmul_peak
from arq_nb.quant.budgets import edge_layers, pin
from arq_nb.quant.costs import bitops, layer_table
from arq_nb.quant.int8 import export_int8, Int8
from arq_nb.quant.models import resnet20
from arq_nb.quant.policies import calibrate, Policy, quantize

FIELD_BATCHES = 1000, 400, 200, 100, 50


def count(predictions, classes):
    counts = np.zeros(classes, dtype=int)
    for p in predictions: counts[p] += 1
    return counts


@torch.no_grad()
def field_loop(model, x, n, sigma, batch_size, classes=10):
    counts = np.zeros(classes, dtype=int)
    while n > 0:
        batch = x.repeat((min(batch_size, n), 1, 1, 1))
        n -= len(batch)
        counts += count(model(batch + torch.randn_like(batch) * sigma).argmax(1).cpu().numpy(), classes)
    return counts


def has_compiler(): return shutil.which(os.environ.get("CXX", "c++")) is not None


def classifiers(model, x, compiled, device):
    "name -> classifier, the plain network's first."
    noise = torch.randn(200, *x.shape, generator=torch.Generator(device).manual_seed(1), device=device)
    noisy = (x + 0.25 * noise).contiguous(memory_format=torch.channels_last)
    found = {"plain": model, "deployed": deployed(model), "bfloat16": BFloat16(model)}
    if compiled:
        found["deployed, compiled"] = deployed(model, compiled=True)
        found["bfloat16, compiled"] = BFloat16(model, compiled=True)
    if device == "cpu" and importlib.util.find_spec("openvino"):
        four = simulated(model, noisy).eval()
        found["4-bit, simulated"], found["4-bit, folded"] = deployed(four), deployed(four, folded=True)
        found["4-bit, int8"] = Int8(export_int8(four, tuple(x.shape)))
    else: print("without the int8 backend (it needs a CPU and openvino: pip install 'arq_nb[int8]')\n")
    return found


def variants(model, x, n, sigma, batch_size, compiled, device):
    "name -> a call that draws n samples; CERTIFY's own statistics are part of ours."
    def certify(f, batch=batch_size, **more):
        return lambda: SmoothedClassifier(f, sigma, batch, device, **more).certify(x, n0=100, n=n - 100)
    calls = {f"field's loop, batch {b}": lambda b=b: field_loop(model, x, n, sigma, b) for b in FIELD_BATCHES}
    found = classifiers(model, x, compiled, device)
    wide = 4 * batch_size  # in bfloat16 half as many bytes; a program takes pieces, while the next ones are made
    calls |= {f"certify, {name}": certify(f, wide if isinstance(f, Int8) else batch_size) for name, f in found.items()}
    calls[f"certify, bfloat16, batch {wide}"] = certify(found["bfloat16"], wide)
    return calls | {"certify, deployed, sound noise": certify(found["deployed"], noise=SoundGaussianNoise())}


def measure(calls, n, rounds, synchronize):
    "Samples a second, for each round."
    rates = {name: [] for name in calls}
    for name, call in [*calls.items()] * (rounds + 1):  # the first round only warms up
        synchronize()
        start = time.perf_counter()
        call()
        synchronize()
        rates[name].append(n / (time.perf_counter() - start))
    return {name: r[1:] for name, r in rates.items()}


def simulated(model, images):
    "The network with 4-bit fake quantizers (LSQ), 8 bits at the edges."
    policy = pin(Policy.uniform(model, 4, 4), edge_layers(layer_table(model, tuple(images.shape[1:]))))
    return calibrate(quantize(model, policy), images)


def step(model, images, labels):
    "Forward and backward pass of a training step."
    model.train().zero_grad(set_to_none=True)
    cross_entropy(model(images), labels).backward()


def quantized_ratios(model, batch_size, compiled, rounds, synchronize, device):
    "Seconds with fake quantizers over seconds without, deployed and in a training step. Medians; the two take turns."
    g = torch.Generator(device).manual_seed(2)
    images = torch.rand(batch_size, 3, 32, 32, generator=g, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch_size,), generator=g, device=device)
    networks = {"quantized": simulated(model, images), "float": model}
    def forward(m, **how):
        f = deployed(m, **how)
        return lambda: f(images)
    def training(m):
        m = copy.deepcopy(m).to(memory_format=torch.channels_last)
        return lambda: step(m, images, labels)
    pairs = {"forward, deployed": {n: forward(m) for n, m in networks.items()},
             "forward and backward, eager": {n: training(m) for n, m in networks.items()}}
    if compiled:
        pairs["forward, deployed and compiled"] = {n: forward(m, compiled=True) for n, m in networks.items()}
    for name, calls in pairs.items():
        rates = measure(calls, batch_size, 3 * rounds, synchronize)
        yield name, median(rates["float"]) / median(rates["quantized"])


def show(rates, work, top):
    "A row for each variant."
    speeds = {name: median(r) for name, r in rates.items()}
    published = speeds[f"field's loop, batch {FIELD_BATCHES[0]}"]
    best = max(s for n, s in speeds.items() if n.startswith("field"))
    heads = "samples/s", "lowest", "highest", "x published", "x its best", "x deployed", "% of peak"
    print(f"{'':34}", *(f"{h:>12}" for h in heads), sep="")
    for name, speed in speeds.items():
        share = f"{100 * speed * work / top:.0f}" if "int8" not in name and "bfloat16" not in name else ""
        ratios = speed / published, speed / best, speed / speeds["certify, deployed"]
        print(f"{name:34}{speed:12.0f}{min(rates[name]):12.0f}{max(rates[name]):12.0f}",
              *(f"{r:12.2f}" for r in ratios), f"{share:>12}", sep="")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="noisy copies in each measurement (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant (default 5)")
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=50,
                        help="of our variants (default 50: a batch's activations stay in the cache of a CPU)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile: a C++ compiler, a minute")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main(args):
    on_gpu, compiled = args.device.startswith("cuda"), not args.no_compile and has_compiler()
    torch.manual_seed(0)
    model = resnet20().to(args.device).eval()
    x = (torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(0)) / 255).to(args.device)
    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    calls = variants(model, x, args.samples, args.sigma, args.batch_size, compiled, args.device)
    rates = measure(calls, args.samples, args.rounds, synchronize)
    where = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()}, {torch.get_num_threads()} threads"
    top = matmul_peak(size=2048, device=args.device)
    work = 2 * bitops(model, Policy.uniform(model, 1, 1), tuple(x.shape))
    print(f"ResNet-20, 3x32x32, {args.samples} samples, {args.rounds} rounds; torch {torch.__version__}, {where}; "
          f"float32 peak {top / 1e9:.0f} GFLOP/s, {work / 1e6:.0f} MFLOP a sample\n")
    show(rates, work, top)
    print("\nquantized: seconds of the simulated 4-bit network over seconds of the float one, "
          f"batches of {args.batch_size}")
    for name, ratio in quantized_ratios(model, args.batch_size, compiled, args.rounds, synchronize, args.device):
        print(f"{name:34}{ratio:10.2f}")
    generators = [make_generator(0, device=args.device)]
    noisy = next(SmoothedClassifier(model, args.sigma, 2000, args.device).noisy_copies(x[None], 2000, generators))
    others = round(2000 * disagreement(deployed(model), model, noisy))
    print(f"\nimages of 2000 that 'deployed' puts into another class than the plain network: {others}")


if __name__ == "__main__": main(options())
