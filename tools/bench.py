"""What it costs: certifying, training, setting up, judging, and the memory of long commands; ratios within one run.

The variants of a part take turns, so that a slow moment of the machine hits all of them; only ratios of medians mean
anything. The field's loop is that of Cohen et al. (2019) as most code still has it: copies of one image, fresh noise,
argmax, and a Python count on the host after each batch, in batches of 1000 (as published; slow on a CPU) and of other
sizes. The peak is the fastest float32 matrix product that PyTorch has on the same threads, at two operations for each
multiply-add. `--out` writes the figures to a file with the name of the processor; the page "What it costs" reads it.
"""
import argparse
import copy
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18
from tqdm import tqdm

import arq_nb.train.finish as finish_module
from arq_nb.certify.smoothing import SmoothedClassifier
from arq_nb.certify.sound import SoundGaussianNoise
from arq_nb.core.data import ImageData
from arq_nb.core.memory import memory_kept
from arq_nb.core.rng import make_generator
from arq_nb.quant.backends import BFloat16, check_compiler, deployed, disagreement, matmul_peak
from arq_nb.quant.budgets import edge_layers, pin
from arq_nb.quant.costs import bitops, layer_table, model_size
from arq_nb.quant.export import export
from arq_nb.quant.int8 import export_int8, Int8
from arq_nb.quant.latency import processor
from arq_nb.quant.models import load_pretrained, resnet20
from arq_nb.quant.policies import calibrate, Policy, quantize
from arq_nb.quant.runtimes import load_exported
from arq_nb.search.judges import RadiusJudge, SearchConfig
from arq_nb.train.speed import compiled_calls

FIELD_BATCHES = 1000, 400, 200, 100, 50
SLOW = 4   # times the usual seconds of the others: measured once
SHAPE = 3, 32, 32
ROOT = Path(__file__).parent.parent


# ---- taking turns

def in_turns(calls, count, rounds, synchronize=lambda: None):
    """For each call `count` over its seconds in each round: on the clock, and of the processor's work for this process.

    A call far slower than the others, such as bfloat16 that is only imitated, takes part in one round."""
    found = {name: dict(clock=[], processor=[]) for name in calls}
    def once(name):
        synchronize()
        clock, spent = time.perf_counter(), time.process_time()
        calls[name]()
        synchronize()
        found[name]["processor"].append(count / (time.process_time() - spent))
        found[name]["clock"].append(count / (time.perf_counter() - clock))
    about = dict(leave=False, disable=None)   # no bar in a file
    for name in tqdm(calls, "warming up", **about): once(name)
    usual = median(both["clock"][0] for both in found.values())
    turns = [name for turn in range(rounds) for name, both in found.items()
             if turn == 0 or both["clock"][0] > usual / SLOW]
    for name in tqdm(turns, "measuring", **about): once(name)
    return {name: {kind: rates[1:] for kind, rates in both.items()} for name, both in found.items()}


def measure(calls, count, rounds, synchronize=lambda: None):
    "For each call `count` over its seconds on the clock, in each round."
    return {name: both["clock"] for name, both in in_turns(calls, count, rounds, synchronize).items()}


def table(rates, **ratios):
    "Median, lowest and highest rate of each variant, and its ratio to others; `ratios`: heading -> variant."
    found = {name: (median(r), min(r), max(r)) for name, r in rates.items()}
    rows = pd.DataFrame(found, ["a second", "lowest", "highest"]).T.round(1)
    for heading, name in ratios.items(): rows[f"x {heading}"] = (rows["a second"] / median(rates[name])).round(2)
    return rows.to_string()


def compiles():
    "True if there is a compiler for torch.compile."
    try: check_compiler()
    except RuntimeError: return False
    return True


def pinned_policy(model, bits, shape):
    "So many bits, 8 at the edges."
    return pin(Policy.uniform(model, bits, bits), edge_layers(layer_table(model, shape)))


def pinned(model, bits, images):
    "The network with fake quantizers (LSQ) of so many bits, 8 at the edges, calibrated."
    return calibrate(quantize(model, pinned_policy(model, bits, tuple(images.shape[1:]))), images)


# ---- certifying

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


