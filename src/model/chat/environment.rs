//! The Jinja environment of chat templates: the one of transformers, with bounds on all that a template can do.

use std::convert::Infallible;
use std::error::Error as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use serde_json::{Map, Value as Json};

use super::views::{Cycler, Range};
use super::{bounds, filters, members, python, source, strftime, text_filters};
use crate::model::guarded::guarded;

/// Work that a template may do, in instructions, besides one for each byte of the conversation; 64 bytes that it makes count as one.
/// Real templates take a few thousand, and a fifth of one for each byte. While a text grows it may exist twice, once with room for
/// as much again, which makes 58 MB.
const FUEL: u64 = 300_000;

/// Depth of macros, loops and blocks within each other.
const RECURSION: usize = 100;

/// An environment with the template `chat`; errors are in words.
pub(super) fn compile(text: &str, now: i64) -> Result<Environment<'static>, String> {
    let text = source::prepare(text)?;
    let mut environment = Environment::new();
    // transformers compiles templates with these settings; templates rely on them.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(python::print);
    environment.set_unknown_method_callback(members::call);
    environment.set_recursion_limit(RECURSION);
    environment.remove_global("debug");
    environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
    });
    environment.add_function("strftime_now", move |format: String| {
        strftime::format(now, &format).map_err(|problem| Error::new(ErrorKind::InvalidOperation, problem))
    });
    python::add_filters(&mut environment);
    filters::add(&mut environment);
    text_filters::add(&mut environment);
    environment.add_function("range", Range::make);
    environment.add_function("cycler", Cycler::make);
    environment.add_function("lipsum", || -> Result<String, Error> {
        Err(Error::new(
            ErrorKind::InvalidOperation,
            "lipsum gives another text each time and is not supported",
        ))
    });
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    bounds::add_filters(&mut environment);
    environment.add_filter(members::LOOPED, members::looped);
    environment.add_filter("attr", |value: Value, name: &str| match value.kind() {
        // The fields of a map are no attributes of it.
        ValueKind::Map if !bounds::is_namespace(&value) && !members::is_method(name) => Ok(Value::UNDEFINED),
        ValueKind::Undefined => Ok(Value::UNDEFINED),
        _ => members::attribute(&value, name),
    });
    // The library divides by their number, and in a browser a panic is the end of the program.
    let mut cycles = text.split("cycle").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('('));
    if cfg!(target_arch = "wasm32") && cycles.any(|rest| rest.trim_start().starts_with(')')) {
        return Err("calls `cycle` without values".into());
    }
    guarded(|| environment.add_template_owned("chat", text))?;
    Ok(environment)
}

/// The text that the template makes of `context`, or what is wrong and what to do.
pub(super) fn render(
    environment: &Environment<'_>,
    context: &Map<String, Json>,
) -> Result<String, (String, &'static str)> {
    let mut environment = environment.clone();
    environment.set_fuel(Some(FUEL + context.values().map(bytes).sum::<u64>()));
    let render = || environment.get_template("chat")?.render(Value::from(Serde(context)));
    let original = "take the model's original chat template";
    match guarded(|| Ok::<_, Infallible>(render())) {
        Err(panic) => Err((panic, original)),
        Ok(rendered) => rendered.map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => ("takes too many steps".into(), original),
            _ => (error.to_string(), hint(&error)),
        }),
    }
}

/// About the size of a value as text.
fn bytes(value: &Json) -> u64 {
    match value {
        Json::String(text) => text.len() as u64,
        Json::Array(items) => items.iter().map(bytes).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + bytes(value)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}

/// An error that the template raised itself.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("raised by the template")
    }
}

impl std::error::Error for Raised {}

fn hint(error: &Error) -> &'static str {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<Raised>() {
            return "change the messages: roles usually must be user and assistant in turn";
        }
        source = error.source();
    }
    match error.kind() {
        ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => {
            "it is not supported here: write the template without it, or take the model's original chat template"
        }
        _ => {
            "the template fails on these messages; give the fields that it reads, or take the model's original one"
        }
    }
}
