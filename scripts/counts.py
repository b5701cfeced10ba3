#!/usr/bin/env python3
"""How often the code says the same: counts over the sources of commits, beside each other.

scripts/counts.py [COMMIT ...]      without one: the commit at hand; every figure leaves tests and comments out, but for comments' own
"""
import re
import subprocess
import sys
from collections import defaultdict


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def sources(commit):
    """Path and text of each source file: Rust, shaders, and the package's TypeScript that is not generated."""
    paths = git("ls-tree", "-r", "--name-only", commit, "src", "shaders", "web/src").split("\n")
    wanted = [path for path in paths if re.search(r"\.(rs|wgsl|ts)$", path) and not re.search(r"events\.ts$|tests?(/|\.rs$)|typescript\.rs$", path)]
    return {path: git("show", f"{commit}:{path}") for path in wanted}


def code(text):
    """Without the tests at the end of a file, and without comments."""
    text = re.split(r"^#\[cfg\(test\)\]\n(?:#\[.*\]\n)*mod \w+ \{", text, maxsplit=1, flags=re.M)[0]
    return re.sub(r"(^|\s)//.*", "", text)


def module(path):
    """The name of a file's module, from the root of the crate."""
    return re.sub(r"^src/|/mod\.rs$|\.rs$", "", path).split("/")


def arrows(codes):
    """The Rust files that each Rust file names; a folder's own file and those in it are one house, and left out."""
    homes = {tuple(module(path)): path for path in codes if path.endswith(".rs")}
    out = defaultdict(set)
    for home, path in homes.items():
        text = re.sub(r"\s+", " ", codes[path])
        for start, names in re.findall(r"\b(crate|super)((?:::\w+|::super)+(?:::\{[^;{}]*\})?)", text):
            listed = re.search(r"\{(.*)\}", names)
            steps = [step for step in re.sub(r"\{.*", "", names).split("::") if step]
            for last in (re.split(r"\s*,\s*", listed.group(1)) if listed else [""]):
                at = list(home)[:-1] if start == "super" else []
                for step in steps + [step for step in last.split("::") if step]:
                    at = at[:-1] if step == "super" else at + [step]
                while at and tuple(at) not in homes:
                    at.pop()
                other = tuple(at)
                kin = other[: len(home)] == home or home[: len(other)] == other
                if at and not kin and other[0] == home[0]:
                    out[path].add(homes[other])
    return out


def circles(graph):
    """Groups of files in a layer that name each other in the end."""
    def reached(start):
        seen, todo = set(), [start]
        while todo:
            for other in graph.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    reach = {path: reached(path) for path in list(graph)}
    return {frozenset(other for other in reach[path] if path in reach.get(other, ())) for path in reach if path in reach[path]}


def places(codes, pattern, inside=""):
    """Lines and files with `pattern`."""
    found = [(path, len(re.findall(rf"^.*(?:{pattern}).*$", text, re.M))) for path, text in codes.items() if re.match(inside, path)]
    found = [count for _, count in found if count]
    return f"{sum(found)} in {len(found)}"


def counts(commit):
    texts = sources(commit)
    codes = {path: code(text) for path, text in texts.items()}
    rust = {path: text for path, text in codes.items() if path.endswith(".rs")}
    library = {path: text for path, text in rust.items() if not re.match(r"src/(cli|main)", path)}
    types = defaultdict(set)
    for path, text in rust.items():
        for name in re.findall(r"^\s*(?:pub(?:\([\w ]+\))? )?(?:struct|enum|trait|type) (\w+)", text, re.M):
            if name != "Args":
                types[name].add(path)
    comments = "\n".join(texts.values())
    first = r"(?:^|\n)(?![^\n]*//)[^\n]*\n\s*//[/!]? (?:The same|Of|As|Those|Likewise)\b"
    groups = circles(arrows(rust))
    presets = {path: len(re.findall(r"\bpaper\b", text, re.I)) for path, text in codes.items() if re.search(r"\bpaper\b", text, re.I)}
    return {
        "lines of the sources": sum(text.count("\n") for text in texts.values()),
        "lines that state `learning_rate` as an option, a field, a row or a value":
            places(codes, r"learning_rate: |\"learning_rate\"|\"learning-rate\"|learningRate\??:|learning_rate = ", r"src/(cli|wasm|ladder|settings)|web/"),
        "places in files that name the preset `paper`": f"{sum(presets.values())} in {len(presets)}",
        "texts with options of the command line below `cli`": places(library, r"\"[^\"\n]*(?<![\w-])--[a-z][^\"\n]*\""),
        "lines in files that name the format q8x2": places(codes, r"[qQ]8[xX]2"),
        "functions `first` and `bytes` of buffers": places({p: t for p, t in rust.items() if re.match("src/(model|train)", p)}, r"fn (?:first|bytes)\("),
        "type names that are declared in several files": sum(len(paths) > 1 for paths in types.values()),
        "circles of files in a layer (files in them)": f"{len(groups)} ({sum(map(len, groups))})",
        "types that hold a rollout": sum(name in types for name in ["SampleRequest", "Sample", "Episode", "JudgedSample", "Completion", "Trajectory", "Request"]),
        "comments that begin with The same, Of, As, Those or Likewise": len(re.findall(first, comments)),
        "comments with `but for`, `that there are` or `in other clothes`": len(re.findall(r"//[^\n]*\b(?:but for|that there are|in other clothes)\b", comments)),
    }


def main():
    commits = sys.argv[1:] or ["HEAD"]
    columns = [counts(commit) for commit in commits]
    print("| what | " + " | ".join(commits) + " |\n|---|" + "---|" * len(commits))
    for what in columns[0]:
        print(f"| {what} | " + " | ".join(str(column[what]) for column in columns) + " |")


if __name__ == "__main__":
    main()
