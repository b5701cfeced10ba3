#!/usr/bin/env python3
"""Measures stepladder's bars, in turns with the systems that they name, and writes benches/results/bars-NAME.json.

    benches/bars.py NAME [--rounds 5] [--burn PROGRAM] [--only TEXT] [--browser] [--own]

--burn takes the program that benches/peers/burn builds, --only limits it to bars that hold a text; --browser measures jax-js in Chromium (benches/peers/browser);
--own the bars that need no other system. What is not asked for keeps its place in an existing file.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
import datetime

from report import HERE, PROGRAM, RESULTS, bench, commit

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--burn")
    parser.add_argument("--only", default="")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--own", action="store_true")
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

    if options.burn:
        against_burn(options.burn, options.rounds, options.only, save)
    if options.browser:
        save(in_browser(options.rounds))
    if options.own:
        save(own_bars(options.rounds))
    print(path)


if __name__ == "__main__":
    main()
