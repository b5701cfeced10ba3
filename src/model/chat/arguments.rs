//! Arguments of filters.

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Error, ErrorKind, Value};

/// Arguments by name, of which the first may be given by place, as Jinja takes them.
pub(super) fn named(args: Rest<ValueOrKwargs>, names: &[&str]) -> Result<Kwargs, Error> {
    let args = args.into_values();
    let (options, placed) = match args.split_last() {
        Some((last, placed)) if last.is_kwargs() => (Some(Kwargs::try_from(last.clone())?), placed),
        _ => (None, args.as_slice()),
    };
    if placed.len() > names.len() {
        return Err(ErrorKind::TooManyArguments.into());
    }
    let mut all: Vec<(String, Value)> =
        names.iter().zip(placed).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    if let Some(options) = &options {
        for name in options.args() {
            all.push((name.to_owned(), options.get(name)?));
        }
    }
    Ok(all.into_iter().collect())
}
