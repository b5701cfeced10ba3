//! The shape of the repository, held to the truth: who may use whom, which files belong together, what the README says.
//!
//! Every rule is a function from a list of files to a list of violations, so that the tests below can also show, on
//! made-up files, that a violation is caught.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "layout/circles.rs"]
mod circles;
#[path = "layout/file_arrows.rs"]
mod file_arrows;
#[path = "layout/option_texts.rs"]
mod option_texts;
#[path = "layout/rust_tokens.rs"]
mod rust_tokens;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rust_tokens::tokens;

/// A text file of the repository: path with `/` from the top, and content.
type File = (String, String);

/// The layers of `src/`, each with those that it may name. `error`, `json` and `random` may be named by all.
/// The shells (`main.rs`, `cli`, `wasm.rs`) and `lib.rs` may name all and are named by none.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("json", &[]),
    ("random", &[]),
    ("gpu", &[]),
    ("kernel", &["gpu"]),
    ("model", &["gpu", "kernel"]),
    ("settings", &[]),
    ("train", &["gpu", "kernel", "model", "settings"]),
    ("task", &[]),
    ("ladder", &["gpu", "kernel", "model", "train", "task", "settings"]),
    ("lessons", &["gpu", "kernel", "model", "train", "task", "settings", "ladder"]),
    ("session", &["gpu", "kernel", "model", "train", "task", "settings", "ladder"]),
    ("serve", &["kernel", "model", "train", "settings", "ladder", "lessons", "session"]),
    ("swarm", &["train", "ladder", "session"]),
    ("bench", &["gpu", "kernel", "model", "train", "task"]),
];

/// The outermost modules: they may name every layer, and no layer may name them.
const SHELLS: &[&str] = &["main", "lib", "cli", "wasm"];

/// Crates that only some modules may name.
const GUARDED_CRATES: &[(&str, &[&str])] = &[
    ("wgpu", &["gpu"]),
    ("clap", &["main", "cli"]),
    ("indicatif", &["main", "cli"]),
    ("ctrlc", &["main", "cli"]),
    ("axum", &["serve"]),
    ("hyper", &["serve"]),
    ("hyper_util", &["serve"]),
    ("tokio", &["serve", "swarm"]),
    ("async_nats", &["swarm"]),
    ("signal_hook", &["main", "cli"]),
];

/// Lines after which a file wants a second look, by extension. A habit, not a rule.
const LONG: &[(&str, usize)] = &[("rs", 400), ("wgsl", 200), ("ts", 250)];

/// The module directly under the crate's root that `path` (`src/...`) belongs to.
fn module_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    path.ends_with(".rs").then(|| name.strip_suffix(".rs").unwrap_or(name))
}

/// Names that follow `crate::` (or a chain of `super::` that ends at the crate's root), groups opened, with lines.
fn names_from_root(path: &str, tokens: &[(usize, String)]) -> Vec<(usize, String)> {
    let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|(_, t)| t == text);
    let mut out = Vec::new();
    for i in 0..tokens.len() {
        let from_super =
            (0..depth).all(|k| is(i + 3 * k, "super") && is(i + 3 * k + 1, ":") && is(i + 3 * k + 2, ":"));
        let mut at = match () {
            () if is(i, "crate") && is(i + 1, ":") && is(i + 2, ":") => i + 3,
            () if depth > 0 && from_super => i + 3 * depth,
            () => continue,
        };
        if !is(at, "{") {
            out.extend(tokens.get(at).cloned());
            continue;
        }
        // `crate::{a::{b, c}, d}` names a and d: what stands at depth one behind a brace or a comma.
        let mut braces = 0;
        while at < tokens.len() {
            match tokens[at].1.as_str() {
                "{" => braces += 1,
                "}" => braces -= 1,
                _ if braces == 1 && (is(at - 1, "{") || is(at - 1, ",")) => out.push(tokens[at].clone()),
                _ => {}
            }
            if braces == 0 {
                break;
            }
            at += 1;
        }
    }
    out
}

// ------------------------------------------------------------------------------------------------------- rules

