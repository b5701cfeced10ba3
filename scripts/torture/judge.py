#!/usr/bin/env python3
"""Has the program judge what lies.py writes, and says where the two differ.

    scripts/torture/judge.py target/release/stepladder FILE.tsv

Prints each lie that is taken, each right answer that is refused and each answer over a second, then a line of figures. The
exit status is 0 only if no lie was taken, under 1 % of the right ones were refused and none took longer than a second.
Only Python's standard library is needed.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SLOW = 1.0


def rows(path):
    problem = ""
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            continue
        own, answer, truth = line.rstrip("\n").split("\t")
        problem = own or problem
        yield problem, answer, truth


def judge(program, problem, answer):
    command = [program, "verify", "--json", "--task", "integral", f"--problem={problem}", f"--answer={answer}"]
    best = float("inf")
    for _ in range(3):  # other processes take time too
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        best = min(best, time.monotonic() - begin)
        if best < SLOW:
            break
    return json.loads(done.stdout)["verdict"], best


def main():
    program, path = sys.argv[1:]
    table = list(rows(path))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(lambda row: judge(program, row[0], row[1]), table))
    counts = {"taken": 0, "refused": 0, "slow": 0, "right": 0, "wrong": 0}
    for (problem, answer, truth), (verdict, seconds) in zip(table, verdicts):
        counts[truth] = counts.get(truth, 0) + 1
        for kind, found in [
            ("taken", truth == "wrong" and verdict == "correct"),
            ("refused", truth == "right" and verdict in ("wrong", "malformed")),
            ("slow", seconds > SLOW),
        ]:
            if found:
                counts[kind] += 1
                print(f"{kind}: {problem}\t{answer}\t{verdict}, {seconds:.2f} s")
    print(
        f"{len(table)} answers: {counts['taken']} of {counts['wrong']} lies taken,"
        f" {counts['refused']} of {counts['right']} right ones refused, {counts['slow']} over a second"
    )
    bad = counts["taken"] or counts["slow"] or counts["refused"] * 100 >= max(counts["right"], 1)
    sys.exit(1 if bad else 0)


main()
