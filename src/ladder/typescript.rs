//! `web/src/events.ts`, made from the Rust types, so that they are not typed twice.

use std::collections::HashSet;
use std::path::Path;

use ts_rs::{Config, TS, TypeVisitor};

use super::events::Event;
use crate::task::Verdict;

/// Declarations of types and of those that they are made of, each once.
struct Declarations {
    config: Config,
    seen: HashSet<String>,
    texts: Vec<String>,
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Types of the standard library have no declaration of their own.
        if T::output_path().is_none() || !self.seen.insert(T::ident(&self.config)) {
            return;
        }
        let docs = T::docs().map(|docs| docs.trim_end().to_owned() + "\n").unwrap_or_default();
        self.texts.push(format!("{docs}export {}\n", T::decl(&self.config)));
        T::visit_dependencies(self);
    }
}

#[test]
fn the_committed_types_are_those_of_rust() {
    // JSON has one kind of number; none of these goes beyond 2^53.
    let config = Config::new().with_large_int("number");
    let mut declarations = Declarations { config, seen: HashSet::new(), texts: Vec::new() };
    declarations.visit::<Event>();
    declarations.visit::<Verdict>();
    // The macro's order is not its own from one build to the next.
    declarations.texts.sort_by_key(|text| text.split("export ").nth(1).map(str::to_owned));
    let header = "// Made from the Rust types by `cargo test the_committed_types`: change those, then run it with UPDATE=1.\n";
    let text = format!("{header}\n{}", declarations.texts.join("\n"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/src/events.ts");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &text).expect("web/src/events.ts can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "web/src/events.ts differs: UPDATE=1 cargo test --lib the_committed_types");
}

/// The codes stand in one place of `src/error.rs`, as text; `cancelled` becomes `aborted` on its way.
#[test]
fn every_code_of_an_error_has_a_type() {
    let read = |file: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default()
    };
    let (rust, script) = (read("src/error.rs"), read("web/src/errors.ts"));
    let between = |text: &str, start: &str, end: &str| {
        text.split_once(start)
            .and_then(|(_, rest)| rest.split_once(end))
            .map(|(inside, _)| inside.to_owned())
            .unwrap_or_default()
    };
    let quoted = |text: String| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<HashSet<_>>();
    let codes = quoted(between(&rust, "pub fn code(&self)", "pub fn hint(&self)"));
    let types = quoted(between(&script, "export type ErrorCode =", ";\n"));
    assert!(codes.len() > 10 && types.contains("aborted"), "{codes:?} {types:?}");
    let missing: Vec<_> =
        codes.iter().filter(|code| *code != "cancelled" && !types.contains(*code)).collect();
    assert!(missing.is_empty(), "ErrorCode of web/src/errors.ts lacks {missing:?}");
}
