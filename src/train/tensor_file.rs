//! Small safetensors files as named f32 tensors: adapters and checkpoints.
//!
//! Reading trusts nothing: lengths, offsets, shapes and names are checked against the bytes at hand before anything
//! is allocated.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};

use crate::{Error, Result};

/// A tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes of its dimensions; their product is the length of `data`.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub data: Vec<f32>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorFile {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The header's `__metadata__`.
    pub metadata: HashMap<String, String>,
}

impl TensorFile {
    /// Reads F32, F16 and BF16 tensors, widened to f32. `file` is named in errors.
    ///
    /// Errors: [`Error::Input`] for anything that is not a complete and consistent file of such tensors.
    pub fn from_bytes(bytes: &[u8], file: &Path) -> Result<Self> {
        let damaged = |problem: String| {
            Error::input(
                file,
                "header",
                problem,
                "the file is damaged or incomplete; copy or download it again",
            )
        };
        check_header(bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let views = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let tensors = views
            .iter()
            .map(|(name, view)| Ok((name.to_owned(), widen(&view, name, file)?)))
            .collect::<Result<_>>()?;
        Ok(Self { tensors, metadata: header.metadata().clone().unwrap_or_default() })
    }
}

/// The bytes of a file with f32 tensors (name, shape, numbers) and one metadata entry. With more than one entry the
/// bytes would depend on the order of a hash map.
///
/// Errors: [`Error::Shape`] if a shape does not fit its numbers.
pub fn to_bytes<'a>(
    tensors: impl IntoIterator<Item = (String, Vec<usize>, &'a [f32])>,
    (key, value): (&str, &str),
) -> Result<Vec<u8>> {
    let views = tensors
        .into_iter()
        .map(|(name, shape, data)| {
            let got = vec![data.len()];
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
            let view =
                view.map_err(|_| Error::Shape { kernel: "tensor file", arg: "data", expected: shape, got })?;
            Ok((name, view))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(key.to_owned(), value.to_owned())]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|e| Error::usage("tensor file", e.to_string(), "use fewer tensors, or less metadata"))
}

fn widen(view: &TensorView<'_>, name: &str, file: &Path) -> Result<Tensor> {
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => {
            return Err(Error::input(
                file,
                name,
                format!("has type {other:?}"),
                "save it as F32, F16 or BF16",
            ));
        }
    };
    Ok(Tensor { shape: view.shape().to_vec(), data })
}

/// What the `safetensors` crate leaves open: names that occur twice, and offsets whose sum overflows.
pub(crate) fn check_header(bytes: &[u8]) -> std::result::Result<(), String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("the file ends inside its first 8 bytes")?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let header = header.ok_or_else(|| format!("says it has {length} bytes, more than the file"))?;
    let header: Header = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    match header.end > bytes.len() as u64 {
        true => Err(format!("a tensor ends at byte {} of the data, beyond the end of the file", header.end)),
        false => Ok(()),
    }
}

/// The largest end offset of a header without duplicate names.
struct Header {
    end: u64,
}

/// The part of an entry that [`check_header`] looks at.
#[derive(Deserialize)]
struct Entry {
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a safetensors header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut names = BTreeSet::new();
                let mut end = 0;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        end = map.next_value::<Entry>()?.data_offsets.1.max(end);
                    }
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("`{name}` occurs twice")));
                    }
                }
                Ok(Header { end })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn read(bytes: &[u8]) -> Result<TensorFile> {
        TensorFile::from_bytes(bytes, Path::new("a.safetensors"))
    }

    fn good() -> Vec<u8> {
        let (a, b) = ([1.0, -2.5, 3.0, 0.0, 5.0, 6.0], [f32::MIN_POSITIVE]);
        to_bytes([("a".into(), vec![2, 3], &a[..]), ("b".into(), vec![1], &b[..])], ("format", "pt")).unwrap()
    }

    #[test]
    fn reads_back_what_it_writes_and_writes_the_same_bytes() {
        let read = read(&good()).unwrap();
        assert_eq!(
            read.tensors["a"],
            Tensor { shape: vec![2, 3], data: vec![1.0, -2.5, 3.0, 0.0, 5.0, 6.0] }
        );
        assert_eq!(read.tensors["b"].data, [f32::MIN_POSITIVE]);
        assert_eq!(read.metadata["format"], "pt");
        assert_eq!(good(), good());
        assert!(to_bytes([("a".into(), vec![2], &[0.0][..])], ("k", "v")).is_err());
    }

    #[test]
    fn widens_half_types() {
        let header = r#"{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}}"#;
        let data = [
            f16::from_f32(1.5).to_le_bytes(),
            f16::from_f32(-0.25).to_le_bytes(),
            bf16::from_f32(-3.0).to_le_bytes(),
        ];
        let read = read(&file(header, &data.concat())).unwrap();
        assert_eq!(read.tensors["h"].data, [1.5, -0.25]);
        assert_eq!(read.tensors["b"].data, [-3.0]);
    }

    #[test]
    fn hostile_headers_are_input_errors() {
        // Sixteen tensors whose ends reach 2^64 - 1: consistent in themselves, and their sum with the header overflows.
        let overflow: Vec<String> = (0..16u64)
            .map(|i| {
                let (start, size) = (i << 60, if i < 15 { 1 << 60 } else { (1 << 60) - 1 });
                format!(
                    r#""t{i}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{}]}}"#,
                    start + size
                )
            })
            .collect();
        let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let cases = [
            (vec![], "first 8 bytes"),
            (vec![0; 7], "first 8 bytes"),
            ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "more than the file"),
            (file(&format!(r#"{{"a":{tensor},"a":{tensor}}}"#), &[0; 4]), "occurs twice"),
            (file(&format!(r#"{{"a":{tensor},"b":{tensor}}}"#), &[0; 4]), "nvalid"),
            (file(&format!("{{{}}}", overflow.join(",")), &[]), "beyond the end"),
            (
                file(
                    r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
                    &[0; 4],
                ),
                "header",
            ),
            (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, &[0; 4]), "header"),
            (file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, &[0; 4]), "header"),
            (file(r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]), "header"),
            (file(r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, &[0; 8]), "has type I64"),
            (file("[]", &[]), "header"),
            (file("", &[]), "header"),
            (file(&"[".repeat(100_000), &[]), "header"),
            (good()[..good().len() - 1].to_vec(), "header"),
            ([good(), vec![0]].concat(), "header"),
        ];
        for (bytes, words) in cases {
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.code(), "input");
            let text = error.to_string();
            assert!(
                text.starts_with("a.safetensors: ") && text.contains(words),
                "{text}, expected `{words}`"
            );
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..200, byte: u8, cut in 0usize..200) {
            let mut bytes = good();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read(&bytes);
            prop_assert!(read(&good()[..cut.min(good().len() - 1)]).is_err());
        }
    }
}
