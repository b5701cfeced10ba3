//! Members that Python's values have by their type: `x.items` is the method of a dictionary, whatever its keys, and
//! `x['items']` the key, or the method where there is none. [`super::source`] writes both as calls of methods.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::bounds::{self, is_namespace};
use super::methods;
use super::views::{Method, Range, View};

/// Method in place of an attribute that may be a method.
pub(super) const ATTRIBUTE: &str = "__attribute__";
/// Method in place of a subscript that may be a method.
pub(super) const ITEM: &str = "__item__";
/// Filter around what a loop goes through.
pub(super) const LOOPED: &str = "__looped__";

/// Most values that are taken from what can be gone through once.
const MAX_LOOPED: usize = 200_000;

const OF_DICTIONARIES: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
const OF_LISTS: [&str; 3] = ["copy", "count", "index"];
const OF_TEXTS: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
/// What would change a dictionary; the sandbox has them undefined.
const CHANGES: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];

/// Whether some value has a method of this name.
pub(super) fn is_method(name: &str) -> bool {
    [&OF_DICTIONARIES[..], &OF_LISTS, &OF_TEXTS, &CHANGES].iter().any(|names| names.contains(&name))
}

/// Calls `method` of `value`, which may ask for a member instead.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match method {
        ATTRIBUTE => attribute(value, from_args::<(&str,)>(args)?.0),
        ITEM => {
            let (name,) = from_args::<(&str,)>(args)?;
            let item = if is_plain(value) { value.get_item(&Value::from(name))? } else { Value::UNDEFINED };
            if item.is_undefined() { attribute(value, name) } else { Ok(item) }
        }
        _ => methods::call(state, value, method, args),
    }
}

/// Python's `getattr`, and the item of a dictionary that has no such attribute.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        let problem = format!("an undefined value has no attribute `{name}`");
        return Err(Error::new(ErrorKind::UndefinedError, problem));
    }
    let methods: &[&str] = match value.kind() {
        ValueKind::Map if is_plain(value) && CHANGES.contains(&name) => return Ok(Value::UNDEFINED),
        ValueKind::Map if is_plain(value) => &OF_DICTIONARIES,
        ValueKind::String => &OF_TEXTS,
        ValueKind::Seq if value.is_tuple() => &OF_LISTS[1..],
        ValueKind::Seq if is_plain(value) => &OF_LISTS,
        _ => &[],
    };
    match methods.iter().find(|method| **method == name) {
        Some(&name) => Ok(Value::from_object(Method { value: value.clone(), name, call: methods::call })),
        None => Ok(value.get_attr(name).unwrap_or(Value::UNDEFINED)),
    }
}

/// Whether it is a dictionary or list, and none of the engine's own objects.
fn is_plain(value: &Value) -> bool {
    let own = |name: &str| ["::Loop", "::Macro"].iter().any(|end| name.ends_with(end));
    !is_namespace(value)
        && value.downcast_object_ref::<View>().is_none()
        && value.downcast_object_ref::<Range>().is_none()
        && Kwargs::try_from(value.clone()).is_err()
        && value.as_object().is_none_or(|object| !own(object.type_name()))
}

/// What a loop goes through: nothing is no list of nothing, and what can be gone through once, as a text, gets a length,
/// by which the loop knows its last turn.
pub(super) fn looped(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is not iterable"));
    }
    if !matches!(value.kind(), ValueKind::Iterable | ValueKind::String) {
        return Ok(value);
    }
    let items: Vec<Value> = value.try_iter()?.take(MAX_LOOPED + 1).collect();
    bounds::charge(state, items.len() as u64)?;
    if items.len() > MAX_LOOPED {
        return Err(Error::new(ErrorKind::InvalidOperation, "a loop over too many values"));
    }
    Ok(Value::from(items))
}