def shared_out(samples):
    "Of so many samples, those of the guess and those of the certificate."
    first = min(100, samples // 2)
    return dict(n0=first, n=samples - first)


def classifiers(model, x, args):
    "name -> classifier, the plain network's first."
    noise = torch.randn(200, *x.shape, generator=torch.Generator(args.device).manual_seed(1), device=args.device)
    noisy = (x + args.sigma * noise).contiguous(memory_format=torch.channels_last)
    found = {"plain": model, "deployed, not fused": deployed(model, fused=False), "deployed": deployed(model),
             "bfloat16, not fused": BFloat16(model, fused=False), "bfloat16": BFloat16(model)}
    if args.compile:
        found["deployed, compiled"] = deployed(model, compiled=True)
        found["bfloat16, compiled"] = BFloat16(model, compiled=True)
    four = pinned(model, 4, noisy).eval()
    found["4-bit, simulated"], found["4-bit, folded"] = deployed(four), deployed(four, folded=True)
    if args.device == "cpu" and importlib.util.find_spec("openvino"):
        found["4-bit, int8"] = Int8(export_int8(four, tuple(x.shape)))
    else: print("without the int8 backend (it needs a CPU and openvino: pip install 'arq_nb[int8]')\n")
    return found


def certifying(args):
    "Samples a second of CERTIFY, our own statistics included, beside the field's loop."
    torch.manual_seed(0)
    model = resnet20().to(args.device).eval()
    x = (torch.randint(0, 256, SHAPE, generator=torch.Generator().manual_seed(0)) / 255).to(args.device)
    n = args.samples
    def certify(f, batch=args.batch_size, **more):
        return lambda: SmoothedClassifier(f, args.sigma, batch, args.device, **more).certify(x, **shared_out(n))
    calls = {f"field's loop, batch {b}": lambda b=b: field_loop(model, x, n, args.sigma, b) for b in FIELD_BATCHES}
    found = classifiers(model, x, args)
    calls |= {f"certify, {name}": certify(f) for name, f in found.items()}
    calls["certify, deployed, sound noise"] = certify(found["deployed"], noise=SoundGaussianNoise())
    few = args.batch_size // 4   # a batch's activations stay in the cache of a CPU
    for name in ("plain", "deployed", "bfloat16", "4-bit, simulated", "4-bit, int8"):
        if name in found: calls[f"certify, {name}, batch {few}"] = certify(found[name], few)
    before = matmul_peak(size=2048, device=args.device)
    rates = measure(calls, n, args.rounds, args.synchronize)
    top = max(before, matmul_peak(size=2048, device=args.device))
    work = 2 * bitops(model, Policy.uniform(model, 1, 1), SHAPE)
    others = dict(deployed="certify, deployed", bfloat16="certify, bfloat16")
    print(table(rates, published="field's loop, batch 1000", **others))
    print(f"\n{work / 1e6:.0f} MFLOP a sample, float32 peak {top / 1e9:.0f} GFLOP/s: 'deployed' at "
          f"{median(rates['certify, deployed']) * work / top:.0%} of it")
    generators = [make_generator(0, device=args.device)]
    many = min(2000, n)
    noisy = next(SmoothedClassifier(model, args.sigma, many, args.device).noisy_copies(x[None], many, generators))
    others = {name: disagreement(f, model, noisy) for name, f in found.items() if not name.startswith("4-bit")}
    print(f"share of {many} noisy images in another class than the plain network's:", others)
    return dict(samples_per_second=rates, peak_flops=top, flops_per_sample=work, disagreement=others)


# ---- speed and size of one network in several runtimes

ARQ = ROOT / "nbs/experiments/results/cifar10_resnet20/cpu-consistent/sigma0.25/4bit/arq/seed0/policy.json"


def networks(images):
    "name -> (network, its policy): the shipped ResNet-20 in floats, 8 bits, 4 bits (8 at the edges) and as ARQ says."
    model = load_pretrained("resnet20", 0.25)
    policies = {"uniform 8-bit": Policy.uniform(model, 8, 8), "uniform 4-bit": pinned_policy(model, 4, SHAPE),
                "ARQ": Policy.load(ARQ)}
    small = {name: (calibrate(quantize(model, p), images).eval(), p) for name, p in policies.items()}
    return {"float32": (model, Policy.uniform(model, 32, 32)), **small}


def written(folder, found):
    "name -> {kind: path} of every network as ONNX and packed."
    paths = {}
    for name, (network, _) in found.items():
        stem = Path(folder) / name.replace(" ", "-")
        paths[name] = dict(onnx=stem.with_suffix(".onnx"), packed=stem.with_suffix(".safetensors"))
        for path in paths[name].values(): export(network, path, SHAPE)
    return paths


def in_each_runtime(found, paths, compiled):
    "What certifies: 'network, runtime' -> classifier."
    model = found["float32"][0]
    f = {"float32, PyTorch": model, "float32, deployed": deployed(model), "bfloat16, deployed": BFloat16(model)}
    if compiled:
        f["float32, deployed and compiled"] = deployed(model, compiled=True)
        f["bfloat16, deployed and compiled"] = BFloat16(model, compiled=True)
    for name in [*found][1:]:
        f[f"{name}, simulated"] = deployed(found[name][0])
        f[f"{name}, int8 program"] = Int8(export_int8(found[name][0], SHAPE))
    for name in found:
        for runtime in ("onnxruntime", "openvino"):
            f[f"{name}, file in {runtime}"] = load_exported(paths[name]["onnx"], runtime)
    return f


def runtimes(args):
    "Samples a second of CERTIFY, noise and votes included, and bytes: one network in several widths and runtimes."
    needed = "openvino", "onnx", "onnxscript", "onnxruntime"
    if missing := [name for name in needed if not importlib.util.find_spec(name)]:
        print(f"left out: it needs {', '.join(missing)} (pip install 'arq_nb[int8,export]')")
        return {}
    torch.manual_seed(0)
    images, n = torch.rand(50, *SHAPE) + args.sigma * torch.randn(50, *SHAPE), args.samples
    x = torch.randint(0, 256, SHAPE, generator=torch.Generator().manual_seed(0)) / 255
    found = networks(images)
    def certify(f): return lambda: SmoothedClassifier(f, args.sigma, args.batch_size).certify(x, **shared_out(n))
    with tempfile.TemporaryDirectory() as folder:
        paths = written(folder, found)
        sizes = {name: {kind: path.stat().st_size for kind, path in own.items()} for name, own in paths.items()}
        calls = {name: certify(f) for name, f in in_each_runtime(found, paths, args.compile).items()}
        rates = in_turns(calls, n, args.rounds)
    for name, (network, policy) in found.items(): sizes[name]["in tables"] = model_size(network, policy)
    print(table({name: both["processor"] for name, both in rates.items()}, float32="float32, deployed",
                bfloat16="bfloat16, deployed"))
    print(f"\nbytes\n{pd.DataFrame(sizes).T.to_string()}")
    return dict(samples_per_second=rates, bytes=sizes, packages={name: version(name) for name in needed})


# ---- training

def step(model, images, labels, precision):
    "Forward and backward pass of a training step."
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"): logits = model(images)
    cross_entropy(logits.float(), labels).backward()


def cleared(model, call):
    "A call with fresh gradients."
    model.train().zero_grad(set_to_none=True)
    call()


def training_steps(args, images, labels, stack):
    "name -> a training step; and the seconds that compiling took."
    torch.manual_seed(0)
    model = resnet20().to(args.device)
    networks = {"float32": model, "4-bit": pinned(model, 4, images)}
    calls, seconds = {}, {}
    for name, network in networks.items():
        for precision in ("float32", "bfloat16"):
            for compiled in (False, True) if args.compile else (False,):
                own = copy.deepcopy(network).to(memory_format=torch.channels_last)
                f = stack.enter_context(compiled_calls(own, len(images), SHAPE)) if compiled else own
                label = f"{name} network in {precision}" + ", compiled" * compiled
                calls[label] = lambda own=own, f=f, p=precision: cleared(own, lambda: step(f, images, labels, p))
                if not compiled: continue
                start = time.perf_counter()
                calls[label]()
                seconds[label] = round(time.perf_counter() - start, 1)
    return calls, seconds


def training_batch(args):
    "Images and labels of a training step."
    g = torch.Generator(args.device).manual_seed(2)
    images = torch.rand(args.training_batch, *SHAPE, generator=g, device=args.device)
    labels = torch.randint(0, 10, (len(images),), generator=g, device=args.device)
    return images.contiguous(memory_format=torch.channels_last), labels


def given_back(args):
    "Images a second while freed memory goes back to the system, then while it is kept; needs a fresh process."
    images, labels = training_batch(args)
    args.compile = False
    calls, _ = training_steps(args, images, labels, None)
    rates = [measure(calls, len(images), args.rounds)]
    with memory_kept(): rates.append(measure(calls, len(images), args.rounds))
    return {name: [median(r[name]) for r in rates] for name in calls}


def in_a_fresh_process(args):
    "What `given_back` finds there."
    script = ("import argparse, json, sys; from bench import given_back; "
              "print(json.dumps(given_back(argparse.Namespace(**json.loads(sys.argv[1])))))")
    settings = json.dumps({name: vars(args)[name] for name in ("device", "training_batch", "rounds")})
    command, here = [sys.executable, "-c", script, settings], Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def training(args):
    "Images a second of forward and backward passes, with memory that is kept as `fit` does it."
    images, labels = training_batch(args)
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())   # nothing has been compiled before
        stack.enter_context(patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=cache))
        calls, seconds = training_steps(args, images, labels, stack)
        stack.enter_context(memory_kept())
        rates = measure(calls, len(images), 2 * args.rounds, args.synchronize)
    usual = "float32 network in float32"
    print(table(rates, **{"float32": usual, "4-bit": "4-bit network in float32"}))
    print("\nseconds of the first call, which compiles:", seconds)
    fresh = in_a_fresh_process(args) if args.device == "cpu" else {}
    for name, (without, kept) in fresh.items():
        print(f"{name:30}{without:8.0f} a second with memory that is given back, {kept:6.0f} with memory that is kept")
    return dict(images_per_second=rates, compile_seconds=seconds, given_back_and_kept=fresh)


