#!/usr/bin/env python3
"""Benchmark results: record them, put them into a page, compare two of them.

    benches/report.py record NAME [arguments of `stepladder bench`]   runs it and writes benches/results/NAME.json
    benches/report.py take NAME FILE... --commit C [--date DATE]      writes it from what `stepladder bench --json` printed elsewhere
    benches/report.py render                                          writes the tables of benches/README.md
    benches/report.py compare OLD.json NEW.json                       ratio of every row that both have

`take` merges files of one adapter; a row takes the place of one with its name and shape in an earlier file. Without --date it is
the day on which the newest file was last changed. The program is target/release/stepladder, or what STEPLADDER names.
"""
import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results"
PROGRAM = os.environ.get("STEPLADDER", str(HERE.parent / "target" / "release" / "stepladder"))


def commit():
    run = lambda *command: subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    changed = run("git", "status", "--porcelain", "--", "../src", "../shaders")
    return run("git", "rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")


def bench(*arguments):
    """One run of `stepladder bench` as JSON."""
    command = [PROGRAM, "bench", "--json", *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def record(name, arguments):
    result = {"commit": commit(), "date": datetime.date.today().isoformat(), "arguments": arguments}
    result["report"] = bench(*arguments)
    write(name, result)


def write(name, result):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path)


def middle(reports):
    """Peaks of several runs: of each the median over the runs that measured it."""
    measured = [report["peaks"] for report in reports]
    peaks = {}
    for key in ("gigaflops", "matrix_gigaflops"):
        values = [peak[key] for peak in measured if peak.get(key) is not None]
        if values:
            peaks[key] = statistics.median(values)
    moved = {}
    for size in (size for peak in measured for size in peak["bandwidth"]):
        moved.setdefault(size["bytes"], []).append(size["gigabytes_per_second"])
    peaks["bandwidth"] = [{"bytes": size, "gigabytes_per_second": statistics.median(moved[size])} for size in sorted(moved)]
    return peaks


def take(arguments):
    parser = argparse.ArgumentParser(prog="report.py take")
    parser.add_argument("name")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--date")
    options = parser.parse_args(arguments)
    reports = [load(path) for path in options.files]
    first = reports[0]
    rows = {}
    for path, report in zip(options.files, reports):
        if report["adapter"] != first["adapter"]:
            theirs, ours = report["adapter"], first["adapter"]
            different = [f"{key} {theirs.get(key)} instead of {ours[key]}" for key in ours if theirs.get(key) != ours[key]]
            sys.exit(f"{path} is of another adapter than {options.files[0]}: {', '.join(different)}")
        if report["quick"]:
            sys.exit(f"{path} is a quick run, which says nothing about speed")
        rows.update({(row["name"], row["shape"]): row for row in report["rows"]})
    newest = max(path.stat().st_mtime for path in options.files)
    date = options.date or datetime.date.fromtimestamp(newest).isoformat()
    report = {"adapter": first["adapter"], "version": first["version"], "quick": False}
    report |= {"peaks": middle(reports), "rows": list(rows.values())}
    taken = [path.name for path in options.files]
    write(options.name, {"commit": options.commit, "date": date, "taken": taken, "report": report})


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def share(fraction):
    """Percent; small ones with a figure behind the point, so that they do not all look alike."""
    if fraction is None:
        return ""
    return f"{fraction:.0%}" if fraction >= 0.1 else f"{100 * fraction:.2g}%"


def small(ratio):
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def source(result):
    adapter = result["report"]["adapter"]
    return f"{adapter['name']} ({adapter['driver']}), commit {result['commit']}, {result['date']}"


def peaks(result):
    measured = result["report"]["peaks"]
    moved = ", ".join(f"{b['gigabytes_per_second']:,.1f} GB/s at {b['bytes'] / 2**20:g} MiB" for b in measured["bandwidth"])
    matrix = measured.get("matrix_gigaflops")
    matrix = f" ({matrix:,.0f} by matrix units in f16)" if matrix is not None else ""
    runs = "of this run" if len(result.get("taken", [1])) == 1 else "(medians of the runs)"
    return f"Peaks {runs}: {measured['gigaflops']:,.1f} GFLOP/s{matrix}, {moved}."


def passes(result):
    """Whole passes of models."""
    rows = [row for row in result["report"]["rows"] if row.get("dispatches") is not None]
    head = ["pass", "shape", "tokens/s", "ms a step", "of peak", "dispatches", "host µs", "device idle", "MiB on the GPU"]
    return table(head, [[
        row["name"], row["shape"], number(row["value"]), number(1e3 * row["seconds"]),
        "" if "," in row["name"] else share(row["fraction_of_peak"]), number(row["dispatches"]), number(row["host_microseconds"]), f"{row['idle_share']:.1%}", number(row["bytes"] / 2**20),
    ] for row in rows]) if rows else []


