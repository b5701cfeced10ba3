"""What `killed.py` breaks: the commands that write, how each begins and goes on, and what must come out of it."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
TINY = TREE / "models" / "tiny"
# A call may take so many seconds, a stopped one so many to leave.
LIMIT, LEAVE = 600, 60


class Torture:
    """Calls the program, and counts what was done to it and what it did not survive."""

    def __init__(self, program, work, seed):
        self.program, self.work = program, work
        self.random = random.Random(seed)
        self.counts = {"kills": 0, "faults": 0, "full disks": 0, "damaged files": 0}
        self.failures, self.left_out = [], []

    def start(self, args, before=()):
        """Starts a call; those of `args` before the command that are NAME=VALUE are its environment. `before` goes in front
        of the program."""
        count = next(at for at, arg in enumerate(args) if "=" not in arg)
        # A cache of its own: kernels that are chosen anew while it runs could change the bits.
        own = {"RUST_BACKTRACE": "0", "XDG_RUNTIME_DIR": str(self.work), "STEPLADDER_CACHE": str(self.work / "cache")}
        own |= dict(arg.split("=", 1) for arg in args[:count])
        return subprocess.Popen(
            [*before, self.program, *args[count:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=os.environ | own,
        )

    def call(self, args, before=()):
        """Status and messages of a whole call."""
        child = self.start(args, before)
        try:
            _, messages = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return None, f"does not end within {LIMIT} s"
        return child.returncode, messages.decode(errors="replace")

    def stop(self, args, after, number):
        """Starts a call and sends it a signal; its status, its messages, and whether the signal came before it ended."""
        child = self.start(args)
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
        self.counts["kills"] += child.returncode != 0
        return child.returncode, messages.decode(errors="replace"), True

    def kill_once(self, args, there):
        """Starts a call and kills it once all of these files are there; whether it was still running then."""
        child = self.start(args)
        while child.poll() is None and not all(path.exists() for path in there):
            time.sleep(0.002)
        running = child.poll() is None
        child.kill()
        child.communicate()
        self.counts["kills"] += running
        return running

    def fail(self, what):
        self.failures.append(what)
        print(f"  FAILED {what}", flush=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def remove(at):
    """`at` with all that stands beside it under its name."""
    for path in [*at.parent.glob(f"{at.name}*"), *at.parent.glob(f".{at.name}*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy(source, at):
    remove(at)
    for path in source.parent.glob(f"{source.name}*"):
        to = at.with_name(at.name + path.name[len(source.name) :])
        shutil.copytree(path, to) if path.is_dir() else shutil.copy(path, to)


def names(at):
    """All names of `at` and beside it, so that what a killed process left shows. Locks are files that stay."""
    found = [path for top in (*at.parent.glob(f"{at.name}*"), *at.parent.glob(f".{at.name}*")) for path in (top, *top.rglob("*"))]
    short = (str(path.relative_to(at.parent)).replace(at.name, "AT") for path in found)
    return sorted(name for name in short if not name.endswith(".stepladder.lock"))


class Run:
    """A command that goes on after it was stopped, until it is done; its end has always the same bits."""

    def __init__(self, name, begin, resume, ends, begun, source=None):
        self.name, self.begin, self.resume, self.ends, self.begun = name, begin, resume, ends, begun
        # What stands there before it begins, if it changes something.
        self.source = source

    def fresh(self, at):
        remove(at)
        if self.source:
            copy(self.source, at)

    def go_on(self, at):
        return self.resume(at) if self.begun(at) else self.begin(at)

    def end(self, at):
        """Hashes of the files that count; a name may be a pattern."""
        found = {}
        for name in self.ends:
            paths = sorted(at.glob(name)) if "*" in name else [at / name if name else at]
            found |= {str(path.relative_to(at)): digest(path) for path in paths}
        return found


class Output:
    """A command that writes something once: in two versions, so that one takes the other's place."""

    def __init__(self, name, make, end, files):
        self.name, self.make, self.file_end, self.files = name, make, end, files

    def place(self, work, which):
        return work / f"{self.name.replace(' ', '-')}-{which}{self.file_end}"

    def end(self, at):
        """What is there, by name; the folder under which a killed process left the old one counts."""
        old = at.with_name(f".{at.name}.stepladder-old")
        top = old if not at.exists() and old.is_dir() else at
        return {name: digest(top / name if name else top) for name in self.files}


def has_state(at):
    """Whether there is a checkpoint, of a run or of a library's lesson."""
    return any(any(at.glob(f"{place}state{kind}.safetensors")) for place in ("", "lessons/*/") for kind in ("", ".previous"))


