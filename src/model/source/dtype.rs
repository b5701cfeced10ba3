//! How the values of a tensor are stored in files: one row a type. Block formats are ggml's.

use crate::error::either;
use crate::kernel::weight::Format;

/// All that is particular to a type but its decoding, which is in [`quant`](super::quant).
struct Row {
    dtype: Dtype,
    /// As llama.cpp names it.
    name: &'static str,
    /// `(values, bytes)` of the smallest piece that can be decoded alone.
    block: (usize, usize),
    /// ggml's number in GGUF files, or [`NONE`].
    ggml: u32,
    /// The layout on the GPU that keeps every value.
    format: Format,
}

/// Stands for ggml's number of a type that it has not.
const NONE: u32 = 0xffff_ffff;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $dtype:ident: $name:literal, $block:expr, $ggml:literal, $format:ident;)*) => {
        /// How a tensor's values are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Dtype {
            $($(#[$doc])* $dtype),*
        }

        const ROWS: &[Row] = &[$(Row {
            dtype: Dtype::$dtype,
            name: $name,
            block: $block,
            ggml: $ggml,
            format: Format::$format,
        }),*];
    };
}

dtypes! {
    /// IEEE double, of which the nearest single is used.
    F64: "F64", (1, 8), 28, F32;
    /// IEEE single.
    F32: "F32", (1, 4), 0, F32;
    /// IEEE half.
    F16: "F16", (1, 2), 1, F16;
    /// The upper half of an IEEE single.
    BF16: "BF16", (1, 2), 30, F32;
    /// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinity.
    F8E4M3: "F8_E4M3", (1, 1), 0xffff_ffff, F32;
    /// 8-bit, scale per 32.
    Q8_0: "Q8_0", (32, 34), 8, Q8;
    /// 4-bit, scale per 32.
    Q4_0: "Q4_0", (32, 18), 2, Q4;
    /// 4-bit, scale and minimum per 32.
    Q4_1: "Q4_1", (32, 20), 3, Q4;
    /// 5-bit, scale per 32.
    Q5_0: "Q5_0", (32, 22), 6, Q8;
    /// 5-bit, scale and minimum per 32.
    Q5_1: "Q5_1", (32, 24), 7, Q8;
    /// 4-bit, 6-bit scale and minimum per 32, in blocks of 256.
    Q4K: "Q4_K", (256, 144), 12, Q4;
    /// 5-bit, 6-bit scale and minimum per 32, in blocks of 256.
    Q5K: "Q5_K", (256, 176), 13, Q8;
    /// 6-bit, 8-bit scale per 16, in blocks of 256.
    Q6K: "Q6_K", (256, 210), 14, Q8x2;
    /// 2-bit, 4-bit scale and minimum per 16, in blocks of 256.
    Q2K: "Q2_K", (256, 84), 10, Q2x2;
    /// 3-bit, 6-bit scale per 16, in blocks of 256.
    Q3K: "Q3_K", (256, 110), 11, Q8x2;
    /// 4-bit by a table, scale per 32.
    Iq4Nl: "IQ4_NL", (32, 18), 20, Iq4;
    /// 4-bit by the same table, 6-bit scale per 32, in blocks of 256.
    Iq4Xs: "IQ4_XS", (256, 136), 23, Iq4;
    /// 4-bit, scale and constant in singles, then nibbles in the order of the values: of MLX, GPTQ, AWQ, compressed-tensors.
    Groups4: "4-bit groups", (32, 24), 0xffff_ffff, Q4;
    /// The same in 8-bit, without a sign.
    Groups8: "8-bit groups", (32, 40), 0xffff_ffff, Q8;
    /// 4-bit by bitsandbytes' table for normal numbers: scale in a single, then nibbles, of which the high one comes first.
    Nf4: "NF4", (32, 20), 0xffff_ffff, Nf4;
    /// Powers of two: 8 bits of exponent, nothing else.
    F8E8M0: "F8_E8M0", (1, 1), 0xffff_ffff, F32;
    /// Bytes without a sign. Part of a matrix, as are those below.
    U8: "U8", (1, 1), 0xffff_ffff, F32;
    /// Bytes with one.
    I8: "I8", (1, 1), 0xffff_ffff, F32;
    /// Words of integers.
    I32: "I32", (1, 4), 0xffff_ffff, F32;
    /// The same as MLX stores them.
    U32: "U32", (1, 4), 0xffff_ffff, F32;
    /// Integers of 8 bytes, such as a shape's.
    I64: "I64", (1, 8), 0xffff_ffff, F32;
}

impl Dtype {
    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The name, as llama.cpp has it.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// `(values, bytes)` of the smallest piece that can be decoded alone.
    pub const fn block(self) -> (usize, usize) {
        self.row().block
    }

    /// The layout on the GPU that keeps every value, where rows fit it.
    pub const fn format(self) -> Format {
        self.row().format
    }

    /// Bytes of `values` consecutive values; `None` if they are not whole blocks or the size overflows.
    pub fn size(self, values: usize) -> Option<usize> {
        let (block, bytes) = self.block();
        if values.is_multiple_of(block) { (values / block).checked_mul(bytes) } else { None }
    }

    /// Whether values of this type are no weights by themselves: what they stand for, another tensor says.
    pub const fn is_part(self) -> bool {
        matches!(self, Self::U8 | Self::I8 | Self::I32 | Self::U32 | Self::I64)
    }

    /// ggml's number in GGUF files, which types of other files have not.
    pub const fn ggml(self) -> u32 {
        self.row().ggml
    }

    /// The type of ggml's number.
    pub(super) fn from_ggml(number: u32) -> Option<Self> {
        ROWS.iter().find(|row| row.ggml == number && number != NONE).map(|row| row.dtype)
    }

    /// The names of all types of GGUF files, as a sentence lists them.
    pub(super) fn names() -> String {
        either(&ROWS.iter().filter(|row| row.ggml != NONE).map(|row| row.name).collect::<Vec<_>>())
    }
}
