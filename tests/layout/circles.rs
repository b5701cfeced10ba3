//! The rule that files inside a layer do not use each other in circles: a reader, and a change, can go from the bottom up.

use std::collections::{BTreeMap, BTreeSet};

use super::file_arrows::{Arrows, arrows_inside, module_path};
use super::{File, assert_none, files, module_of, texts};

/// Layers in which not even a module and those that it holds may use each other.
const STRICT: &[&str] = &["kernel"];

/// Circles that there may be: the files, and why.
const ALLOWED: &[(&[&str], &str)] = &[
    (
        &[
            "gpu/buffer.rs",
            "gpu/device.rs",
            "gpu/recording.rs",
            "gpu/profile.rs",
            "gpu/readback.rs",
            "gpu/submit.rs",
            "gpu/tuned.rs",
        ],
        "`Gpu` is one facade: each file has its methods of one subject, and `Gpu` has their fields",
    ),
    (
        &["task/answer/amounts.rs", "task/answer/compare.rs"],
        "amounts are compared as answers, and answers by amounts",
    ),
    (&["task/answer/structure.rs", "task/answer/value.rs"], "a value may be made of values"),
];

/// Whether the module of file `above` holds that of file `below`.
fn holds(above: &str, below: &str) -> bool {
    let [above, below] = [above, below].map(|path| module_path(path).unwrap_or_default());
    below.len() > above.len() && below.starts_with(&above)
}

/// All files that one reaches by arrows.
fn reached<'a>(from: &str, arrows: &'a Arrows) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(next) = ahead.pop() {
        for file in arrows.get(next).into_iter().flatten() {
            if found.insert(file.as_str()) {
                ahead.push(file);
            }
        }
    }
    found
}

/// Files of `src/` that use each other in a circle, the files of one circle together. What a file takes of the modules that
/// hold it is left out, except in the layers of [`STRICT`].
fn circles(files: &[File]) -> Vec<BTreeSet<String>> {
    let mut arrows = arrows_inside(files);
    for (file, targets) in &mut arrows {
        if module_of(file).is_none_or(|layer| !STRICT.contains(&layer)) {
            targets.retain(|target| !holds(target, file));
        }
    }
    let all: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|file| (file.as_str(), reached(file, &arrows))).collect();
    let circle = |file: &&str| -> BTreeSet<String> {
        all[file]
            .iter()
            .filter(|other| all[*other].contains(file))
            .map(|other| (*other).to_string())
            .collect()
    };
    let found: BTreeSet<BTreeSet<String>> =
        all.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

/// Files inside a layer do not use each other in a circle, apart from those of `allowed`, each of which is there.
pub(crate) fn circles_inside(files: &[File], allowed: &[(&[&str], &str)]) -> Vec<String> {
    let found = circles(files);
    let excused = |circle: &BTreeSet<String>, (list, _): &(&[&str], &str)| {
        circle.iter().all(|file| list.iter().any(|listed| file == &format!("src/{listed}")))
    };
    let told = found.iter().filter(|circle| !allowed.iter().any(|entry| excused(circle, entry)));
    let mut out: Vec<String> = told
        .map(|circle| {
            let files = circle.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("a circle of files: {files}")
        })
        .collect();
    let gone = allowed.iter().filter(|entry| !found.iter().any(|circle| excused(circle, entry)));
    out.extend(gone.map(|(list, _)| {
        format!("ALLOWED of tests/layout/circles.rs lists a circle that is not there: {}", list.join(", "))
    }));
    out
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    assert_none(&circles_inside(&texts(&["src/"]), ALLOWED));
}

/// The circles among made-up files.
fn of(list: &[(&str, &str)]) -> Vec<String> {
    circles_inside(&files(list), &[])
}

#[test]
fn a_circle_is_caught() {
    let circles: [&[(&str, &str)]; 8] = [
        &[("src/task/a.rs", "use super::b::B;"), ("src/task/b.rs", "fn f() { crate::task::a::g(); }")],
        &[("src/task/a.rs", "use super::b::{self, c};"), ("src/task/b.rs", "use crate::task::{a::X};")],
        // By the name of a module, by another name, through an inner module.
        &[("src/task/a.rs", "use super::b;\nfn f() { b::g(); }"), ("src/task/b.rs", "use super::a::f;")],
        &[("src/task/a.rs", "use super::b as c;\ntype X = c::Y;"), ("src/task/b.rs", "use super::a::X;")],
        &[("src/task/a.rs", "mod inner { use super::super::b::Y; }"), ("src/task/b.rs", "use super::a::X;")],
        // What a module hands on is that of the file behind it.
        &[
            ("src/task/mod.rs", "mod a; mod b; pub use a::A; pub(super) use b::B;"),
            ("src/task/a.rs", "use super::B;"),
            ("src/task/b.rs", "use super::A;"),
        ],
        // Three files, in a folder too.
        &[
            ("src/task/a.rs", "use super::b::B;"),
            ("src/task/b/mod.rs", "pub mod c; use c::C;"),
            ("src/task/b/c.rs", "use super::super::a::A;"),
        ],
        // In a strict layer also with the module that holds the others.
        &[("src/kernel/mod.rs", "mod a; use a::A;"), ("src/kernel/a.rs", "use super::word;")],
    ];
    for list in circles {
        assert_eq!(of(list).len(), 1, "{list:?}: {:?}", of(list));
    }
}

#[test]
fn what_is_no_circle_passes() {
    let fine: [&[(&str, &str)]; 6] = [
        &[("src/task/a.rs", "use super::b::B; use super::c::C;"), ("src/task/b.rs", "use super::c::C;")],
        // A mention, a test, a name of another crate, a field.
        &[
            ("src/task/a.rs", "use super::b::B;"),
            ("src/task/b.rs", "//! [`super::a::A`]\nlet s = \"super::a::A\";"),
        ],
        &[
            ("src/task/a.rs", "use super::b::B;"),
            (
                "src/task/b.rs",
                "#[cfg(test)]\nmod tests { use super::super::a::A; }\n#[cfg(test)]\nuse super::a::A;",
            ),
        ],
        &[("src/task/a.rs", "use super::b::B;"), ("src/task/b.rs", "fn f(x: X) { x.a(); a::b(); }")],
        // A module and one that it holds.
        &[("src/task/mod.rs", "mod a; use a::A;"), ("src/task/a.rs", "use super::Task;")],
        // A module that only declares and hands on.
        &[("src/kernel/mod.rs", "mod a; pub use a::A;"), ("src/kernel/a.rs", "use super::word;")],
    ];
    for list in fine {
        assert_none(&of(list));
    }
}

#[test]
fn a_listed_circle_passes_while_it_is_there() {
    let list = [("src/task/a.rs", "use super::b::B;"), ("src/task/b.rs", "use super::a::A;")];
    let allowed: &[(&[&str], &str)] = &[(&["task/a.rs", "task/b.rs", "task/c.rs"], "a reason")];
    assert_none(&circles_inside(&files(&list), allowed));
    assert_eq!(circles_inside(&files(&list[..1]), allowed).len(), 1, "not there");
    assert_eq!(circles_inside(&files(&list), &[(&["task/a.rs"], "a reason")]).len(), 2, "another file");
}
