#!/usr/bin/env python3
"""Kills the program at random moments, fails its system calls, fills its disk and damages its files; then lets it go on.

    scripts/torture/killed.py target/release/stepladder [--ladder 100] [--others 15] [--faults 15] [--seed 1] [--only NAME,...]

Every run that goes on must end with the bits of one that was never touched; where something is replaced, the old or the new is
there, whole. What is damaged beyond repair must be refused in words. Prints a line for each kind and, at the end, one of
figures; the exit status is 0 only if nothing was lost. Faults need `strace`, full disks the right to mount a tmpfs: without
them those parts are left out, and the last line says so. Only Python's standard library is needed.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

import faults
from commands import LIMIT, Torture, copy, has_state, names, outputs, remove, runs
from downloads import download

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
# So many seconds after its start a program has long begun to listen to signals, on a busy machine too.
LISTENS = 3


def reference(torture, run):
    """A run that is never touched, and how long it takes."""
    at = torture.work / f"{run.name}-whole"
    run.fresh(at)
    began = time.time()
    status, messages = torture.call(run.begin(at))
    if status != 0 or not run.end(at) or not all(run.end(at).values()):
        sys.exit(f"{run.name} does not run at all: status {status}: {messages}")
    return at, time.time() - began


def killed(torture, run, count, whole, seconds):
    """`count` kills, as many runs as that takes; each run ends as the one that was never touched."""
    kills = done = saved = 0
    want = run.end(whole)
    at = torture.work / f"{run.name}-killed"
    while kills < count:
        run.fresh(at)
        while True:
            number = SIGNALS[kills % len(SIGNALS)]
            # From the first moment to more than a step; later ones let a run come further.
            wait = torture.random.uniform(0.02, seconds * torture.random.choice([0.2, 0.5, 1.0]))
            status, messages, signalled = torture.stop(run.go_on(at), wait if kills < count else LIMIT, number)
            if status == 0:
                break
            if not signalled:
                torture.fail(f"{run.name}: after {kills} kills: status {status}: {messages[-300:]}")
                return
            kills += 1
            saved += has_state(at)
            # It may be killed when all is done but for its end.
            if not run.begun(at) and run.end(at) == want:
                break
            if number == signal.SIGKILL:
                continue
            if status != 130 and not (status == -number and wait < LISTENS):
                torture.fail(f"{run.name}: {number.name}: status {status}: {messages[-300:]}")
            # Until a model is loaded there is nothing to save, and it leaves at once.
            waits = status == 130 and "safe point" in messages and run.begun(at)
            if waits and "go on" not in messages and "goes on" not in messages:
                torture.fail(f"{run.name}: {number.name} does not say how to go on: {messages[-300:]}")
            if "--resume" in messages and not has_state(at):
                torture.fail(f"{run.name}: {number.name} leaves no checkpoint: {messages[-300:]}")
        done += 1
        if run.end(at) != want:
            torture.fail(f"{run.name}: other bits after {kills} kills")
        left = set(names(at)) - set(names(whole))
        if left:
            torture.fail(f"{run.name}: left behind: {sorted(left)}")
    checkpoints = f", {saved} of them with a checkpoint" if saved else ""
    print(f"{run.name}: {kills} kills in {done} runs{checkpoints}", flush=True)


def late(torture, run):
    """A run that was killed near its end, with a checkpoint and the one before it."""
    at = torture.work / f"{run.name}-late"
    both = [at / f"{name}.safetensors" for name in ("state", "state.previous")]
    for _ in range(10):
        remove(at)
        if torture.kill_once(run.begin(at), both) and all(path.exists() for path in both):
            return
    sys.exit(f"{run.name} comes to no checkpoint")


def versions(torture, output):
    """Both versions of an output, whole: the end of each, and the time that one takes."""
    wholes, seconds = [], []
    for version in (0, 1):
        at, began = output.place(torture.work, f"v{version}"), time.time()
        status, messages = torture.call(output.make(at, version))
        seconds.append(time.time() - began)
        wholes.append(output.end(at))
        if status != 0 or not all(wholes[-1].values()):
            sys.exit(f"{output.name} does not run at all: status {status}: {messages}")
    if wholes[0] == wholes[1]:
        sys.exit(f"{output.name}: two versions are the same, so that nothing would be seen")
    return wholes, min(seconds)


def replaced(torture, output, count, wholes, seconds):
    """Kills while one version takes the place of the other: there is the one or the other, whole."""
    at = output.place(torture.work, "killed")
    copy(output.place(torture.work, "v0"), at)
    kills = turns = 0
    # What is too fast for one kill is given up.
    while kills < count and turns < 5 * count:
        number, version = SIGNALS[turns % len(SIGNALS)], (turns + 1) % 2
        turns += 1
        # All is written at the end.
        wait = seconds * torture.random.choice([torture.random.uniform(0.01, 1), torture.random.uniform(0.7, 1.05)])
        status, messages, _ = torture.stop(output.make(at, version), wait, number)
        what = f"{output.name}: {number.name} {turns}"
        if status not in (0, 130, -number) or "panicked" in messages:
            torture.fail(f"{what}: status {status}: {messages[-300:]}")
        if status == 0 and output.end(at) != wholes[version]:
            torture.fail(f"{what}: done, but other bytes")
        kills += status != 0
        faults.expect_whole(torture, output, at, wholes, what)
    status, messages = torture.call(output.make(at, 1))
    if status != 0 or output.end(at) != wholes[1]:
        torture.fail(f"{output.name}: leftovers are in the way: status {status}: {messages[-300:]}")
    left = set(names(at)) - set(names(output.place(torture.work, "v1")))
    if left:
        torture.fail(f"{output.name}: left behind: {sorted(left)}")
    if not kills:
        torture.fail(f"{output.name}: every signal came too late")
    print(f"{output.name}: {kills} kills in {turns} runs", flush=True)


def try_run(torture, run, args):
    whole, seconds = reference(torture, run)
    killed(torture, run, args.ladder if run.name == "ladder" else args.others, whole, seconds)
    if run.name in ("learn", "consolidate"):
        # A library's files are written by the functions that the faults of the others try.
        return
    if run.name in ("ladder", "train"):
        late(torture, run)
        faults.damaged(torture, run)
    if args.faults and run.name != "study" and faults.has_strace(torture):
        # Where there is no half of a run to begin from, each costs a whole one.
        few = args.faults if run.name != "ttrl" else min(args.faults, 3)
        faults.faults_of_run(torture, run, few)
    if args.faults and faults.has_strace(torture):
        at = torture.work / f"{run.name}-ordered"
        faults.in_order(torture, run.name, run.begin(at), at)
    if args.faults:
        faults.full_disk_of_run(torture, run, 3 if run.name == "study" else 5)


def try_outputs(torture, args):
    adapters, train, all_outputs = outputs(torture.work)
    for version, at in enumerate(adapters):
        status, messages = torture.call(train(at, version))
        if status != 0:
            sys.exit(f"train does not run at all: {messages}")
    for output in all_outputs:
        wholes, seconds = versions(torture, output)
        replaced(torture, output, args.others, wholes, seconds)
        if args.faults and faults.has_strace(torture):
            faults.faults_of_output(torture, output, args.faults, wholes)
            at = output.place(torture.work, "ordered")
            faults.in_order(torture, output.name, output.make(at, 1), at)
        if args.faults:
            faults.full_disk_of_output(torture, output, 4, wholes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--ladder", type=int, default=100, help="kills of ladder")
    parser.add_argument("--others", type=int, default=15, help="kills of each other command")
    parser.add_argument("--faults", type=int, default=15, help="faults of each kind of system call; 0 for no faults and full disks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="download,ladder,train,ttrl,study,learn,consolidate,once", help="of these, those; consolidate needs learn")
    args = parser.parse_args()
    only = args.only.split(",")
    with tempfile.TemporaryDirectory(prefix="stepladder-torture-") as work:
        torture = Torture(str(args.program.resolve()), Path(work), args.seed)
        stopped = ""
        try:
            for run in [download(), *runs(torture.work)]:
                if run.name in only:
                    try_run(torture, run, args)
            if "once" in only:
                try_outputs(torture, args)
        except KeyboardInterrupt:
            stopped = "; stopped before the end"
    figures = ", ".join(f"{count} {what}" for what, count in torture.counts.items())
    left_out = f"; left out: {', '.join(sorted(set(torture.left_out)))}" if torture.left_out else ""
    print(f"killed: {figures}; {len(torture.failures)} failures{left_out}{stopped}")
    sys.exit(bool(torture.failures or stopped))


if __name__ == "__main__":
    main()
