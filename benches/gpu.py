#!/usr/bin/env python3
"""All that a machine with a GPU can tell: whether stepladder is right on it, how fast it is, and how fast others are.

    benches/gpu.py NAME [--parts checks,speed,peers] [--minutes 25] [--tests FOLDER] [--only TEXT]

Writes benches/results/NAME.json (adapter, driver, limits, features, commit, every check, every measurement, the bars) and NAME.md, which
says in words what is good and bad on this card. It goes on after a failure and tells it at the end, with status 1.

checks  kernels' tables against f64, fixtures of PyTorch, trajectories, tuned variants, on the adapter that WGPU_ADAPTER_NAME names or the
        best one. By cargo, or by the test programs in FOLDER, named as cargo does (kernels-0123456789abcdef) or without the hash.
speed   the suites of `stepladder bench` that the bars of a discrete GPU need.
peers   PyTorch with peft and transformers, where this Python has them (benches/peers/torch).

What is not in --parts keeps its place in an existing file of the same commit.
"""
import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import bars
from report import HERE, PROGRAM, RESULTS, commit, middle, number

ROOT = HERE.parent
# Tests that run on the GPU, the quickest and most telling first.
CHECKS = ["kernels", "models", "training", "quant", "generation", "weights", "tune", "plan", "tiny", "memory", "bench", "ladder"]
# A target that hangs must not take the time of the others, in seconds.
LONGEST = 400
SPEED = [
    ("kernels", ["--suite", "kernels", "--format", "f32,q4"]),
    ("matrix units", ["--suite", "kernels", "--format", "f16", "--f16"]),
    ("passes", ["--suite", "prefill,decode,train", "--format", "f32,f16,q4"]),
    ("Qwen2.5-0.5B", ["--suite", "train", "--shape", "qwen2.5-0.5b", "--format", "f16"]),
    ("GRPO", ["--suite", "grpo"]),
]
PEERS = [["train", model, *size] for model in ("smollm2-135m", "qwen2.5-0.5b") for size in (["1", "128"], ["8", "512"])]
PEERS.append(["grpo", "smollm2-135m", "8", "8", "256"])