/// Arrows point down: a layer names only those listed for it, and guarded crates only where they belong.
fn arrows(files: &[File]) -> Vec<String> {
    let mut out = Vec::new();
    for (path, source) in files {
        let Some(module) = module_of(path) else { continue };
        let shell = SHELLS.contains(&module);
        let layer = LAYERS.iter().find(|(name, _)| *name == module);
        if layer.is_none() && !shell {
            out.push(format!("{path}: module `{module}` has no place in LAYERS of tests/layout.rs"));
            continue;
        }
        let tokens = tokens(source);
        for (line, name) in names_from_root(path, &tokens) {
            let known = LAYERS.iter().any(|(other, _)| *other == name) || SHELLS.contains(&name.as_str());
            let own = name == module || ["error", "json", "random"].contains(&name.as_str());
            let allowed = shell || layer.is_some_and(|(_, below)| below.contains(&name.as_str()));
            if known && !own && !allowed {
                out.push(format!("{path}:{line}: `{module}` must not use `crate::{name}`"));
            }
        }
        for (i, (line, name)) in tokens.iter().enumerate() {
            let Some((_, homes)) = GUARDED_CRATES.iter().find(|(guarded, _)| guarded == name) else {
                continue;
            };
            let text = |k: usize| tokens.get(k).map_or("", |(_, t)| t.as_str());
            let imported = i > 0 && matches!(text(i - 1), "use" | "crate");
            let path_start = text(i + 1) == ":" && text(i + 2) == ":" && (i == 0 || text(i - 1) != ".");
            if (imported || path_start) && !homes.contains(&module) {
                out.push(format!("{path}:{line}: only {} may name `{name}`", homes.join(" and ")));
            }
        }
    }
    out
}

/// One stem in three places: `shaders/x.wgsl`, `src/kernel/x.rs`, `tests/reference/x.rs`; `x` may lie in a folder.
fn stems(files: &[File]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|(p, _)| p == path).map(|(_, text)| text.as_str());
    let mut out = Vec::new();
    for (path, _) in files {
        if let Some(stem) = stem(path, "shaders/", ".wgsl") {
            for twin in [format!("src/kernel/{stem}.rs"), format!("tests/reference/{stem}.rs")] {
                if text(&twin).is_none() {
                    out.push(format!("{path}: there is no {twin}"));
                }
            }
        }
        if let Some(stem) =
            stem(path, "src/kernel/", ".rs").filter(|stem| stem.rsplit('/').next() != Some("mod"))
        {
            let shader = format!("shaders/{stem}.wgsl");
            let excused = head(text(path).unwrap_or("")).any(|line| line.contains("No shader of its own"));
            if text(&shader).is_none() && !excused {
                out.push(format!(
                    "{path}: there is no {shader}, and its head does not say `//! No shader of its own`"
                ));
            }
        }
    }
    out
}

/// `x` of a path `{folder}x{extension}`; what shaders include has none.
fn stem<'a>(path: &'a str, folder: &str, extension: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_suffix(extension).filter(|stem| !stem.starts_with("include/"))
}

/// The module documentation at the head of a file.
fn head(source: &str) -> impl Iterator<Item = &str> {
    source.lines().take_while(|line| line.starts_with("//!"))
}

/// The README's tree (the fenced block after `<!-- tree -->`) lists what is at the top and the folders of `src/`,
/// each with its purpose. `paths` are all files of the repository.
fn readme_tree(readme: &str, paths: &[String]) -> Vec<String> {
    let Some(block) = readme.split("<!-- tree -->").nth(1).and_then(|rest| rest.split("```").nth(1)) else {
        return vec!["README.md: no fenced block after `<!-- tree -->`".into()];
    };
    let mut out = Vec::new();
    let mut listed = BTreeSet::new();
    let mut parent = "";
    for line in block.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let (name, purpose) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if purpose.trim().is_empty() {
            out.push(format!("README.md: `{name}` has no purpose beside it"));
        }
        if line.starts_with(' ') {
            listed.insert(format!("{parent}{name}"));
        } else {
            parent = name;
            listed.insert(name.to_string());
        }
    }
    let entry = |path: &str, folder: &str| -> Option<String> {
        let rest = path.strip_prefix(folder)?;
        Some(match rest.split_once('/') {
            Some((first, _)) => format!("{folder}{first}/"),
            None => path.to_string(),
        })
    };
    let top: BTreeSet<String> =
        paths.iter().filter(|path| !path.starts_with('.')).filter_map(|path| entry(path, "")).collect();
    let inner: BTreeSet<String> = paths.iter().filter_map(|path| entry(path, "src/")).collect();
    let wanted: BTreeSet<String> =
        top.iter().chain(inner.iter().filter(|path| path.ends_with('/'))).cloned().collect();
    out.extend(wanted.difference(&listed).map(|path| format!("README.md: the tree lacks `{path}`")));
    let real = |path: &String| {
        top.contains(path) || paths.iter().any(|p| p == path || p.starts_with(&format!("{path}/")))
    };
    let false_entries = listed.difference(&wanted).filter(|path| path.ends_with('/') || !real(path));
    out.extend(false_entries.map(|path| format!("README.md: the tree lists `{path}`, which is not there")));
    out
}

