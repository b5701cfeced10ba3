#!/usr/bin/env python3
"""Measures stepladder's bars, in turns with the systems that they name, and writes benches/results/bars-NAME.json.

    benches/bars.py NAME [--rounds 5] [--burn PROGRAM] [--only TEXT] [--browser] [--own]
    benches/bars.py NAME --discrete [--peers FILE...]

--burn takes the program that benches/peers/burn builds, --only limits it to bars that hold a text; --browser measures jax-js in Chromium (benches/peers/browser);
--own the bars that need no other system. What is not asked for keeps its place in an existing file.

--discrete measures nothing: it works the bars of a discrete GPU out of results/NAME.json (`report.py take` or `record`) and of what
benches/peers/torch/peer.py printed on the same GPU, JSON lines in FILE, and writes the file anew.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import datetime

from report import HERE, PROGRAM, RESULTS, bench, commit, load, number

SOFTWARE = "software Vulkan (lavapipe)"
DISCRETE = "discrete GPU"
NOT_HERE = [
    ("decode batch 1, f16 and q4, weights' bytes over measured bandwidth", "its own peak", "at least 60 %"),
    ("f32 product 4096 cubed over measured f32 peak", "its own peak", "at least 60 %"),
    ("f16 product with cooperative matrices over the measured f16 matrix peak", "its own peak", "at least 40 %"),
    ("LoRA step, SmolLM2-135M and Qwen2.5-0.5B shapes", "PyTorch + peft, bf16", "at least 1x"),
    ("GRPO step, 8 prompts x 8 samples x 256 tokens", "TRL with transformers' generate", "at least 5x"),
    ("decode batch 64 against batch 1, SmolLM2", "itself", "at least 30x"),
]


# The models of the discrete GPU's bars, and the layers that a whole one has.
MODELS = {"smollm2-135m": ("SmolLM2-135M", 30), "qwen2.5-0.5b": ("Qwen2.5-0.5B", 24)}
# The peers' weights are bf16: f16 weights are as large, f32 weights the harder case for stepladder.
LIKE_BF16 = ("f16", "f32")


def run(command):
    """Output of a program and the most memory that it had, in MiB."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read().decode()
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with {status}")
    return text, usage.ru_maxrss / 1024


def ours(suite, only, *more):
    """Seconds of the one row that is asked for, without an adapter where there is a choice, and memory."""
    command = [PROGRAM, "bench", "--json", "--suite", suite, "--format", "f32", "--only", only, "--rounds", "3", "--no-peaks", *more]
    text, memory = run(command)
    rows = [row for row in json.loads(text)["rows"] if row["shape"].endswith(only) and "backward" not in row["name"]]
    assert len(rows) == 1, [row["shape"] for row in rows]
    return rows[0]["seconds"], memory


def burn(program, *arguments):
    text, memory = run([program, "wgpu", *map(str, arguments)])
    value, unit = re.search(r"RESULT .*: median ([0-9.]+)(ms|s)", text).groups()
    return float(value) * (1e-3 if unit == "ms" else 1), memory


def milliseconds(seconds):
    return f"{1e3 * statistics.median(seconds):,.{0 if statistics.median(seconds) >= 0.1 else 1}f} ms"


def against_burn(program, rounds, only, save):
    cases = [
        ("LoRA step, SmolLM2 shape, 4 layers, 1 x 128 tokens", 2, ("train", "1 x 128 tokens, rank 16"), ("split", 4, 1, 128, 1, 2)),
        ("LoRA step, SmolLM2 shape, 4 layers, 4 x 64 tokens", 2, ("train", "4 x 64 tokens, rank 16"), ("split", 4, 4, 64, 1, 2)),
        ("product 128 x 576 x 1536", 1.5, ("kernels", "128 x 576 -> 1536, f32"), ("matmul", 128, 576, 1536)),
        ("product 512 x 576 x 576", 1.5, ("kernels", "512 x 576 -> 576, f32"), ("matmul", 512, 576, 576)),
        ("greedy decode, SmolLM2 shape, 30 layers, batch 1", 4, ("decode", "f32, 1 x 1 tokens", "--layers", "30"), ("decode", 30, 1, 2, 8)),
        ("greedy decode, SmolLM2 shape, 30 layers, batch 8", 10, ("decode", "f32, 8 x 1 tokens", "--layers", "30"), ("decode", 30, 8, 2, 4)),
    ]
    for what, least, mine, other in cases:
        if only not in what:
            continue
        own, theirs, memory = [], [], []
        for _ in range(rounds):
            seconds, used = ours(*mine)
            their_seconds, their_used = burn(program, *other)
            own.append(seconds)
            theirs.append(their_seconds)
            memory.append((used, their_used))
            print(what, f"{their_seconds / seconds:.2f}", flush=True)
        ratios = [b / a for a, b in zip(own, theirs)]
        against = "Burn 0.22.1 on wgpu"
        save([bar(SOFTWARE, what, against, f"at least {least}x", ratios, least, milliseconds(own), milliseconds(theirs))])
        if what.startswith("LoRA"):
            ratios = [b / a for a, b in memory]
            mib = [f"{statistics.median(side):.0f} MiB" for side in zip(*memory)]
            save([bar(SOFTWARE, f"{what}: peak memory of the process", against, "at most half", ratios, 2, *mib)])


