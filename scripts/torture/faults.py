"""What a machine does to a program: calls that fail, disks that are full, files that are damaged, power that goes."""

import os
import re
import shutil
import subprocess

from commands import copy, remove

# Calls that a fault is put into; a rename has several names.
CALLS = ("/^rename", "fsync", "fdatasync", "ftruncate")
ACTS = ("signal=KILL", "error=EIO", "error=ENOSPC")


def trace(torture, args, calls, *more):
    """A call under strace: its status, and the lines of what it called."""
    log = torture.work / "strace.log"
    before = ["strace", "-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={calls}", *more]
    status, messages = torture.call(args, before=before)
    return status, messages, whole_lines(log.read_text(errors="replace"))


def whole_lines(text):
    """The calls in the order of their ends: two threads' calls may cross."""
    begun, lines = {}, []
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            lines.append(begun.pop(thread, "") + resumed[1])
        else:
            lines.append(rest)
    # Killed in the middle.
    return lines + list(begun.values())


def has_strace(torture):
    if not shutil.which("strace"):
        torture.left_out.append("faults and their order (no strace)")
        return False
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        torture.left_out.append("faults and their order (strace may not trace here)")
        return False
    return True


def in_order(torture, name, args, at):
    """No power cut may lose what was announced: contents come to the disk before the name, and the name before the end.
    A checkpoint comes after the log that it counts."""
    status, messages, lines = trace(torture, args, "/^rename,fsync,fdatasync,ftruncate,write,pwrite64,writev")
    if status != 0:
        torture.fail(f"{name}: under strace: status {status}: {messages[-300:]}")
        return
    before = len(torture.failures)
    mine = str(at.parent / at.name.split(".")[0])
    dirty, folders, renames = set(), set(), 0
    for line in lines:
        call = re.match(r"(\w+)\((.*)", line)
        if not call or not re.search(r"\) += \d", line):
            continue
        path = re.match(r"\d+<([^>]*)>", call[2])
        if call[1].startswith("rename"):
            source, target = re.findall(r'"([^"]*)"', call[2])[:2]
            if not target.startswith(str(at.parent)):
                continue
            renames += 1
            below = [path for path in dirty if path == source or path.startswith(source + "/")]
            if below:
                torture.fail(f"{name}: {target} is renamed before its contents are synced: {below}")
            log = os.path.dirname(target) + "/events.jsonl"
            if target.endswith("/state.safetensors") and log in dirty:
                torture.fail(f"{name}: the checkpoint {target} is there before the log that it counts")
            dirty = {path.replace(source, target, 1) if path in below else path for path in dirty}
            folders.add(os.path.dirname(target))
        elif path and path[1].startswith(str(at.parent)):
            if call[1] in ("fsync", "fdatasync"):
                dirty.discard(path[1])
                folders.discard(path[1])
            else:
                dirty.add(path[1])
    left = sorted(path for path in dirty | folders if path.startswith(mine) or path == str(at.parent))
    # The log's last lines belong to no checkpoint.
    left = [path for path in left if not path.endswith("/events.jsonl")]
    if left or not renames:
        torture.fail(f"{name}: {renames} renames; not synced at the end: {left}")
    if len(torture.failures) == before:
        print(f"{name}: {renames} renames in order", flush=True)


def spread(total, count):
    """At most `count` of the first `total` numbers, from the first to the last."""
    if total <= count:
        return list(range(1, total + 1))
    return sorted({1 + round(step * (total - 1) / max(count - 1, 1)) for step in range(count)})


def faulty(torture, name, count, prepare, args, check):
    """A fault at each rename, sync and cut of the command `args`, after which `check` must find nothing lost."""
    begun = torture.counts["faults"]
    prepare()
    _, _, lines = trace(torture, args(), ",".join(CALLS))
    for call in CALLS:
        total = sum(bool(re.match(call.removeprefix("/^"), line)) for line in lines)
        for act in ACTS:
            for place in spread(total, count):
                prepare()
                status, messages, done = trace(torture, args(), call, "-e", f"inject={call}:{act}:when={place}")
                hit = [line for line in done if "INJECTED" in line] or ([done[-1]] if status in (-9, 137) and done else [])
                if not hit:
                    continue
                torture.counts["faults"] += 1
                what = f"{name}: {act} at {call} {place} ({hit[0][:160]})"
                if status is None or "panicked" in messages:
                    torture.fail(f"{what}: {messages[-300:]}")
                if status == 0 and str(torture.work) in hit[0] and "/cache/" not in hit[0]:
                    torture.fail(f"{what}: passed over in silence")
                check(status, what)
    made = torture.counts["faults"] - begun
    if not made:
        torture.fail(f"{name}: no fault was hit")
    print(f"{name}: {made} faults at renames, syncs and cuts", flush=True)


def faults_of_run(torture, run, count):
    """Faults in the end of a run; without them it then ends as it should."""
    source, at = torture.work / f"{run.name}-late", torture.work / f"{run.name}-faulty"
    want = run.end(torture.work / f"{run.name}-whole")

    def check(status, what):
        status, messages = (0, "") if status == 0 else torture.call(run.go_on(at))
        if status != 0 or run.end(at) != want:
            torture.fail(f"{what}, then: status {status}: {messages[-300:]}")

    faulty(torture, run.name, count, lambda: copy(source, at), lambda: run.go_on(at), check)


def faults_of_output(torture, output, count, wholes):
    """Faults while the second version takes the place of the first."""
    source, at = output.place(torture.work, "v0"), output.place(torture.work, "faulty")
    end = lambda: output.end(at)

    def check(status, what):
        if status == 0 and end() != wholes[1]:
            torture.fail(f"{what}: done, but other bytes")
        expect_whole(torture, output, at, wholes, what)

    faulty(torture, output.name, count, lambda: copy(source, at), lambda: output.make(at, 1), check)