# ---- setting up

def setting_up(args):
    "Seconds to quantize and calibrate a network that has not been seen before."
    torch.manual_seed(0)
    model, images = resnet18(), torch.rand(16, 3, 64, 64)
    policy = Policy.uniform(model, 4, 4)
    small = quantize(model, policy)
    calls = {"quantize ResNet-18 to 4 bits": lambda: quantize(model, policy),
             "the same without steps, as when loading": lambda: quantize(model, policy, fitted=False),
             "calibrate its activations on 16 images of 64 x 64": lambda: calibrate(copy.deepcopy(small), images),
             "one forward pass of the same images": lambda: small.eval()(images)}
    seconds = {name: [1 / r for r in rates] for name, rates in measure(calls, 1, args.rounds).items()}
    print(pd.Series({name: median(s) for name, s in seconds.items()}).round(3).to_string())
    return dict(seconds=seconds)


# ---- judging

class Watch:
    "Adds up the seconds that calls of a function take."
    def __init__(self, f): self.f, self.seconds = f, 0.0

    def __get__(self, owner, kind=None): return partial(self, owner)

    def __call__(self, *args, **kwargs):
        start = time.perf_counter()
        try: return self.f(*args, **kwargs)
        finally: self.seconds += time.perf_counter() - start


def judging(args):
    "Seconds of judging one policy of ResNet-20: 2,000 images of fine-tuning, 50 images with 100 replays."
    torch.manual_seed(0)
    images, labels = torch.randint(0, 256, (2050, *SHAPE), dtype=torch.uint8), torch.randint(0, 10, (2050,))
    classes = list("0123456789")
    train, holdout = (ImageData(images[part], labels[part], classes, "noise") for part in (slice(50, None), slice(50)))
    model = resnet20()
    start = time.perf_counter()
    judge = RadiusJudge(model, train, holdout, args.sigma, SearchConfig(n=500, progress=False))
    rows, setup = [], time.perf_counter() - start
    widths = ((8, 8), (4, 4), (3, 5), (5, 3), (2, 4), (4, 2))[: args.rounds + 1]
    policies = [Policy.uniform(model, *pair) for pair in widths]
    for policy in policies:
        fit, votes = Watch(finish_module.fit), Watch(SmoothedClassifier.votes)
        with patch.object(finish_module, "fit", fit), patch.object(SmoothedClassifier, "votes", votes):
            start = time.perf_counter()
            judge.evaluate(policy)
            rows.append((time.perf_counter() - start, fit.seconds, votes.seconds))
    whole, training, replays = (median(column) for column in list(zip(*rows))[:3])
    rest = median(w - t - r for w, t, r in rows[1:])
    found = {"seconds of one judgment": whole, "training": training, "replays": replays, "everything else": rest,
             "everything else, share": rest / whole, "seconds before the first": setup}
    print(pd.Series(found).round(3).to_string())
    return dict(judging=found)