def bar(on, what, against, text, ratios, least, own="", theirs="", most=None):
    ratio = statistics.median(ratios)
    met = ratio <= most if most is not None else ratio >= least
    return {
        "on": on, "what": what, "against": against, "bar": text, "ours": own, "theirs": theirs,
        "ratio": ratio, "ratios": ratios, "verdict": "met" if met else "**not met**",
    }


def in_browser(rounds):
    text = subprocess.run(["node", str(HERE / "peers/browser/run.mjs"), str(rounds)], stdout=subprocess.PIPE, check=True).stdout
    bars = []
    for row in json.loads(text):
        assert max(row["error"].values()) < 1e-3, row["error"]
        ratios = [b / a for a, b in zip(row["ours"], row["theirs"])]
        what = f"f32 product {' x '.join(map(str, row['size']))}"
        bars.append(bar("Chromium on SwiftShader", what, "jax-js 0.1.25", "at least 1.5x", ratios, 1.5,
                        milliseconds(row["ours"]), milliseconds(row["theirs"])))
    return bars


def own_bars(rounds):
    """Each of these is a ratio of two rows of one run, whose samples took turns."""
    bars = []
    arguments = ["--layers", "30", "--rounds", str(rounds)]
    for weights in ["f32"]:
        rows = bench("--suite", "decode", "--format", weights, *arguments)["rows"]
        find = lambda batch, rank: next(r for r in rows if r.get("batch") == batch and r.get("rank") == rank)
        one, many = find(1, None), find(64, None)
        ratios = [64 * a / b for a, b in zip(one["samples"], many["samples"])]
        bars.append(bar(SOFTWARE, f"decode batch 64 against batch 1, SmolLM2 shape, {weights}, tokens/s", "itself", "at least 8x",
                        ratios, 8, f"{many['value']:.3g} tokens/s", f"{one['value']:.3g} tokens/s"))
        for batch in [1, 8, 64]:
            base, adapted = find(batch, None), find(batch, 16)
            ratios = [a / b for a, b in zip(base["samples"], adapted["samples"])]
            bars.append(bar(SOFTWARE, f"live LoRA (rank 16) against base, decode batch {batch}, {weights}", "itself", "at least 0.85x",
                            ratios, 0.85, f"{adapted['value']:.3g} tokens/s", f"{base['value']:.3g} tokens/s"))
    rows = bench("--suite", "grpo", "--rounds", str(rounds))["rows"]
    rollout = next(row for row in rows if row["name"] == "grpo, rollout")
    bars.append(bar(SOFTWARE, "share of a GRPO step's rollouts in which the device waits for the CPU", "itself", "at most 0.05",
                    [rollout["idle_share"]], None, most=0.05))
    return bars


def of_peak(on, what, row, key, text, least):
    """A bar of one row against its own peak, each round by its sample."""
    ratios = [row[key] * row["seconds"] / sample for sample in row["samples"]]
    ours, peak = (f"{number(value)} {row['unit']}" for value in (row["value"], row["value"] / row[key]))
    return bar(on, what, "its own peak", text, ratios, least, ours, peak)


