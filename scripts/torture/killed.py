#!/usr/bin/env python3
"""Kills the program at random moments, fills its disk, fails its system calls and damages its files; then lets it go on.

    scripts/torture/killed.py target/release/stepladder [--ladder 100] [--others 15] [--faults 15] [--seed 1] [--only NAME,...]

Every run that goes on must end with the bits of one that was never touched; whatever it was killed at, an adapter that was
there before is whole. What is damaged beyond repair must be refused in words. Prints a line for each kind and, at the end,
one of figures; the exit status is 0 only if nothing was lost. Faults need `strace`, full disks the right to mount a tmpfs:
without them those parts are left out, and the last line says so. Only Python's standard library is needed.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
TINY = TREE / "models" / "tiny"
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
# A call may take so many seconds, a stopped one so many to leave.
LIMIT, LEAVE = 600, 60


class Torture:
    def __init__(self, program, work, seed):
        self.program, self.work = program, work
        self.random = random.Random(seed)
        self.counts = {"kills": 0, "faults": 0, "full disks": 0, "damaged files": 0}
        self.failures, self.left_out = [], []

    def call(self, args, limit=LIMIT):
        env = dict(os.environ, RUST_BACKTRACE="0", XDG_RUNTIME_DIR=str(self.work))
        try:
            done = subprocess.run([self.program, *args], capture_output=True, timeout=limit, env=env)
        except subprocess.TimeoutExpired:
            return None, "hangs"
        return done.returncode, done.stderr.decode(errors="replace")

    def stop(self, args, after, number):
        """Starts a call and sends it a signal; its status, and its messages. None if it ended before."""
        env = dict(os.environ, RUST_BACKTRACE="0", XDG_RUNTIME_DIR=str(self.work))
        child = subprocess.Popen(
            [self.program, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env
        )
        try:
            _, messages = child.communicate(timeout=after)
            return child.returncode, messages.decode(errors="replace"), False
        except subprocess.TimeoutExpired:
            child.send_signal(number)
        try:
            _, messages = child.communicate(timeout=LEAVE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return None, f"does not leave within {LEAVE} s of {number.name}", True
        return child.returncode, messages.decode(errors="replace"), True

    def fail(self, what):
        self.failures.append(what)
        print(f"  FAILED {what}", flush=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


class Command:
    """A command that goes on: how it begins and resumes, and what must come out the same."""

    def __init__(self, name, begin, resume, ends, begun):
        self.name, self.begin, self.resume, self.ends, self.begun = name, begin, resume, ends, begun


def commands(work):
    """The commands that go on after a kill, each as a function of where it writes."""
    problems = work / "problems.jsonl"
    problems.write_text("".join(open(TINY / "problems_train.jsonl").readlines()[:8]))
    questions = work / "questions.jsonl"
    questions.write_text("".join(open(TINY / "problems_solved.jsonl").readlines()[:6]))
    data = work / "data.jsonl"
    data.write_text("".join(f'{{"prompt": "?{n}*x=", "completion": "{n}*x^2/2"}}\n' for n in range(2, 60)))
    small = "--group-size 4 --prompts-per-step 2 --max-tokens 24"
    tree = "--set variants.initial_levels=1 --set variants.per_node=2 --set variants.parents_per_level=2"
    ladder = (
        f"ladder -m tiny --task integral --preset tiny --problems {problems} --steps 17 --seed 5 {small} {tree}"
        " --set checkpoint_every=1 --output"
    ).split()
    train = f"train -m tiny --data {data} --steps 60 --batch-size 4 --checkpoint-every 5 --seed 3 --output".split()
    ttrl = (
        f"ttrl -m tiny --task integral --problems {questions} --preset tiny --steps 1 --votes 4 {small} --seed 3 --output"
    ).split()
    study = work / "small.toml"
    study.write_text(
        f'name = "small"\nquestion = "?"\nmodel = "tiny"\ntask = "integral"\nproblems = "{problems}"\n'
        f'held_out = "{questions}"\npreset = "tiny"\nseeds = [1, 2]\ntoken_budget = 900\nsamples = 2\nhard_levels = [6]\n'
        'easy_levels = [1]\nreference = "ladder"\n[settings]\nprompts_per_step = 4\ncheckpoint_every = 1\n'
        '"variants.per_node" = 2\n"evaluation.samples" = 1\n'
        '[[arm]]\nname = "base"\nlabel = "base"\nkind = "evaluate"\n'
        '[[arm]]\nname = "ladder"\nlabel = "LADDER"\nkind = "train"\n'
    )
    adapter = ["adapter_model.safetensors", "adapter_config.json"]
    has_state = lambda at: any((at / name).exists() for name in ("state.safetensors", "state.previous.safetensors"))
    return [
        Command(
            "ladder",
            lambda at: [*ladder, str(at)],
            lambda at: ["ladder", "--output", str(at), "--resume"],
            [f"adapter/{name}" for name in adapter] + ["tree.jsonl"],
            lambda at: has_state(at) or (at / "events.jsonl").exists() and (at / "events.jsonl").stat().st_size > 0,
        ),
        Command(
            "train",
            lambda at: [*train, str(at)],
            lambda at: ["train", "--output", str(at), "--resume"],
            adapter,
            has_state,
        ),
        Command("ttrl", lambda at: [*ttrl, str(at)], lambda at: [*ttrl, str(at)], [""], lambda at: at.exists()),
        Command(
            "study",
            lambda at: ["study", str(study), "--output", str(at)],
            lambda at: ["study", str(study), "--output", str(at)],
            [f"ladder-seed{seed}/run/{name}" for seed in (1, 2) for name in ("adapter/adapter_model.safetensors", "tree.jsonl")],
            lambda at: at.exists(),
        ),
    ]


def ends(command, at):
    return {name: digest(at / name if name else at) for name in command.ends}


def remove(at):
    if at.is_dir():
        shutil.rmtree(at)
    elif at.exists():
        at.unlink()


def reference(torture, command):
    """A run that is never touched, and how long it takes."""
    at = torture.work / f"{command.name}-whole"
    began = time.time()
    status, messages = torture.call(command.begin(at))
    if status != 0:
        sys.exit(f"{command.name} does not run at all: {messages}")
    return at, time.time() - began


def killed(torture, command, count, whole, seconds):
    """`count` kills, as many runs as that takes; each run ends as the one that was never touched."""
    kills = runs = 0
    want = ends(command, whole)
    at = torture.work / f"{command.name}-killed"
    while kills < count:
        remove(at)
        runs += 1
        for turn in range(1000):
            # It may have been done when the signal came.
            if not command.begun(at) and all(ends(command, at).values()):
                break
            args = command.resume(at) if command.begun(at) else command.begin(at)
            number = SIGNALS[kills % len(SIGNALS)]
            # From the first moment to more than a step; later ones let a run come further.
            wait = torture.random.uniform(0.02, seconds * torture.random.choice([0.2, 0.5, 1.0]))
            status, messages, signalled = torture.stop(args, wait if kills < count else LIMIT, number)
            if status == 0:
                kills += signalled
                break
            if not signalled:
                torture.fail(f"{command.name}: after {kills} kills: status {status}: {messages[-300:]}")
                return
            kills += 1
            torture.counts["kills"] += 1
            # A signal may find it before it listens, or when all is done.
            if number != signal.SIGKILL and status not in (130, 0, -number):
                torture.fail(f"{command.name}: {number.name}: status {status}: {messages[-300:]}")
            if status == 130 and command.begun(at) and "go on" not in messages and "goes on" not in messages:
                torture.fail(f"{command.name}: {number.name} does not say how to go on: {messages[-300:]}")
        if ends(command, at) != want:
            torture.fail(f"{command.name}: other bits after {kills} kills")
    print(f"{command.name}: {kills} kills in {runs} runs", flush=True)


def written_once(torture, count):
    """`export` and `examples`, killed: what was there stays, or the new is whole."""
    adapter = torture.work / "train-whole"
    makes = {
        "export": lambda at: ["export", "-m", "tiny", "--adapter", str(adapter), "--overwrite", "--output", str(at)],
        "export.gguf": lambda at: ["export", "-m", "tiny", "--adapter", str(adapter), "--overwrite", "--output", f"{at}.gguf"],
        "examples": lambda at: ["examples", "--task", "integral", "--count", "400", "--overwrite", "--output", str(at)],
        "train over an adapter": lambda at: [
            *f"train -m tiny --data {torture.work / 'data.jsonl'} --steps 8 --batch-size 2 --overwrite --output {at}".split()
        ],
    }
    for name, make in makes.items():
        at = torture.work / "once"
        place = Path(f"{at}.gguf") if name == "export.gguf" else at
        began = time.time()
        status, messages = torture.call(make(at))
        if status != 0:
            torture.fail(f"{name}: {messages[-300:]}")
            continue
        seconds = time.time() - began
        files = [path for path in ([place] if place.is_file() else sorted(place.iterdir())) if path.is_file()]
        whole = {path.name: digest(path) for path in files}
        for number in range(count):
            torture.stop(make(at), torture.random.uniform(0.005, seconds), SIGNALS[number % len(SIGNALS)])
            torture.counts["kills"] += 1
            found = {path: digest((place / path) if place.is_dir() else place) for path in whole}
            old = place.parent / f".{place.name}.stepladder-old"
            if found != whole and not (old.is_dir() and all(digest(old / path) == whole[path] for path in whole)):
                torture.fail(f"{name}: other bytes after {SIGNALS[number % len(SIGNALS)].name}: {found} {whole}")
        status, messages = torture.call(make(at))
        if status != 0:
            torture.fail(f"{name}: leftovers are in the way: {messages[-300:]}")
        remove(place)
        print(f"{name}: {count} kills", flush=True)


def faulty(torture, command, count):
    """A fault at each rename and each sync of a run that goes on; without the fault it then ends as it should."""
    if not shutil.which("strace"):
        torture.left_out.append("faults (no strace)")
        return
    source = torture.work / f"{command.name}-half"
    at = torture.work / f"{command.name}-faulty"
    want = ends(command, torture.work / f"{command.name}-whole")
    for call in ("rename", "fsync", "fdatasync", "ftruncate"):
        for act in ("signal=KILL", "error=EIO", "error=ENOSPC"):
            for place in range(1, count + 1):
                remove(at)
                shutil.copytree(source, at)
                trace = ["strace", "-f", "-q", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{act}:when={place}"]
                env = dict(os.environ, XDG_RUNTIME_DIR=str(torture.work))
                done = subprocess.run([*trace, torture.program, *command.resume(at)], capture_output=True, env=env)
                torture.counts["faults"] += 1
                status, messages = (0, "") if done.returncode == 0 else torture.call(command.resume(at))
                if status != 0 or ends(command, at) != want:
                    torture.fail(f"{command.name}: {call} {act} at {place}: status {status}: {messages[-300:]}")
                if done.returncode == 0:
                    break
    print(f"{command.name}: faults at renames and syncs", flush=True)


def full(torture, command):
    """A disk that is full at some point of the run, then is not."""
    at = torture.work / "disk"
    at.mkdir(exist_ok=True)
    want = ends(command, torture.work / f"{command.name}-whole")
    for size in ("200k", "700k", "1200k", "1900k", "2600k"):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], capture_output=True)
        if mounted.returncode != 0:
            torture.left_out.append("full disks (no right to mount)")
            return
        try:
            run = at / "run"
            status, _ = torture.call(command.begin(run))
            torture.counts["full disks"] += 1
            subprocess.run(["mount", "-o", "remount,size=64m", str(at)], check=True)
            if status != 0:
                args = command.resume(run) if command.begun(run) else command.begin(run)
                status, messages = torture.call(args)
                if status != 0:
                    torture.fail(f"{command.name}: disk of {size}: {messages[-300:]}")
                    continue
            if ends(command, run) != want:
                torture.fail(f"{command.name}: disk of {size}: other bits")
        finally:
            subprocess.run(["umount", str(at)], check=True)
    print(f"{command.name}: full disks", flush=True)


def damaged(torture, command):
    """Each file cut, flipped and missing: the run ends as it should, or is refused in words and the adapter stays."""
    source = torture.work / f"{command.name}-half"
    at = torture.work / f"{command.name}-damaged"
    want = ends(command, torture.work / f"{command.name}-whole")
    mended = refused = 0
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        name, data = path.relative_to(source), path.read_bytes()
        flips = [torture.random.randrange(len(data)) for _ in range(3)] if data else []
        kinds = [("missing", None), ("empty", b""), ("cut", data[: len(data) // 2]), ("longer", data + b'{"type":"ste')]
        kinds += [(f"flipped at {n}", data[:n] + bytes([data[n] ^ (1 << torture.random.randrange(8))]) + data[n + 1 :]) for n in flips]
        for kind, bytes_ in kinds:
            remove(at)
            shutil.copytree(source, at)
            (at / name).unlink() if bytes_ is None else (at / name).write_bytes(bytes_)
            before = ends(command, at)
            status, messages = torture.call(command.resume(at))
            torture.counts["damaged files"] += 1
            if status == 0 and ends(command, at) == want:
                mended += 1
            elif status in (1, 2) and "; " in messages and "panicked" not in messages and ends(command, at) == before:
                refused += 1
            else:
                torture.fail(f"{command.name}: {name} {kind}: status {status}: {messages[-300:]}")
    print(f"{command.name}: {mended} damaged folders went on to the same bits, {refused} were refused in words", flush=True)


def half(torture, command):
    """A run that was killed in its middle, with a checkpoint and the one before it."""
    at = torture.work / f"{command.name}-half"
    seconds = 0.2
    while True:
        remove(at)
        torture.stop(command.begin(at), seconds, signal.SIGKILL)
        if (at / "state.previous.safetensors").exists() and (at / "state.safetensors").exists():
            return
        if seconds > LIMIT or not any((at / name).exists() for name in command.ends) and seconds > 60:
            sys.exit(f"{command.name} comes to no checkpoint")
        seconds *= 1.3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--ladder", type=int, default=100, help="kills of ladder")
    parser.add_argument("--others", type=int, default=15, help="kills of each other command")
    parser.add_argument("--faults", type=int, default=15, help="faults of each kind of system call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="ladder, train, ttrl, study, once")
    args = parser.parse_args()
    only = args.only.split(",") if args.only else ["ladder", "train", "ttrl", "study", "once"]
    with tempfile.TemporaryDirectory(prefix="stepladder-torture-") as work:
        torture = Torture(str(args.program.resolve()), Path(work), args.seed)
        for command in commands(torture.work):
            needed = command.name == "train" and "once" in only
            if command.name not in only and not needed:
                continue
            whole, seconds = reference(torture, command)
            if command.name not in only:
                continue
            killed(torture, command, args.ladder if command.name == "ladder" else args.others, whole, seconds)
            if command.name in ("ladder", "train"):
                half(torture, command)
                damaged(torture, command)
                faulty(torture, command, args.faults)
            if command.name in ("ladder", "train", "ttrl"):
                full(torture, command)
        if "once" in only:
            written_once(torture, args.others)
    figures = ", ".join(f"{count} {what}" for what, count in torture.counts.items())
    left_out = f"; left out: {', '.join(sorted(set(torture.left_out)))}" if torture.left_out else ""
    print(f"killed: {figures}; {len(torture.failures)} failures{left_out}")
    sys.exit(bool(torture.failures))


if __name__ == "__main__":
    main()
