//! The key-value part of a GGUF file, and bounded reading of its header.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{ReadAt, broken};
use crate::model::config::fields::{Harmless, is_harmless};
use crate::{Error, Result};

/// The longest header read: more than ten times the largest known (a vocabulary of 262,144 tokens with merges).
const MAX_HEADER: u64 = 256 << 20;
/// The longest array or string.
const MAX_ELEMENTS: u64 = 1 << 24;

/// A metadata value. Arrays that nothing here reads are skipped and kept as [`Value::Skipped`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any of the integer types.
    Int(i128),
    /// Either float type.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of 32-bit integers, or of truth values as 0 and 1.
    Ints(Vec<i64>),
    /// An array of 32-bit floats.
    Floats(Vec<f32>),
    /// An array of any other type.
    Skipped,
}

impl Value {
    /// Whether it switches something off: false, 0, or empty.
    fn is_off(&self) -> bool {
        match self {
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Bool(flag) => !flag,
            Self::Text(text) => text.is_empty(),
            Self::Texts(list) => list.is_empty(),
            Self::Ints(list) => list.iter().all(|&number| number == 0),
            Self::Floats(list) => list.iter().all(|&number| number == 0.0),
            Self::Skipped => false,
        }
    }
}

/// The metadata of a GGUF file, with errors that name file and key.
///
/// They remember which keys were looked at, so that [`Metadata::finish`] can tell those that nothing here knows.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The file, for messages.
    pub file: PathBuf,
    values: HashMap<String, Value>,
    used: RefCell<HashSet<String>>,
}

impl Metadata {
    /// Metadata made by hand, for tests and tools.
    pub fn new(file: &Path, values: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { file: file.to_path_buf(), values: values.into_iter().collect(), used: RefCell::default() }
    }

    /// The value as it stands.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (key, value) = self.values.get_key_value(key)?;
        self.used.borrow_mut().insert(key.clone());
        Some(value)
    }

    /// Whether the key is there and was looked at.
    pub fn was_read(&self, key: &str) -> bool {
        self.used.borrow().contains(key)
    }

    /// Errors unless every key under `prefix` that was not looked at is one of `harmless` names, which stand without the
    /// prefix, or is off: false, empty, or 0.
    ///
    /// # Errors
    /// `Input` naming a key that may change the result and is not known here.
    pub fn finish(&self, prefix: &str, harmless: &[Harmless]) -> Result<()> {
        let used = self.used.borrow();
        let unknown = |(key, value): &(&String, &Value)| {
            let name = key.strip_prefix(prefix).filter(|_| !used.contains(*key));
            name.is_some_and(|name| !is_harmless(harmless, name) && !value.is_off())
        };
        // The first by name, so that the message does not depend on a hash.
        match self.values.iter().filter(unknown).min_by_key(|(key, _)| *key) {
            Some((key, _)) => {
                let hint = "use another model, or a version of this program that knows the key";
                Err(self.error(key, "may change the results, and what it means is not known here", hint))
            }
            None => Ok(()),
        }
    }

    /// An error about `key`.
    pub fn error(&self, key: &str, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::input(&self.file, key, problem, hint)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match convert(value) {
                Some(value) => Ok(Some(value)),
                None => Err(broken(&self.file, key, format!("must be {expected}"))),
            },
        }
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(
            key,
            "a string",
            |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None },
        )
    }

    /// A count below 2^31.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a whole number from 0 to 2147483647", |value| match value {
            Value::Int(count) if (0..1 << 31).contains(count) => usize::try_from(*count).ok(),
            _ => None,
        })
    }

    /// A count that must be there.
    pub fn required_count(&self, key: &str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| broken(&self.file, key, "is missing"))
    }

    /// A token's id; -1, which the files hold as 2^32 - 1, stands for none.
    pub fn token_id(&self, key: &str) -> Result<Option<u32>> {
        if matches!(self.get(key), Some(Value::Int(-1 | 0xffff_ffff))) {
            return Ok(None);
        }
        Ok(self.count(key)?.and_then(|id| u32::try_from(id).ok()))
    }

    /// A count that is one number, or an array with the same number for every layer.
    pub fn uniform_count(&self, key: &str) -> Result<Option<usize>> {
        let Some(Value::Ints(counts)) = self.get(key) else { return self.count(key) };
        match counts.first() {
            Some(&first) if counts.iter().all(|&count| count == first) => Ok(usize::try_from(first).ok()),
            _ => {
                let problem = "differs between layers, which is not supported";
                Err(self.error(key, problem, "use another model"))
            }
        }
    }

    /// A number.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", |value| match value {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(
            key,
            "true or false",
            |value| if let Value::Bool(flag) = value { Some(*flag) } else { None },
        )
    }

    /// An array of strings.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Texts(texts) => Some(texts.as_slice()),
            _ => None,
        })
    }

    /// An array of integers.
    pub fn ints(&self, key: &str) -> Result<Option<&[i64]>> {
        self.typed(key, "an array of 32-bit integers", |value| match value {
            Value::Ints(ints) => Some(ints.as_slice()),
            _ => None,
        })
    }

    /// An array of floats.
    pub fn floats(&self, key: &str) -> Result<Option<&[f32]>> {
        self.typed(key, "an array of 32-bit floats", |value| match value {
            Value::Floats(floats) => Some(floats.as_slice()),
            _ => None,
        })
    }
}