/// Nothing unfinished and no path of somebody's own machine.
fn phrases(files: &[File]) -> Vec<String> {
    // Put together from pieces, so that this file does not hold them.
    let paths =
        [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("C:\\", "Users")];
    let calls = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ig", "nore")];
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut out = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            // A path counts where it starts, `https://host/x/` is none; a word counts alone.
            let starts = |at: usize| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
            };
            let alone = |at: usize, len: usize| {
                starts(at) && !line[at + len..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            };
            let found = paths.iter().filter(|p| line.match_indices(*p).any(|(at, _)| starts(at)));
            let found = found.chain(calls.iter().filter(|p| line.contains(*p)));
            let found = found
                .chain(words.iter().filter(|w| line.match_indices(*w).any(|(at, _)| alone(at, w.len()))));
            out.extend(found.map(|phrase| format!("{path}:{}: holds `{phrase}`", number + 1)));
        }
    }
    out
}

/// Files longer than is usual here.
fn long_files(files: &[File]) -> Vec<String> {
    let limit = |path: &str| {
        LONG.iter().find(|(extension, _)| path.rsplit('.').next() == Some(extension)).map(|(_, n)| *n)
    };
    let lines = files.iter().map(|(path, text)| (path, text.lines().count()));
    lines
        .filter(|(path, n)| limit(path).is_some_and(|most| *n > most))
        .map(|(path, n)| format!("{path}: {n} lines"))
        .collect()
}

// -------------------------------------------------------------------------------------------------- repository

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths of all files that git tracks and that are there.
fn tracked() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0').filter(|path| !path.is_empty() && top().join(path).exists()).map(String::from).collect()
}

/// The text files under `folders` (with `/` at the end) or of these names.
fn texts(folders: &[&str]) -> Vec<File> {
    const EXTENSIONS: &[&str] =
        &["rs", "wgsl", "ts", "js", "mjs", "html", "css", "sh", "py", "toml", "md", "yml"];
    let read = |path: String| {
        let name = path.rsplit('/').next()?;
        let text = EXTENSIONS.contains(&name.rsplit('.').next()?) || !name.contains('.');
        let wanted = text && folders.iter().any(|folder| path.starts_with(folder));
        wanted.then(|| (path.clone(), std::fs::read_to_string(top().join(&path)).unwrap()))
    };
    tracked().into_iter().filter_map(read).collect()
}

#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn arrows_point_down() {
    let files = texts(&["src/"]);
    assert!(files.len() > 5, "found only {} source files", files.len());
    assert_none(&arrows(&files));
}

#[test]
fn a_shader_its_kernel_and_its_reference_share_a_stem() {
    assert_none(&stems(&texts(&["src/kernel/", "shaders/", "tests/reference/"])));
}

#[test]
fn the_readme_shows_the_tree() {
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    assert_none(&readme_tree(&readme, &tracked()));
}

#[test]
fn nothing_is_left_unfinished() {
    let folders = [
        "src/",
        "shaders/",
        "tests/",
        "benches/",
        "models/",
        "scripts/",
        "studies/",
        "web/",
        ".ci/",
        "Makefile",
        "README.md",
    ];
    assert_none(&phrases(&texts(&folders)));
}

#[test]
fn long_files_are_listed() {
    for line in long_files(&texts(&["src/", "shaders/", "tests/", "web/"])) {
        println!("long: {line}");
    }
    let long = ("src/a.rs".to_string(), "x\n".repeat(401));
    let short = ("src/b.rs".to_string(), "x\n".repeat(400));
    assert_eq!(long_files(&[long, short]), ["src/a.rs: 401 lines"]);
}

// ------------------------------------------------------------------------------------------ the rules can fail

fn files(list: &[(&str, &str)]) -> Vec<File> {
    list.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
}

/// The violations of `rule` on one file.
fn of(rule: fn(&[File]) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&files(&[(path, text)]))
}