def discrete_bars(on, rows, peers):
    """The bars of NOT_HERE in their order; those for which something is missing have no ratio."""
    decode_peak, product, coop, train, grpo, many = NOT_HERE
    bars = []

    def missing(entry, what=None, against=None, **known):
        bars.append({"on": on, "what": what or entry[0], "against": against or entry[1], "bar": entry[2], **known})

    def find(name, model="smollm2-135m", **sizes):
        """The row of a whole model with such sizes; `format` is one or those that will do, best first."""
        formats = sizes.pop("format")
        for weights in [formats] if isinstance(formats, str) else formats:
            want = {"name": name, "model": model, "layers": MODELS[model][1], "format": weights, **sizes}
            for row in rows:
                if all(row.get(key) == value for key, value in want.items()):
                    return row
        return None

    def against_peer(entry, what, least, row, peer):
        against = f"PyTorch {peer['torch'].split('+')[0]} + peft, bf16" if peer else entry[1]
        if peer and peer["what"] == "grpo":
            against = f"transformers' generate, then {against}"
        if row:
            what += f", {row['format']}"
        times = [milliseconds(side["samples"]) if side else "" for side in (row, peer)]
        if row and peer:
            bars.append(bar(on, what, against, entry[2], [peer["seconds"] / row["seconds"]], least, *times))
        else:
            missing(entry, what, against, ours=times[0], theirs=times[1])

    for weights in ("f16", "q4"):
        row = find("decode", format=weights, batch=1, length=1, rank=None)
        what = f"decode batch 1, SmolLM2-135M shape, {weights}, over what the weights' bytes and the measured bandwidth allow"
        bars.append(of_peak(on, what, row, "fraction_of_peak", decode_peak[2], 0.6)) if row else missing(decode_peak, what)

    row = next((row for row in rows if (row["name"], row["shape"]) == ("matmul/forward", "4096 x 4096 -> 4096, f32")), None)
    bars.append(of_peak(on, product[0], row, "fraction_of_peak", product[2], 0.6)) if row else missing(product)

    by_matrix = [row for row in rows if row["name"].startswith("matmul_coop/") and row.get("fraction_of_matrix_peak") is not None]
    for row in by_matrix:
        what = f"product with cooperative matrices ({row['name'].split('/')[1]}, {row['shape']}) over the measured f16 matrix peak"
        bars.append(of_peak(on, what, row, "fraction_of_matrix_peak", coop[2], 0.4))
    if not by_matrix:
        missing(coop)

    for model, (name, _) in MODELS.items():
        theirs = [peer for peer in peers if peer["what"] == "train" and peer["model"] == model]
        for peer in theirs:
            count, length = peer["sizes"]
            row = find("train", model, format=LIKE_BF16, batch=count, length=length, rank=16)
            against_peer(train, f"LoRA step, {name} shape, {count} x {length} tokens", 1, row, peer)
        if not theirs:
            missing(train, f"LoRA step, {name} shape")

    row = find("grpo", format=LIKE_BF16, batch=64, length=256, rank=16)
    sizes = ["grpo", "smollm2-135m", [8, 8, 256]]
    peer = next((peer for peer in peers if [peer["what"], peer["model"], peer["sizes"]] == sizes), None)
    against_peer(grpo, "GRPO step, SmolLM2-135M shape, 8 prompts x 8 samples x 256 tokens", 5, row, peer)

    for weights in ("f32", "f16", "q4"):
        one, most = (find("decode", format=weights, batch=batch, length=1, rank=None) for batch in (1, 64))
        what = f"decode batch 64 against batch 1, SmolLM2-135M shape, {weights}, tokens/s"
        if one and most:
            ratios = [64 * a / b for a, b in zip(one["samples"], most["samples"])]
            bars.append(bar(on, what, "itself", many[2], ratios, 30, *(f"{number(row['value'])} tokens/s" for row in (most, one))))
        else:
            missing(many, what)
    return bars


def discrete(name, files):
    result = load(RESULTS / f"{name}.json")
    on = result["report"]["adapter"]["name"]
    lines = [line for path in files for line in pathlib.Path(path).read_text().splitlines()]
    peers = [json.loads(line) for line in lines if line.strip()]
    for peer in peers:
        if peer["device"] not in on:
            sys.exit(f"the peer ran on {peer['device']}, stepladder on {on}")
    return {"commit": result["commit"], "date": result["date"], "bars": discrete_bars(on, result["report"]["rows"], peers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--burn")
    parser.add_argument("--only", default="")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--discrete", action="store_true")
    parser.add_argument("--peers", nargs="+", default=[])
    options = parser.parse_args()
    path = RESULTS / f"bars-{options.name}.json"
    RESULTS.mkdir(exist_ok=True)

    def save(measured):
        """Writes at once: what was measured is not lost with what fails later."""
        known = json.loads(path.read_text())["bars"] if path.exists() else []
        new = {entry["what"]: entry for entry in measured}
        bars = [new.pop(entry["what"], entry) for entry in known if entry.get("ratio") is not None] + list(new.values())
        bars += [{"on": DISCRETE, "what": what, "against": against, "bar": text} for what, against, text in NOT_HERE]
        result = {"commit": commit(), "date": datetime.date.today().isoformat(), "bars": bars}
        path.write_text(json.dumps(result, indent=1) + "\n")

    if options.discrete:
        path.write_text(json.dumps(discrete(options.name, options.peers), indent=1) + "\n")
    if options.burn:
        against_burn(options.burn, options.rounds, options.only, save)
    if options.browser:
        save(in_browser(options.rounds))
    if options.own:
        save(own_bars(options.rounds))
    print(path)


if __name__ == "__main__":
    main()
