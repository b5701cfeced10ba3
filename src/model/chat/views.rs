//! Values of Python that the library lacks: ranges and the views of dictionaries, which print otherwise than lists; Jinja's `cycler`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::bounds::{self, is_namespace};

/// Most numbers of a range, as in Jinja's sandbox.
const MAX_RANGE: usize = 100_000;

/// Python's `range`.
#[derive(Debug)]
pub(super) struct Range {
    start: i64,
    stop: i64,
    step: i64,
}

impl Range {
    /// `range(stop)`, `range(start, stop)` or `range(start, stop, step)`.
    pub(super) fn make(first: i64, second: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
        let (start, stop) = second.map_or((0, first), |stop| (first, stop));
        let range = Self { start, stop, step: step.unwrap_or(1) };
        match range.len() {
            None => Err(Error::new(ErrorKind::InvalidOperation, "range() arg 3 must not be zero")),
            Some(length) if length > MAX_RANGE => {
                Err(Error::new(ErrorKind::InvalidOperation, "range has too many elements"))
            }
            Some(_) => Ok(Value::from_object(range)),
        }
    }

    fn len(&self) -> Option<usize> {
        let (start, stop, step) = (i128::from(self.start), i128::from(self.stop), i128::from(self.step));
        let span = if step > 0 { stop - start } else { start - stop };
        let size = step.unsigned_abs();
        (step != 0).then(|| usize::try_from(span.max(0).unsigned_abs().div_ceil(size)).unwrap_or(usize::MAX))
    }

    /// As Python writes it.
    pub(super) fn text(&self) -> String {
        match self.step {
            1 => format!("range({}, {})", self.start, self.stop),
            step => format!("range({}, {}, {step})", self.start, self.stop),
        }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = key.as_usize().filter(|place| self.len().is_some_and(|length| *place < length))?;
        Some(Value::from(self.start + self.step * i64::try_from(place).ok()?))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len().unwrap_or(0))
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

/// What a dictionary's `keys`, `values` and `items` give.
#[derive(Debug)]
pub(super) struct View {
    /// As Python writes it before its items.
    pub(super) name: &'static str,
    pub(super) items: Vec<Value>,
    /// Writes it; what writes values knows views, and not the other way round.
    print: Print,
}

/// Python's `str(value)`.
pub(super) type Print = fn(&Value) -> Result<String, Error>;

impl View {
    /// The view that `method` of a dictionary is; `None` for other values and methods.
    pub(super) fn of(
        state: &mut State<'_, '_>,
        value: &Value,
        method: &str,
        args: &[Value],
        print: Print,
    ) -> Result<Option<Value>, Error> {
        let name = match method {
            "keys" => "dict_keys",
            "values" => "dict_values",
            "items" => "dict_items",
            _ => return Ok(None),
        };
        if value.kind() != ValueKind::Map || is_namespace(value) {
            return Ok(None);
        }
        let items = unknown_method_callback(state, value, method, args)?.try_iter()?.collect();
        Ok(Some(Value::from_object(Self { name, items, print })))
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&(self.print)(&Value::from_dyn_object(Arc::clone(self))).map_err(|_| fmt::Error)?)
    }
}

/// A method that is a value: named, and not called.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) value: Value,
    pub(super) name: &'static str,
    /// Calls a method; what knows methods knows views, and not the other way round.
    pub(super) call: fn(&mut State<'_, '_>, &Value, &str, &[Value]) -> Result<Value, Error>,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.call)(state, &self.value, self.name, args)
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<built-in method {}>", self.name)
    }
}

/// Jinja's `cycler`.
#[derive(Debug)]
pub(super) struct Cycler {
    items: Vec<Value>,
    place: AtomicUsize,
}

impl Cycler {
    /// One within another would be deeper than what [`bounds`] sees.
    pub(super) fn make(state: &mut State<'_, '_>, items: Rest<Value>) -> Result<Value, Error> {
        for item in items.iter() {
            bounds::check(state, item)?;
            if item.kind() == ValueKind::Plain {
                return Err(Error::new(ErrorKind::InvalidOperation, "cycler: items must be plain values"));
            }
        }
        match items.is_empty() {
            true => {
                Err(Error::new(ErrorKind::InvalidOperation, "cycler: at least one item has to be provided"))
            }
            false => Ok(Value::from_object(Self { items: items.to_vec(), place: AtomicUsize::new(0) })),
        }
    }

    fn at(&self, place: usize) -> Value {
        self.items.get(place % self.items.len().max(1)).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.at(self.place.load(Ordering::Relaxed)))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        from_args::<()>(args)?;
        match method {
            "next" => Ok(self.at(self.place.fetch_add(1, Ordering::Relaxed))),
            "reset" => {
                self.place.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }
}