#[test]
fn an_upward_arrow_is_caught() {
    let upward = [
        ("src/model/a.rs", "use crate::ladder::Run;"),
        ("src/train/a.rs", "fn f() { crate::task::create(); }"),
        ("src/task/a.rs", "use crate::gpu::Device;"),
        ("src/ladder/a.rs", "use crate::cli::Args;"),
        ("src/kernel/a.rs", "use crate::{Error, gpu::{Buf, Device},\n model};"),
        ("src/gpu/mod.rs", "use super::kernel;"),
        ("src/gpu/a.rs", "use super::super::kernel;"),
        ("src/error.rs", "use crate::gpu::X;"),
        ("src/model/a.rs", "use wgpu as w;"),
        ("src/model/a.rs", "let d: wgpu::Device;"),
        ("src/ladder/a.rs", "#[derive(clap::Args)] struct A;"),
        ("src/extra.rs", ""),
    ];
    for (path, text) in upward {
        assert_eq!(of(arrows, path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn downward_arrows_and_mere_mentions_pass() {
    let fine = [
        ("src/ladder/a.rs", "use crate::{Error, Result, task::{self, Task}, train};"),
        ("src/model/a.rs", "use super::config; use crate::model::b; // crate::ladder, wgpu::Device"),
        ("src/model/a.rs", "//! See [`crate::train`].\nlet s = \"crate::ladder wgpu::Device\";"),
        ("src/gpu/a.rs", "use wgpu::Device;"),
        ("src/cli/a.rs", "use clap::Args; use crate::cli::Context; use stepladder::ladder;"),
        ("src/lib.rs", "pub mod gpu; pub use crate::error::Error;"),
    ];
    for (path, text) in fine {
        assert_none(&of(arrows, path, text));
    }
}

#[test]
fn a_missing_twin_is_caught() {
    let flat = [("shaders/a.wgsl", ""), ("src/kernel/a.rs", "//! A."), ("tests/reference/a.rs", "")];
    let folder = [("shaders/b/a.wgsl", ""), ("src/kernel/b/a.rs", "//! A."), ("tests/reference/b/a.rs", "")];
    for all in [flat, folder] {
        assert_none(&stems(&files(&all)));
        for left_out in 0..2 {
            let some: Vec<_> =
                all.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, f)| *f).collect();
            assert_eq!(stems(&files(&some)).len(), 1, "without {}", all[left_out].0);
        }
        assert_eq!(stems(&files(&all[..2])).len(), 1, "without a reference");
        assert_eq!(stems(&files(&all[..1])).len(), 2, "a shader alone");
    }
    let rest = [
        ("src/kernel/mod.rs", ""),
        ("src/kernel/b/mod.rs", ""),
        ("shaders/include/b.wgsl", ""),
        ("src/kernel/c.rs", "//! No shader of its own."),
    ];
    assert_none(&stems(&files(&rest)));
}

#[test]
fn a_false_tree_is_caught() {
    let paths =
        ["Cargo.toml", "src/lib.rs", "src/gpu/mod.rs", "src/task/mod.rs", ".gitignore"].map(String::from);
    let tree = |block: &str| readme_tree(&format!("# A\n<!-- tree -->\n```text\n{block}\n```\n"), &paths);
    assert_none(&tree(
        "Cargo.toml   the crate\nsrc/   code\n  gpu/   device\n  task/  tasks\n  lib.rs   list",
    ));
    assert_eq!(tree("Cargo.toml   the crate\nsrc/   code\n  gpu/   device").len(), 1, "folder missing");
    assert_eq!(tree("src/   code\n  gpu/   device\n  task/  tasks").len(), 1, "top entry missing");
    assert_eq!(tree("Cargo.toml  a\nsrc/  b\n  gpu/  c\n  task/  d\n  web/  e").len(), 1, "invented folder");
    assert_eq!(tree("Cargo.toml  a\nsrc/  b\n  gpu/  c\n  task/  d\nMakefile  e").len(), 1, "invented file");
    assert_eq!(tree("Cargo.toml  a\nsrc/  b\n  gpu/  c\n  task/").len(), 1, "no purpose");
    assert_eq!(readme_tree("# no tree", &paths).len(), 1);
}

#[test]
fn a_forbidden_phrase_is_caught() {
    let bad = [
        concat!("open(\"/ho", "me/me/x\")"),
        concat!("cd /ro", "ot/x"),
        concat!("// TO", "DO: later"),
        concat!("# FIX", "ME"),
        concat!("to", "do!()"),
        concat!("#[ig", "nore]"),
    ];
    for text in bad {
        assert_eq!(of(phrases, "src/a.rs", text).len(), 1, "{text}");
    }
    for text in ["https://example.org/home/page", "mktemp x.XXXXXX", "TODOS", "~/.cache"] {
        assert_none(&of(phrases, "src/a.rs", text));
    }
}