# ---- memory of whole commands

def commands(folder):
    "name -> command line, in the order in which they need each other."
    arq = [sys.executable, "-m", "arq_nb"]
    data = os.environ.get("ARQ_DATA", str(ROOT.parent / "shared" / "data"))
    found = {"arq-nb --version": [*arq, "--version"], "make demo": [*arq, "demo", "--out", f"{folder}/demo"]}
    if not Path(data).exists(): return found
    dry = subprocess.run(["make", "-n", "cifar10", f"ARQ_DATA={data}"], cwd=ROOT, capture_output=True, text=True)
    lines = re.sub(r"\\\n\s*", "", dry.stdout).replace("runs/cifar10", f"{folder}/cifar10").splitlines()
    for line in lines:
        if name := re.search(r"arq-nb (train|search|certify|report)", line):
            found[f"make cifar10, {name[1]}"] = ["sh", "-c", re.sub(r"\S*/bin/arq-nb", " ".join(arq), line)]
    return found


# A process that has just been forked counts as large as its parent, so the command's parent is a small one.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps(dict(status=status, seconds=round(time.perf_counter() - start, 1), mb=round(most / 1024))))
"""


def memory(args):
    "Peak resident memory and seconds of the README's long commands, each in a process of its own."
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands(folder).items():
            launch = [sys.executable, "-S", "-c", LAUNCHER, json.dumps(command)]
            found[name] = json.loads(subprocess.run(launch, cwd=ROOT, capture_output=True, text=True).stdout)
            print(f"{name:28}{found[name]['mb']:8,} MB{found[name]['seconds']:10.1f} s", flush=True)
            if found[name]["status"]: raise RuntimeError(f"{name} failed: {' '.join(command)}")
    return found


# ---- all together

def provenance(args):
    "Where and of what a file was made."
    def git(*command): return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    where = dict(name=torch.cuda.get_device_name(), instructions=[]) if args.device.startswith("cuda") else processor()
    limits = {k: v for k, v in os.environ.items() if k in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")}
    made = dict(commit=git("rev-parse", "HEAD"), changed=bool(git("status", "--porcelain", "--", "arq_nb", "tools")))
    names = "samples", "rounds", "sigma", "batch_size", "training_batch"
    settings = {name: vars(args)[name] for name in names}
    return dict(processor=where, threads=torch.get_num_threads(), limits=limits, date=str(date.today()), **made,
                torch=torch.__version__, python=platform.python_version(), settings=settings)


PARTS = {"certifying": certifying, "runtimes": runtimes, "training": training, "setting_up": setting_up,
         "judging": judging, "memory": memory}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick = [name for name in PARTS if name != "memory"]
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=quick,
                        help=f"which of {', '.join(PARTS)} (default: all but memory, which takes half an hour)")
    parser.add_argument("--out", type=Path, help="a JSON file, whose other parts are kept")
    parser.add_argument("--samples", type=int, default=2000, help="noisy copies in each measurement (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant (default 5)")
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=200,
                        help="of our variants (default 200, as `SmoothedClassifier` has it on a CPU; also a quarter)")
    parser.add_argument("--training-batch", type=int, default=128, help="images in a training step (default 128)")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave out torch.compile")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main(args):
    on_gpu = args.device.startswith("cuda")
    args.compile &= compiles()
    args.synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    found = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    about = provenance(args)
    where = about["processor"]
    known = ", ".join(where["instructions"])
    print(f"{where['name']} ({known}), {about['threads']} threads, torch {torch.__version__}")
    for name in args.parts:
        print(f"\n== {name}: {PARTS[name].__doc__}\n", flush=True)
        found[name] = {**about, **PARTS[name](args)}
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__": main(options())