def write_inputs(work):
    """Problems, lines to train on, and a study."""
    problems, questions, data = work / "problems.jsonl", work / "questions.jsonl", work / "data.jsonl"
    pairs = "".join(f'{{"question": "{100 + 7 * n}?", "answer": "{100 + 397 * n * n % 900}"}}\n' for n in range(12))
    (work / "pairs.jsonl").write_text(pairs)
    problems.write_text("".join((TINY / "problems_train.jsonl").read_text().splitlines(keepends=True)[:8]))
    questions.write_text("".join((TINY / "problems_solved.jsonl").read_text().splitlines(keepends=True)[:6]))
    data.write_text("".join(f'{{"prompt": "?{n}*x=", "completion": "{n}*x^2/2"}}\n' for n in range(2, 60)))
    study = work / "small.toml"
    study.write_text(
        f'name = "small"\nquestion = "?"\nmodel = "tiny"\ntask = "integral"\nproblems = "{problems}"\n'
        f'held_out = "{questions}"\npreset = "tiny"\nseeds = [1, 2]\ntoken_budget = 900\nsamples = 2\nhard_levels = [5]\n'
        'easy_levels = [3]\nreference = "ladder"\n[settings]\nprompts_per_step = 4\ncheckpoint_every = 1\n'
        '"variants.per_node" = 2\n"evaluation.samples" = 1\n'
        '[[arm]]\nname = "base"\nlabel = "base"\nkind = "evaluate"\n'
        '[[arm]]\nname = "ladder"\nlabel = "LADDER"\nkind = "train"\n'
    )
    return problems, questions, data, study


ADAPTER = ["adapter_model.safetensors", "adapter_config.json"]


def runs(work):
    """The commands that go on."""
    problems, questions, data, study = write_inputs(work)
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
    logged = lambda at: (at / "events.jsonl").exists() and (at / "events.jsonl").stat().st_size > 0
    once = lambda head: lambda at: [*head, str(at)]
    noted = lambda at, entry: (at / "ledger.jsonl").exists() and f'"{entry}"' in (at / "ledger.jsonl").read_text()
    learn = lambda at: f"learn {at} -m tiny --pairs {work / 'pairs.jsonl'} --yes".split()
    consolidate = lambda at: ["consolidate", str(at)]
    heads = ["heads/*/adapter_model.safetensors", "heads/*/adapter_config.json"]
    return [
        Run(
            "ladder",
            once(ladder),
            lambda at: ["ladder", "--output", str(at), "--resume"],
            [f"adapter/{name}" for name in ADAPTER] + ["tree.jsonl"],
            lambda at: has_state(at) or logged(at),
        ),
        Run("train", once(train), lambda at: ["train", "--output", str(at), "--resume"], ADAPTER, has_state),
        Run("ttrl", once(ttrl), once(ttrl), [""], lambda at: at.exists()),
        Run(
            "study",
            lambda at: ["study", str(study), "--output", str(at)],
            lambda at: ["study", str(study), "--output", str(at)],
            [f"ladder-seed{seed}/run/{name}" for seed in (1, 2) for name in ("adapter/adapter_model.safetensors", "tree.jsonl")],
            lambda at: at.exists(),
        ),
        Run(
            "learn",
            learn,
            lambda at: ["learn", str(at), "--yes"],
            heads,
            lambda at: noted(at, "proposed") and not noted(at, "accepted"),
        ),
        Run("consolidate", consolidate, consolidate, heads, lambda at: True, work / "learn-whole"),
    ]


def outputs(work):
    """The commands that write once, each as a function of place and version."""
    data = work / "data.jsonl"
    adapters = [work / "once-adapter-0", work / "once-adapter-1"]
    train = lambda at, version: (
        f"train -m tiny --data {data} --steps 8 --batch-size 2 --seed {version} --overwrite --output {at}".split()
    )
    export = lambda at, version: (
        f"export -m tiny --adapter {adapters[version]} --overwrite --output {at}".split()
    )
    examples = lambda at, version: (
        f"examples --task integral --count 400 --seed {version} --overwrite --output {at}".split()
    )
    return adapters, train, [
        Output("export", export, "", ["model.safetensors", "config.json", "tokenizer.json"]),
        Output("export of an adapter", export, ".gguf", [""]),
        Output("examples", examples, ".jsonl", [""]),
        Output("train over an adapter", train, "", ADAPTER),
    ]