def expect_whole(torture, output, at, wholes, what):
    """Fails where neither the old nor the new version is there: `train` alone may have taken the weights away, when the
    checkpoint of the new ones is whole."""
    found = output.end(at)
    between = output.name.startswith("train") and found[output.files[0]] is None and (at / "state.safetensors").exists()
    if found not in wholes and not between:
        torture.fail(f"{what}: neither old nor new: {found}")


def on_small_disk(torture, at, size):
    """Mounts a disk of `size` bytes at `at`; whether that is possible here."""
    at.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], capture_output=True)
    if mounted.returncode != 0:
        torture.left_out.append("full disks (no right to mount)")
    return mounted.returncode == 0


def said_full(torture, what, status, messages):
    torture.counts["full disks"] += 1
    if status != 1 or "space" not in messages or "panicked" in messages:
        torture.fail(f"{what}: does not say that the disk is full: status {status}: {messages[-300:]}")


def full_disk_of_run(torture, run, count):
    """A disk that is full at some point of the run, then is not."""
    disk, whole = torture.work / "disk", torture.work / f"{run.name}-whole"
    want = run.end(whole)
    files = [path for path in (whole.rglob("*") if whole.is_dir() else [whole]) if path.is_file()]
    needed = sum((path.stat().st_size + 4095) // 4096 * 4096 for path in files)
    fulls = 0
    for part in range(count):
        # What is written for a moment only takes space too, so that even the last may be too small.
        size = max(4096, int(needed * (part + 0.5) / count))
        if not on_small_disk(torture, disk, size):
            return
        try:
            at, what = disk / "run", f"{run.name}: disk of {size} bytes"
            status, messages = torture.call(run.begin(at))
            if status != 0:
                fulls += 1
                said_full(torture, what, status, messages)
                subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
                status, messages = torture.call(run.go_on(at))
            if status != 0 or run.end(at) != want:
                torture.fail(f"{what}, then: status {status}, other bits or {messages[-300:]}")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    if not fulls:
        torture.fail(f"{run.name}: no disk was full")
    print(f"{run.name}: {fulls} full disks", flush=True)


def full_disk_of_output(torture, output, count, wholes):
    """The new version does not fit beside the old one."""
    disk, source = torture.work / "disk", output.place(torture.work, "v0")
    fulls = 0
    for part in range(count):
        if not on_small_disk(torture, disk, "64m"):
            return
        try:
            at, what = disk / f"out{output.file_end}", f"{output.name}: full disk {part}"
            copy(source, at)
            used = lambda: (lambda at: (at.f_blocks - at.f_bavail) * at.f_bsize)(os.statvfs(disk))
            old = used()
            subprocess.run(["mount", "-o", f"remount,size={old + int(old * (part + 0.1) / count)}", str(disk)], check=True)
            status, messages = torture.call(output.make(at, 1))
            if status != 0:
                fulls += 1
                said_full(torture, what, status, messages)
                expect_whole(torture, output, at, wholes, what)
                subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
                status, messages = torture.call(output.make(at, 1))
            if status != 0 or output.end(at) != wholes[1]:
                torture.fail(f"{what}, then: status {status}, other bytes or {messages[-300:]}")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    if not fulls:
        torture.fail(f"{output.name}: no disk was full")
    print(f"{output.name}: {fulls} full disks", flush=True)


def damaged(torture, run):
    """Each file cut, flipped and missing: the run ends with the same bits all the same, since the checkpoint before the last
    is there. Where no checkpoint is whole it is refused in words, and what was learnt stays."""
    source, at = torture.work / f"{run.name}-late", torture.work / f"{run.name}-damaged"
    want = run.end(torture.work / f"{run.name}-whole")
    mended = refused = 0

    def go_on(what):
        before = run.end(at)
        status, messages = torture.call(run.resume(at))
        torture.counts["damaged files"] += 1
        same, words = run.end(at) == want, "; " in messages and "panicked" not in messages
        if status == 0 and not same:
            torture.fail(f"{what}: other bits, and no word")
        elif status not in (0, 1, 2) or status != 0 and not (words and run.end(at) == before):
            torture.fail(f"{what}: status {status}: {messages[-300:]}")
        return status

    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
    for path in files:
        name, data = path.relative_to(source), path.read_bytes()
        kinds = [("missing", None), ("empty", b""), ("cut", data[: len(data) // 2]), ("longer", data + b'{"type":"ste')]
        # One in what comes first, such as a header, and two anywhere.
        for place in [torture.random.randrange(min(len(data), 64)), *(torture.random.randrange(len(data)) for _ in range(2))]:
            other = bytes([data[place] ^ (1 << torture.random.randrange(8))])
            kinds.append((f"flipped at {place}", data[:place] + other + data[place + 1 :]))
        for kind, contents in kinds:
            copy(source, at)
            (at / name).unlink() if contents is None else (at / name).write_bytes(contents)
            if go_on(f"{run.name}: {name} {kind}") == 0:
                mended += 1
            else:
                torture.fail(f"{run.name}: {name} {kind}: stops a run that could go on")
    for kind in ("cut", "missing"):
        copy(source, at)
        for state in at.glob("state*.safetensors"):
            state.unlink() if kind == "missing" else os.truncate(state, state.stat().st_size // 2)
        if go_on(f"{run.name}: all checkpoints {kind}") == 0:
            torture.fail(f"{run.name}: all checkpoints {kind}: goes on from nothing")
        refused += 1
    print(f"{run.name}: {mended} damaged folders went on to the same bits, {refused} were refused in words", flush=True)
