//! Which files of a layer of `src/` use which.
//!
//! An arrow leads from a file to each file whose items it names, by `use` or by a path. What a module hands on counts where it
//! is defined, a module that is imported by name counts where a path goes through it. Declarations (`mod x;`), what a module
//! hands on of those within it (`pub use x::Y`) and tests are no arrows.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_tokens::tokens;
use super::{File, module_of};

/// A name passes through fewer modules on its way from where it is defined.
const MOST_HANDS: usize = 9;

/// A path as names from the crate's root.
type Path = Vec<String>;

/// Which files each file uses, by path.
pub(crate) type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What a file says.
#[derive(Default)]
struct Module {
    path: String,
    /// What each imported name stands for.
    imports: BTreeMap<String, Path>,
    /// Paths of all items it names, imports included.
    named: Vec<Path>,
}

/// The module that a file is, as names from the crate's root.
pub(crate) fn module_path(path: &str) -> Option<Path> {
    let stem = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    Some(if matches!(stem, "lib" | "main") {
        Vec::new()
    } else {
        stem.split('/').map(String::from).collect()
    })
}

/// Tokens without tests: the item behind `#[cfg(test)]` is left out.
fn without_tests(source: &str) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let all: Vec<String> = tokens(source).into_iter().map(|(_, text)| text).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < all.len() {
        if all[at..].len() < MARK.len() || all[at..at + MARK.len()].iter().ne(MARK.iter()) {
            out.push(all[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        at += MARK.len();
        while at < all.len() {
            match all[at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && matches!(all[at - 1].as_str(), "}" | ";") {
                break;
            }
        }
    }
    out
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The names of a path that begins at `at`, and the position behind it.
fn path_at(tokens: &[String], mut at: usize) -> (Path, usize) {
    let mut path = vec![tokens[at].clone()];
    at += 1;
    while let [a, b, name, ..] = &tokens[at..]
        && (a.as_str(), b.as_str()) == (":", ":")
        && is_name(name)
    {
        path.push(name.clone());
        at += 3;
    }
    (path, at)
}

/// The paths of a `use` behind `before`, with the names that they get here; returns the position behind.
fn imports_at(tokens: &[String], mut at: usize, before: &Path, out: &mut Vec<(Path, String)>) -> usize {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    if is(at, "{") {
        at += 1;
        while at < tokens.len() && !is(at, "}") {
            at = imports_at(tokens, at, before, out);
            at += usize::from(is(at, ","));
        }
        return at + 1;
    }
    if at >= tokens.len() {
        return at;
    }
    let (more, mut at) = path_at(tokens, at);
    let path = [&before[..], &more].concat();
    if is(at, ":") {
        return imports_at(tokens, at + 2, &path, out);
    }
    let path: Path = match path.split_last() {
        Some((last, rest)) if last == "self" && !rest.is_empty() => rest.to_vec(),
        _ => path,
    };
    let mut name = path.last().cloned().unwrap_or_default();
    if is(at, "as") {
        name = tokens.get(at + 1).cloned().unwrap_or_default();
        at += 2;
    }
    out.push((path, name));
    at
}

impl Module {
    fn new(path: &str, source: &str, modules: &BTreeSet<Path>) -> Option<Self> {
        let tokens = without_tests(source);
        let own = module_path(path)?;
        // Where a relative path begins: this module, or one that is written out within it.
        let mut within = vec![(own.clone(), 0)];
        let mut module = Self { path: path.to_string(), ..Self::default() };
        let (mut imported, mut relative) = (Vec::new(), Vec::new());
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            let here = within.last().map_or(&own, |(path, _)| path).clone();
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    within.retain(|(path, start)| *path == own || *start <= depth);
                }
                "mod" if tokens.get(at + 2).is_some_and(|token| token == "{") => {
                    within.push(([&here[..], &tokens[at + 1..at + 2]].concat(), depth + 1));
                    at += 1;
                }
                "use" => {
                    let mut found = Vec::new();
                    let public = at > 0 && matches!(tokens[at - 1].as_str(), "pub" | ")");
                    at = imports_at(&tokens, at + 1, &Vec::new(), &mut found);
                    imported.extend(found.into_iter().map(|(path, name)| (here.clone(), path, name, public)));
                    continue;
                }
                name if is_name(name) && (at == 0 || tokens[at - 1] != ".") => {
                    let (path, next) = path_at(&tokens, at);
                    at = next;
                    if path.len() > 1 {
                        relative.push((here, path));
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        for (here, path, name, public) in imported {
            if let Some(path) = absolute(&here, &path, modules, &BTreeMap::new()) {
                if !(public && path.starts_with(&own)) {
                    module.named.push(path.clone());
                }
                module.imports.insert(name, path);
            }
        }
        let named =
            relative.into_iter().filter_map(|(here, path)| absolute(&here, &path, modules, &module.imports));
        module.named.extend(named.collect::<Vec<_>>());
        Some(module)
    }
}

/// A path from the crate's root; `None` for one into another crate.
fn absolute(
    here: &Path,
    path: &[String],
    modules: &BTreeSet<Path>,
    imports: &BTreeMap<String, Path>,
) -> Option<Path> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([&here[..], rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let base = here.get(..here.len().checked_sub(ups)?)?;
            Some([base, &path[ups..]].concat())
        }
        name => {
            let child = [&here[..], &path[..1]].concat();
            match imports.get(name) {
                Some(import) => Some([&import[..], rest].concat()),
                None if modules.contains(&child) => Some([&here[..], path].concat()),
                None => None,
            }
        }
    }
}

/// The module in which the last name of a path is defined; `None` if it names no more than a module.
fn defined_in(path: &Path, modules: &BTreeMap<Path, Module>, depth: usize) -> Option<Path> {
    let is_module =
        |path: &Path| modules.range(path.clone()..).next().is_some_and(|(first, _)| first.starts_with(path));
    let mut module = Path::new();
    for (index, name) in path.iter().enumerate() {
        let child = [&module[..], std::slice::from_ref(name)].concat();
        let last = index + 1 == path.len();
        // A module may hand on an item with the name of a module within it.
        let handed_on = modules.get(&module).and_then(|module| module.imports.get(name));
        if is_module(&child) && !(last && handed_on.is_some()) {
            module = child;
            continue;
        }
        return match handed_on {
            Some(import) if depth < MOST_HANDS && import != path => {
                defined_in(&[&import[..], &path[index + 1..]].concat(), modules, depth + 1)
            }
            _ => Some(module),
        };
    }
    None
}

/// The arrows between the files of each layer, by path.
pub(crate) fn arrows_inside(files: &[File]) -> Arrows {
    let sources = files.iter().filter(|(path, _)| !path.ends_with("/tests.rs"));
    let sources: Vec<&File> = sources.filter(|(path, _)| module_of(path).is_some()).collect();
    let names: BTreeSet<Path> = sources.iter().filter_map(|(path, _)| module_path(path)).collect();
    let modules: BTreeMap<Path, Module> = sources
        .iter()
        .filter_map(|(path, source)| Some((module_path(path)?, Module::new(path, source, &names)?)))
        .collect();
    let mut arrows = BTreeMap::new();
    for module in modules.values() {
        let targets = module.named.iter().filter_map(|path| defined_in(path, &modules, 0));
        let targets = targets.filter_map(|path| modules.get(&path)).map(|target| target.path.clone());
        let inside =
            targets.filter(|path| *path != module.path && module_of(path) == module_of(&module.path));
        arrows.insert(module.path.clone(), inside.collect());
    }
    arrows
}