def kernels(result):
    rows = [row for row in result["report"]["rows"] if row.get("dispatches") is None]
    of_peaks = {"of peak": "fraction_of_peak", "of matrix peak": "fraction_of_matrix_peak"}
    if not any(row.get("fraction_of_matrix_peak") is not None for row in rows):
        del of_peaks["of matrix peak"]
    return table(["kernel", "shape", "speed", "", *of_peaks], [[
        row["name"], row["shape"], number(row["value"]), row["unit"], *(share(row.get(key)) for key in of_peaks.values()),
    ] for row in rows]) if rows else []


def growth(result):
    """Seconds a token beside the size that grows, each relative to the smallest."""
    rows = [row for row in result["report"]["rows"] if row["name"] in ("decode", "train")]
    lines = []
    for name, key in [("decode", "batch"), ("decode", "length"), ("train", "length"), ("train", "rank"), ("train", "layers")]:
        others = [k for k in ("batch", "length", "rank", "layers") if k != key]
        groups = {}
        for row in rows:
            if row["name"] == name and row["format"] == "f32" and row.get(key) is not None:
                groups.setdefault(tuple(row.get(k) for k in others), {})[row[key]] = row
        group = max(groups.values(), key=len, default={})
        if len(group) < 2:
            continue
        sizes = sorted(group)
        cells = [f"{size}: {1e3 * group[size]['seconds']:.3g} ms" for size in sizes]
        first, last = group[sizes[0]], group[sizes[-1]]
        lines.append([name, key, ", ".join(cells), f"{sizes[-1] / sizes[0]:g}", f"{last['seconds'] / first['seconds']:.2f}"])
    return table(["pass", "grows", "a step", "size times", "time times"], lines) if lines else []


def bars(result):
    head = ["on", "what", "against", "ours", "theirs", "ratio (median)", "each round", "bar", ""]
    return table(head, [[
        bar["on"], bar["what"], bar["against"], bar.get("ours", ""), bar.get("theirs", ""),
        f"**{small(bar['ratio'])}**" if bar.get("ratio") is not None else "not measured",
        ", ".join(map(small, bar.get("ratios", []))), bar["bar"], bar.get("verdict", ""),
    ] for bar in result["bars"]])


def render():
    page = HERE / "README.md"
    text = page.read_text()
    for path in sorted(RESULTS.glob("*.json")):
        result = load(path)
        parts = {}
        if "bars" in result:
            parts["bars"] = [f"Commit {result['commit']}, {result['date']}.", "", *bars(result)]
        if result.get("report"):
            parts |= {
                "passes": [source(result) + ".", peaks(result), "", *passes(result)],
                "kernels": [source(result) + ".", peaks(result), "", *kernels(result)],
                "growth": [source(result) + ".", "", *growth(result)],
            }
        for part, lines in parts.items():
            start, end = f"<!-- {path.stem} {part} -->", f"<!-- end of {path.stem} {part} -->"
            if start in text:
                before, rest = text.split(start, 1)
                text = before + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    start, end = "<!-- cards -->", "<!-- end of cards -->"
    before, rest = text.split(start, 1)
    page.write_text(before + start + "\n" + "\n".join(cards()) + "\n" + end + rest.split(end, 1)[1])


def cards():
    """A line for each card that gpu.py ran on."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        result = load(path)
        if "checks" not in result:
            continue
        checks = [check for check in result["checks"].values() if "passed" in check]
        wrong = sum(len(check["failed"]) + ("problem" in check) for check in checks)
        measured = [bar for bar in result["bars"] if bar.get("ratio") is not None]
        met = sum(bar["verdict"] == "met" for bar in measured)
        rows.append([
            f"[{result['adapter']['name']}](results/{path.stem}.md)", result["adapter"]["driver"], result["commit"], result["date"],
            f"{sum(check['passed'] for check in checks)} passed, {wrong} failed", f"{met} of {len(measured)} met",
        ])
    return table(["card", "driver", "commit", "date", "checks", "bars"], rows) if rows else ["No card yet: `make gpu` makes the first."]


def compare(old, new):
    key = lambda row: (row["name"], row["shape"])
    before = {key(row): row for row in load(old)["report"]["rows"]}
    print("speed of the new one as a multiple of the old one's (1.00 is no change)")
    for row in load(new)["report"]["rows"]:
        if key(row) in before:
            print(f"{before[key(row)]['seconds'] / row['seconds']:6.2f}  {row['name']}  {row['shape']}")


if __name__ == "__main__":
    command, *rest = sys.argv[1:] or ["help"]
    if command == "record" and rest:
        record(rest[0], rest[1:])
    elif command == "take":
        take(rest)
    elif command == "render":
        render()
    elif command == "compare" and len(rest) == 2:
        compare(*rest)
    else:
        sys.exit(__doc__)