class Clock:
    def __init__(self, minutes):
        self.end = time.monotonic() + 60 * minutes

    def left(self):
        return self.end - time.monotonic()


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, seconds, **more):
    """Status, output and error output; status None if it took longer, -1 if it could not be begun."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(1, seconds), errors="replace", **more)
        return done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        return None, output.decode(errors="replace") if isinstance(output, bytes) else output, ""
    except OSError as problem:
        return -1, "", str(problem)


def test_command(name, folder):
    """What runs a test program; None if there is none."""
    if folder:
        found = [path for path in sorted(folder.glob(f"{name}*")) if re.fullmatch(rf"{name}(-[0-9a-f]{{16}})?", path.name)]
        return [str(found[-1])] if found else None
    if shutil.which("cargo"):
        return ["cargo", "test", "--release", "--locked", "--test", name, "--"]
    return None


def checks(clock, folder, only):
    """By test program: how many passed, which failed with the end of what they said."""
    results = {}
    for name in CHECKS:
        if only and only not in name:
            continue
        command = test_command(name, folder)
        if command is None:
            results[name] = {"skipped": "no such program" if folder else "no cargo; give --tests"}
            continue
        if clock.left() < 20:
            results[name] = {"skipped": "no time left"}
            continue
        if not folder:
            # What is built is not timed as a test, nor killed as one that hangs.
            say(f"checks, {name}: building")
            run([*command[:-1], "--no-run"], 3600)
        say(f"checks, {name}")
        began = time.monotonic()
        status, output, errors = run([*command, "--test-threads", "4"], min(LONGEST, clock.left()))
        verdicts = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", output, re.M)
        failed = sorted({test for test, verdict in verdicts if verdict == "FAILED"})
        result = {
            "passed": sum(verdict == "ok" for _, verdict in verdicts),
            "failed": failed,
            "seconds": round(time.monotonic() - began, 1),
        }
        if status is None:
            result["problem"] = "took too long and was stopped"
        elif status != 0 and not failed:
            result["problem"] = f"ended with status {status}: {(errors or output)[-600:]}"
        if failed:
            result["said"] = output[output.find("failures:"):][:6000]
        results[name] = result
    return results


def speed(clock, only):
    """One report of all suites that there was time for, and what went wrong."""
    reports, problems, rows = [], {}, {}
    for what, arguments in SPEED:
        if only and only not in what:
            continue
        if clock.left() < 30:
            problems[what] = "no time left"
            continue
        say(f"speed, {what}")
        status, output, errors = run([PROGRAM, "bench", "--json", *arguments], clock.left())
        if status != 0:
            problems[what] = "took too long and was stopped" if status is None else errors[-600:]
            continue
        report = json.loads(output)
        reports.append(report)
        rows.update({(row["name"], row["shape"]): row for row in report["rows"]})
    if not reports:
        return None, problems
    # `--f16` tells other features: the first run's are the adapter's own.
    whole = {"adapter": reports[0]["adapter"], "version": reports[0]["version"], "quick": False}
    return whole | {"peaks": middle(reports), "rows": list(rows.values())}, problems


def peers(clock):
    missing = [name for name in ("torch", "peft", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        return [], {"peers": f"this Python has no {', '.join(missing)}"}
    found, problems = [], {}
    for arguments in PEERS:
        what = " ".join(arguments)
        if clock.left() < 60:
            problems[what] = "no time left"
            continue
        say(f"peers, {what}")
        status, output, errors = run([sys.executable, str(HERE / "peers" / "torch" / "peer.py"), *arguments], clock.left())
        if status == 0:
            found += [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        else:
            problems[what] = "took too long and was stopped" if status is None else errors[-600:]
    return found, problems


def words(result):
    """The page: what is right, what is wrong, what is fast and what is slow."""
    adapter = result["adapter"]
    lines = [f"# {adapter['name']}", ""]
    lines.append(f"{adapter['driver']}, {adapter['backend']}; commit {result['commit']}, {result['date']}.")
    lines += ["", "## Is it right?", ""]
    tested = {name: check for name, check in result["checks"].items() if "passed" in check}
    passed = sum(check["passed"] for check in tested.values())
    failed = [f"{name}::{test}" for name, check in tested.items() for test in check["failed"]]
    stopped = [f"{name} {check['problem']}" for name, check in tested.items() if "problem" in check]
    skipped = [f"{name} ({check['skipped']})" for name, check in result["checks"].items() if "skipped" in check]
    if not tested:
        lines.append("Nothing was checked.")
    elif not failed and not stopped:
        lines.append(f"Yes: {passed} checks of {len(tested)} programs passed, none failed.")
    else:
        lines.append(f"**No**: {passed} checks passed, {len(failed)} failed, {len(stopped)} programs did not end well.")
    lines += [f"- failed: `{test}`" for test in failed] + [f"- {text.splitlines()[0]}" for text in stopped]
    if skipped:
        lines.append(f"- not checked: {', '.join(skipped)}")
    lines += ["", "## Is it fast?", ""]
    measured = [bar for bar in result["bars"] if bar.get("ratio") is not None]
    for bar in measured:
        good = bar["verdict"] == "met"
        lines.append(f"- {'good' if good else '**below its bar**'}: {bar['what']}, against {bar['against']}: {bar['ratio']:.2f} ({bar['bar']})")
    unknown = [bar["what"] for bar in result["bars"] if bar.get("ratio") is None]
    if unknown:
        lines.append(f"- not measured: {'; '.join(unknown)}")
    rows = [row for row in (result["report"] or {"rows": []})["rows"] if isinstance(row.get("fraction_of_peak"), float)]
    for title, order, best in [("Nearest to what the card can do", -1, True), ("Farthest from it", 1, False)]:
        chosen = sorted((row for row in rows if "," not in row["name"]), key=lambda row: order * row["fraction_of_peak"])[:5]
        if chosen:
            lines += ["", f"{title}:", ""]
            lines += [f"- {row['name']}, {row['shape']}: {row['fraction_of_peak']:.0%} ({number(row['value'])} {row['unit']})" for row in chosen]
    problems = {what: problem.strip() for part in result["problems"].values() for what, problem in part.items()}
    if problems:
        lines += ["", "## What was not measured", ""]
        lines += [f"- {what}: {problem.splitlines()[-1] if problem else 'failed without a word'}" for what, problem in problems.items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--parts", default="checks,speed,peers")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--tests", type=pathlib.Path)
    parser.add_argument("--only", default="", help="only checks and suites whose names hold this text")
    parser.add_argument("--commit", help="where there is no git")
    options = parser.parse_args()
    parts = options.parts.split(",")
    unknown = set(parts) - {"checks", "speed", "peers"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; use checks, speed, peers")
    clock = Clock(options.minutes)
    status, output, errors = run([PROGRAM, "info", "--json"], 60)
    if status != 0:
        sys.exit(f"`{PROGRAM} info` failed: {errors.strip()[-400:]}")
    adapters = json.loads(output)["adapters"]
    wanted = os.environ.get("WGPU_ADAPTER_NAME", "").lower()
    adapter = next((found for found in adapters if wanted in found["name"].lower()), adapters[0])
    if adapter["kind"] == "software":
        say(f"{adapter['name']} is no GPU: right or wrong can be told, fast or slow cannot")
    path = RESULTS / f"{options.name}.json"
    made = options.commit or commit()
    result = {"commit": made, "checks": {}, "report": None, "peers": [], "problems": {}}
    if path.exists():
        known = json.loads(path.read_text())
        if known.get("commit") == made and "checks" in known:
            result = known
    result |= {"date": datetime.date.today().isoformat(), "adapter": adapter}

    def save():
        """Writes at once: what was measured is not lost with what fails later."""
        rows = (result["report"] or {"rows": []})["rows"]
        result["bars"] = bars.discrete_bars(adapter["name"], rows, result["peers"])
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
        path.with_suffix(".md").write_text(words(result))

    if "checks" in parts:
        result["checks"] |= checks(clock, options.tests, options.only)
        save()
    if "speed" in parts:
        report, result["problems"]["speed"] = speed(clock, options.only)
        result["report"] = report or result["report"]
        save()
    if "peers" in parts:
        found, result["problems"]["peers"] = peers(clock)
        result["peers"] = found or result["peers"]
    save()
    print(path.with_suffix(".md").read_text())
    wrong = any(check.get("failed") or check.get("problem") for check in result["checks"].values())
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