/// Reads a header from its start, through a buffer, never beyond the file's end or [`MAX_HEADER`].
pub(super) struct Cursor<'a, R> {
    reader: &'a mut R,
    file: PathBuf,
    /// What is being read, for messages.
    pub(super) field: String,
    position: u64,
    limit: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl<'a, R: ReadAt> Cursor<'a, R> {
    pub(super) fn new(reader: &'a mut R) -> Self {
        let (file, limit) = (reader.path().to_path_buf(), reader.len().min(MAX_HEADER));
        Self { reader, file, field: "header".into(), position: 0, limit, buffer: Vec::new(), buffer_start: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        broken(&self.file, &self.field, problem)
    }

    /// Checks that `count` pieces of at least `size` bytes can follow, so that a count can be trusted.
    pub(super) fn expect(&self, count: u64, size: u64) -> Result<()> {
        if count > MAX_ELEMENTS || count * size > self.limit - self.position {
            let left = self.limit - self.position;
            return Err(self.error(format!("{count} elements do not fit into the {left} bytes that follow")));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.expect(out.len() as u64, 1)?;
        let mut done = 0;
        while done < out.len() {
            let at = (self.position - self.buffer_start) as usize;
            if at >= self.buffer.len() {
                let size = (self.limit - self.position).min(1 << 16) as usize;
                self.buffer.resize(size, 0);
                self.reader.read_at(self.position, &mut self.buffer)?;
                self.buffer_start = self.position;
                continue;
            }
            let count = (self.buffer.len() - at).min(out.len() - done);
            out[done..done + count].copy_from_slice(&self.buffer[at..at + count]);
            done += count;
            self.position += count as u64;
        }
        Ok(())
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    pub(super) fn string(&mut self) -> Result<String> {
        let length = self.u64()?;
        self.expect(length, 1)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        // Tokens of some vocabularies are not UTF-8; they cannot be typed either.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A scalar or string of GGUF's value type `kind`.
    fn scalar(&mut self, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Int(self.bytes::<1>()?[0].into()),
            1 => Value::Int(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Int(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Int(self.u32()?.into()),
            5 => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            8 => Value::Text(self.string()?),
            10 => Value::Int(self.u64()?.into()),
            11 => Value::Int(i64::from_le_bytes(self.bytes()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(self.error(format!("value type {other} is unknown"))),
        })
    }

    fn array(&mut self) -> Result<Value> {
        let kind = self.u32()?;
        let count = self.u64()?;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => return Err(self.error(format!("an array of type {other} is unknown"))),
        };
        self.expect(count, size)?;
        Ok(match kind {
            8 => Value::Texts((0..count).map(|_| self.string()).collect::<Result<_>>()?),
            7 => Value::Ints(
                (0..count).map(|_| Ok(i64::from(self.bytes::<1>()?[0] != 0))).collect::<Result<_>>()?,
            ),
            4 => Value::Ints((0..count).map(|_| Ok(self.u32()?.into())).collect::<Result<_>>()?),
            5 => Value::Ints(
                (0..count).map(|_| Ok(i32::from_le_bytes(self.bytes()?).into())).collect::<Result<_>>()?,
            ),
            6 => Value::Floats(
                (0..count).map(|_| Ok(f32::from_le_bytes(self.bytes()?))).collect::<Result<_>>()?,
            ),
            _ => {
                self.position += count * size;
                Value::Skipped
            }
        })
    }

    /// `count` keys, each with the bytes of its type and value.
    pub(super) fn raw(&mut self, count: u64) -> Result<Vec<(String, Vec<u8>)>> {
        let mut values = Vec::new();
        for _ in 0..count {
            self.field = "metadata".into();
            let key = self.string()?;
            self.field.clone_from(&key);
            let start = self.position;
            match self.u32()? {
                9 => drop(self.array()?),
                kind => drop(self.scalar(kind)?),
            }
            let mut bytes = vec![0; (self.position - start) as usize];
            self.reader.read_at(start, &mut bytes)?;
            values.push((key, bytes));
        }
        Ok(values)
    }

    /// `count` key-value pairs.
    pub(super) fn metadata(&mut self, count: u64) -> Result<Metadata> {
        let mut values = HashMap::new();
        for _ in 0..count {
            self.field = "metadata".into();
            let key = self.string()?;
            self.field.clone_from(&key);
            let value = match self.u32()? {
                9 => self.array()?,
                kind => self.scalar(kind)?,
            };
            if values.insert(key, value).is_some() {
                return Err(self.error("the key occurs twice"));
            }
        }
        Ok(Metadata::new(&self.file, values))
    }
}
