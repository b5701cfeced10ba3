//! Bounds on the values that a template makes.
//!
//! The engine charges for work and for bytes, but prints, compares and frees values by recursion, and a value that holds
//! another twice doubles with every step. [`super::source`] puts these filters around each value that a template builds or
//! keeps, so that none is deeper or larger than what the stack of a browser's worker and a second hold.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

/// Filter around a list, map or tuple that is written out, and around what a variable is set to.
pub(super) const KEPT: &str = "__kept__";
/// Filter around what an attribute of a namespace is set to.
pub(super) const MEMBER: &str = "__member__";
/// Filter in place of the operator `*`.
pub(super) const TIMES: &str = "__times__";

/// Lists and maps within each other.
const MAX_DEPTH: usize = 60;
/// Values within a value, each counted as often as it occurs.
const MAX_VALUES: u64 = 200_000;
/// Values looked at in all while a text is rendered.
const MAX_LOOKS: u64 = 20_000_000;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter(KEPT, |state: &mut State<'_, '_>, value: Value| keep(state, value, false));
    environment.add_filter(TIMES, times);
    environment.add_filter(MEMBER, |state: &mut State<'_, '_>, value: Value| keep(state, value, true));
}

fn keep(state: &mut State<'_, '_>, value: Value, member: bool) -> Result<Value, Error> {
    if value.as_object().is_none() {
        return Ok(value);
    }
    // What can be gone through once only becomes a list, since looking at it would use it up.
    let value = match value.kind() {
        ValueKind::Iterable if member && value.len().is_none() => {
            value.try_iter()?.take(MAX_VALUES as usize + 1).collect()
        }
        _ => value,
    };
    let mut left = MAX_VALUES;
    // A namespace can be changed after it was kept, so only a variable may hold one.
    if member && is_namespace(&value) {
        return Err(too_deep());
    }
    look(&value, 0, &mut left)?;
    charge(state, MAX_VALUES - left)?;
    Ok(value)
}

/// The product of two values, if no text or list of more than [`MAX_VALUES`] characters or values comes of it.
fn times(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    let length = |value: &Value| value.as_str().map(str::len).or_else(|| value.as_object().and(value.len()));
    let repeated =
        [(&left, &right), (&right, &left)].into_iter().find_map(|(text, count)| Some((length(text)?, count)));
    if let Some((length, count)) = repeated {
        let size = u64::try_from(count.clone()).unwrap_or(0).saturating_mul(length as u64);
        if size > MAX_VALUES {
            return Err(too_large());
        }
        charge(state, size)?;
    }
    // The library has the operator for templates only.
    let product = Environment::empty().compile_expression("left * right")?.eval(context! { left, right })?;
    keep(state, product, false)
}

/// Fails if `value` is larger or deeper than the bounds.
pub(super) fn check(state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let mut left = MAX_VALUES;
    look(value, 0, &mut left)?;
    charge(state, MAX_VALUES - left)
}

/// Counts what was looked at, or made; fails beyond the bound.
pub(super) fn charge(state: &mut State<'_, '_>, looks: u64) -> Result<(), Error> {
    const NAME: &str = "looks";
    let before = state.get_temp(NAME).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    state.set_temp(NAME, Value::from(before + looks));
    if before + looks > MAX_LOOKS { Err(ErrorKind::OutOfFuel.into()) } else { Ok(()) }
}

fn look(value: &Value, depth: usize, left: &mut u64) -> Result<(), Error> {
    *left = left.checked_sub(1).ok_or_else(too_large)?;
    if value.as_object().is_none() {
        return Ok(());
    }
    if depth > MAX_DEPTH || depth > 0 && is_namespace(value) {
        return Err(too_deep());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let Some(length) = value.len() else { return Ok(()) };
            if length as u64 > *left {
                return Err(too_large());
            }
            for item in value.try_iter()? {
                look(&item, depth + 1, left)?;
            }
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                look(&value.get_item(&key)?, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether it is one of the objects that `namespace()` makes, which are the only ones that can change.
pub(super) fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template makes a value that is nested too deeply")
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template makes a value that is too large")
}
