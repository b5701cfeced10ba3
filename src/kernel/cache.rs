//! How the pages of a cache keep keys and values: as they are, or rounded to 16-bit floats, two a word. The kernels tell by
//! the words of a place which it is. No shader of its own.

use serde::{Deserialize, Serialize};

use crate::gpu::Buffer;
use crate::{Error, Result};

/// The format of keys and values in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheFormat {
    /// As they were computed.
    #[default]
    F32,
    /// Rounded to 16-bit floats: half the memory, and half the bytes that a token reads. Needs no arithmetic in 16 bits.
    F16,
}

impl CacheFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    /// The name that users give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Words of a place that holds `numbers` numbers, a multiple of 4.
    pub fn words(self, numbers: usize) -> usize {
        match self {
            Self::F32 => numbers,
            Self::F16 => numbers / 2,
        }
    }

    /// The format of pages `[places, words]` whose places hold `numbers` numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] for pages of neither format.
    pub(super) fn of(
        kernel: &'static str,
        arg: &'static str,
        pages: &Buffer,
        numbers: usize,
    ) -> Result<Self> {
        let [places, words] = pages.matrix(kernel, arg)?;
        let is = |format: &Self| {
            words == format.words(numbers) && (*format == Self::F32 || numbers.is_multiple_of(4))
        };
        Self::ALL.into_iter().find(is).ok_or_else(|| Error::Shape {
            kernel,
            arg,
            expected: vec![places, numbers],
            got: vec![places, words],
        })
    }

    /// The import that reads the pages.
    pub(super) fn import(self) -> &'static str {
        match self {
            Self::F32 => "cache_f32",
            Self::F16 => "cache_f16",
        }
    }
}
