//! `web/src/events.ts`, made from the Rust types, so that they are not typed twice.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use ts_rs::{Config, TS, TypeVisitor};

use super::settings::LearnSettings;
use crate::ladder::events::Event;
use crate::ladder::presets::Preset;
use crate::settings::{LESSONS, PACKAGE, SFT, SettingRow, Table, Takes, at};
use crate::task::Verdict;
use crate::train::resume::words;
use crate::train::sft::settings::BATCH_SIZE;
use crate::train::sft::{SftOptions, SftSettings};

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

/// The options of a call that are settings `of` something, from the rows of their table; `fits` is what values follow from.
fn settings_of(of: &str, name: &str, table: Table, defaults: &Value, fits: &str) -> String {
    let mut text = format!(
        "/**\n * Settings of {of} that are options of the call; `settings` takes all of them, by their paths.\n */\n\
         export interface {name} {{\n",
    );
    for setting in table.rows.iter().filter(|setting| setting.option.is_some()) {
        let quoted =
            |words: &[&str]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ");
        let kind = match setting.takes {
            Takes::Whole(..) | Takes::Number(_) => "number".to_owned(),
            Takes::Flag => "boolean".to_owned(),
            Takes::Word(words) => quoted(words),
            Takes::Words(words) => format!("readonly ({})[]", quoted(words)),
            Takes::Json => "SettingValue".to_owned(),
        };
        let default = match at(defaults, setting.path).filter(|value| !value.is_null() && !setting.fitted) {
            Some(_) if matches!(setting.takes, Takes::Words(_)) => "default all".to_owned(),
            Some(value) => {
                format!(
                    "default {}",
                    value.as_f64().map_or_else(|| words(value), |number| number.to_string())
                )
            }
            None if setting.fitted => format!("default: as fits {fits}"),
            None => "default none".to_owned(),
        };
        let mut letters = setting.doc.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        let (doc, field) = (first + letters.as_str(), setting.field());
        text += &format!("  /** {doc} ({default}). */\n  {field}?: {kind};\n");
    }
    text + "}\n"
}

/// Defaults that types say by hand.
#[test]
fn the_defaults_that_types_name_are_those_of_rust() {
    let read = |file: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default()
    };
    let (types, fits) = (read("web/src/types.ts"), read("web/src/fit-types.ts"));
    let context = PACKAGE.context;
    assert!(types.contains(&format!("(default {context} or the model's own, if less)")));
    let (rank, length) = (SftSettings::adapter().rank, SftOptions::default().max_length);
    for words in [
        format!("Rank of the adapter (default {rank})"),
        format!("Sequences at a time (default {BATCH_SIZE})"),
        format!("Tokens of the longest sequence (default {length})"),
    ] {
        assert!(fits.contains(&words), "web/src/fit-types.ts lacks `{words}`");
    }
}

#[test]
fn the_committed_types_are_those_of_rust() {
    // JSON has one kind of number; none of these goes beyond 2^53.
    let config = Config::new().with_large_int("number");
    let mut declarations = Declarations { config, seen: HashSet::new(), texts: Vec::new() };
    declarations.visit::<Event>();
    declarations.visit::<Verdict>();
    declarations.visit::<Preset>();
    declarations.visit::<SettingRow>();
    let train = serde_json::to_value(SftOptions::of(PACKAGE)).unwrap_or_default();
    let fits = "the model and the examples";
    declarations.texts.push(settings_of("supervised training", "TrainSettings", SFT, &train, fits));
    let learn = serde_json::to_value(LearnSettings::for_model(0)).unwrap_or_default();
    declarations.texts.push(settings_of("a new library", "LibrarySettings", LESSONS, &learn, "the model"));
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
