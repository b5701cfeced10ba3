//! How weights are stored on the GPU: one row a format, from which all lists of formats follow. No shader of its own: each row
//! names the file of `shaders/include/` that decodes it.

use half::f16;

use crate::error::either;

/// Values of a block: they share two numbers.
pub const GROUP: usize = 32;

/// What the nibbles of [`Format::Iq4`] stand for (ggml's `kvalues_iq4nl`).
pub const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// What the nibbles of [`Format::Nf4`] stand for: of the quantiles of a normal distribution, the ones that bitsandbytes has (Dettmers
/// et al. 2023, "QLoRA").
pub const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// One block: its integers, its two numbers, and the constants of its halves, which only [`Numbers::TwoScalesMins`] has.
type Block = ([i8; GROUP], [f32; 2], [f32; 2]);

/// All that is particular to a format.
#[derive(Debug)]
struct Row {
    /// As users write it and reports show it.
    name: &'static str,
    /// The include file that decodes it.
    import: &'static str,
    /// Values in a 4-byte word.
    values_per_word: usize,
    /// How values become words.
    layout: Layout,
    /// The most that storing changes a value, as a share of the largest size in its block, or of its own size.
    error: f32,
    /// What it is, for users who may ask for it; `None` for one that only files lead to.
    offered: Option<&'static str>,
}

/// How values become words.
#[derive(Debug)]
enum Layout {
    /// Each value by itself: values to words, and a word with a value's place in it to the value.
    Plain { pack: fn(&[f32], &mut Vec<u32>), unpack: fn(u32, usize) -> f32 },
    /// Integers, with two numbers for [`GROUP`] of them.
    Blocks(Blocks),
}

#[derive(Debug)]
struct Blocks {
    numbers: Numbers,
    /// The largest size of what is scaled.
    most: f32,
    /// The nearest block to some values.
    quantise: fn(&[f32; GROUP]) -> Block,
    /// Adds the words of a block's integers, with the constants of its halves where they are among them.
    push: fn(&[i8; GROUP], [f32; 2], &mut Vec<u32>),
    /// A word with an integer's place in it to the number that is scaled: the integer, or what it stands for.
    number: fn(u32, usize) -> f32,
}

/// What the two numbers of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// (scale, min): scale·q + min.
    ScaleMin,
    /// (scale of the first half, scale of the second half): scale·q.
    TwoScales,
    /// The same, with a constant for each half among the words: scale·q + min.
    TwoScalesMins,
}

macro_rules! formats {
    ($($(#[$doc:meta])* $format:ident = $row:expr;)*) => {
        /// How the values of a weight matrix are stored on the GPU.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Format {
            $($(#[$doc])* $format),*
        }

        impl Format {
            /// Every format.
            pub const ALL: [Self; [$(stringify!($format)),*].len()] = [$(Self::$format),*];

            const fn row(self) -> &'static Row {
                match self {
                    $(Self::$format => {
                        const ROW: Row = $row;
                        &ROW
                    })*
                }
            }
        }
    };
}

formats! {
    /// 4 bytes a value.
    F32 = Row {
        name: "f32",
        import: "weight_f32",
        values_per_word: 1,
        layout: Layout::Plain { pack: pack_f32, unpack: |word, _| f32::from_bits(word) },
        error: 0.0,
        offered: Some("32-bit floats"),
    };
    /// 2 bytes a value; the low half of a word is the even column.
    F16 = Row {
        name: "f16",
        import: "weight_f16",
        values_per_word: 2,
        layout: Layout::Plain {
            pack: pack_f16,
            unpack: |word, at| f16::from_bits((word >> (16 * at)) as u16).to_f32(),
        },
        error: 1.0 / 2048.0,
        offered: Some("16-bit floats"),
    };
    /// Signed bytes with (scale, min) for 32 values: scale·q + min.
    Q8 = Row {
        name: "q8",
        import: "weight_q8",
        values_per_word: 4,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::ScaleMin,
            most: 128.0,
            quantise: |values| {
                let scale = symmetric(values);
                (round(values, [scale; 2], [0.0; 2], [-127.0, 127.0]), [scale, 0.0], [0.0; 2])
            },
            push: push_bytes,
            number: byte,
        }),
        error: 1.0 / 254.0,
        offered: Some("8-bit blocks"),
    };
    /// Signed bytes with (scale of the first 16, scale of the second 16) for 32 values: scale·q.
    Q8x2 = Row {
        name: "q8x2",
        import: "weight_q8x2",
        values_per_word: 4,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::TwoScales,
            most: 128.0,
            quantise: |values| {
                let scales = [symmetric(&values[..GROUP / 2]), symmetric(&values[GROUP / 2..])];
                (round(values, scales, [0.0; 2], [-127.0, 127.0]), scales, [0.0; 2])
            },
            push: push_bytes,
            number: byte,
        }),
        error: 1.0 / 254.0,
        offered: None,
    };
    /// Nibbles with (scale, min) for 32 values: scale·q + min, q in 0..15; value i of a word at bits 4i.
    Q4 = Row {
        name: "q4",
        import: "weight_q4",
        values_per_word: 8,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::ScaleMin,
            most: 15.0,
            quantise: |values| {
                let (scale, low) = affine(values, 15.0);
                (round(values, [scale; 2], [low; 2], [0.0, 15.0]), [scale, low], [0.0; 2])
            },
            push: push_nibbles,
            number: |word, at| (word >> (4 * at) & 15) as f32,
        }),
        error: 1.0 / 15.0,
        offered: Some("4-bit blocks"),
    };
    /// Nibbles with (scale of the first 16, scale of the second 16) for 32 values: scale·[`IQ4`] of q; value i of a word at bits 4i.
    Iq4 = Row {
        name: "iq4",
        import: "weight_iq4",
        values_per_word: 8,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::TwoScales,
            most: 127.0,
            quantise: |values| {
                let scale = |half: &[f32]| {
                    half.iter().fold(0f32, |most, &value| if value.abs() > most.abs() { value } else { most }) / -127.0
                };
                let scales = [scale(&values[..GROUP / 2]), scale(&values[GROUP / 2..])];
                let q = std::array::from_fn(|i| {
                    let wanted = values[i] / scales[i / (GROUP / 2)];
                    let nearer = |a: &i8, b: &i8| {
                        (f32::from(*a) - wanted).abs().total_cmp(&(f32::from(*b) - wanted).abs())
                    };
                    IQ4.into_iter().min_by(nearer).unwrap_or(1)
                });
                (q, scales, [0.0; 2])
            },
            push: |q, _, words| {
                let index = |q: i8| IQ4.iter().position(|&value| value == q).unwrap_or(0) as i8;
                push_nibbles(&q.map(index), [0.0; 2], words);
            },
            number: |word, at| f32::from(IQ4[(word >> (4 * at) & 15) as usize]),
        }),
        error: 14.0 / 127.0,
        offered: None,
    };
    /// Nibbles with (scale of the first 16, scale of the second 16) for 32 values: scale·[`NF4`] of q; value i of a word at bits 4i.
    Nf4 = Row {
        name: "nf4",
        import: "weight_nf4",
        values_per_word: 8,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::TwoScales,
            most: 1.0,
            quantise: |values| {
                let scales = [&values[..GROUP / 2], &values[GROUP / 2..]].map(|half| symmetric(half) * 127.0);
                let q = std::array::from_fn(|i| {
                    let wanted = values[i] / scales[i / (GROUP / 2)];
                    let distance = |index: &i8| (NF4[*index as usize] - wanted).abs();
                    (0..16).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(7)
                });
                (q, scales, [0.0; 2])
            },
            push: push_nibbles,
            number: |word, at| NF4[(word >> (4 * at) & 15) as usize],
        }),
        error: 0.152,
        offered: None,
    };
    /// Integers of 2 bits with (scale, min) for 16 values: scale·q + min, q in 0..3. Value i of a word at bits 2i; the upper halves
    /// of the two words of 16 values are the lower and the upper half of their min.
    Q2x2 = Row {
        name: "q2x2",
        import: "weight_q2x2",
        values_per_word: 8,
        layout: Layout::Blocks(Blocks {
            numbers: Numbers::TwoScalesMins,
            most: 3.0,
            quantise: |values| {
                let halves = [&values[..GROUP / 2], &values[GROUP / 2..]].map(|half| affine(half, 3.0));
                let (scales, mins) = (halves.map(|(scale, _)| scale), halves.map(|(_, min)| min));
                (round(values, scales, mins, [0.0, 3.0]), scales, mins)
            },
            push: push_two_bits,
            number: |word, at| (word >> (2 * at) & 3) as f32,
        }),
        error: 1.0 / 3.0,
        offered: None,
    };
}

impl Format {
    /// The formats that a user may ask for, each with what it is.
    pub fn offered() -> impl Iterator<Item = (Self, &'static str)> {
        Self::ALL.into_iter().filter_map(|format| Some((format, format.row().offered?)))
    }

    /// The names of those offered formats for which `which` holds, as a sentence lists them.
    pub fn choice(which: impl Fn(Self) -> bool) -> String {
        let formats = Self::offered().map(|(format, _)| format).filter(|&format| which(format));
        either(&formats.map(Self::name).collect::<Vec<_>>())
    }

    /// The offered format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::offered().map(|(format, _)| format).find(|format| format.name() == name)
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The include file that decodes it.
    pub fn import(self) -> &'static str {
        self.row().import
    }

    /// Values in a 4-byte word.
    pub fn values_per_word(self) -> usize {
        self.row().values_per_word
    }

    /// The most that storing changes a value, as a share of the largest size in its block, or of its own size where each is stored
    /// by itself.
    pub fn error(self) -> f32 {
        self.row().error
    }

    const fn blocks(self) -> Option<&'static Blocks> {
        match &self.row().layout {
            Layout::Blocks(blocks) => Some(blocks),
            Layout::Plain { .. } => None,
        }
    }

    /// What the two numbers of a block are; `None` for formats without blocks.
    pub fn numbers(self) -> Option<Numbers> {
        self.blocks().map(|blocks| blocks.numbers)
    }

    /// Whether every 32 values have two numbers more.
    pub const fn has_scales(self) -> bool {
        self.blocks().is_some()
    }

    /// Columns must be a multiple of this.
    pub const fn column_multiple(self) -> usize {
        if self.has_scales() { GROUP } else { 8 }
    }

    /// This format if rows of `cols` values fit it, else the next more precise one that does: formats of blocks need rows of
    /// whole blocks and become F16; F16 needs even rows and becomes F32.
    pub fn for_cols(self, cols: usize) -> Self {
        let fits = |format: &Self| {
            cols.is_multiple_of(if format.has_scales() { GROUP } else { format.values_per_word() })
        };
        [self, Self::F16].into_iter().find(fits).unwrap_or(Self::F32)
    }

    /// Bytes of a matrix.
    pub fn bytes(self, rows: usize, cols: usize) -> u64 {
        let words = rows * cols / self.values_per_word();
        let scales = if self.has_scales() { rows * cols / GROUP * 2 } else { 0 };
        (words + scales) as u64 * 4
    }

    /// Whole rows of values as words, and a pair of numbers for each block.
    pub(crate) fn pack(self, values: &[f32]) -> (Vec<u32>, Vec<[f32; 2]>) {
        let mut words = Vec::with_capacity(values.len() / self.values_per_word());
        let mut scales = Vec::new();
        match &self.row().layout {
            Layout::Plain { pack, .. } => pack(values, &mut words),
            Layout::Blocks(blocks) => {
                for group in values.as_chunks::<GROUP>().0 {
                    let (q, pair, mins) = (blocks.quantise)(group);
                    (blocks.push)(&q, mins, &mut words);
                    scales.push(pair);
                }
            }
        }
        (words, scales)
    }

    /// Adds a block's integers to `words`, and the constants of its halves where they are among them; those formats that have no
    /// blocks have no integers.
    pub(crate) fn push_integers(self, q: &[i8; GROUP], mins: [f32; 2], words: &mut Vec<u32>) {
        if let Some(blocks) = self.blocks() {
            (blocks.push)(q, mins, words);
        }
    }

    /// Value `index` of what was packed.
    pub(crate) fn value(self, words: &[u32], scales: &[[f32; 2]], index: usize) -> f32 {
        let (word, at) = (words[index / self.values_per_word()], index % self.values_per_word());
        match &self.row().layout {
            Layout::Plain { unpack, .. } => unpack(word, at),
            Layout::Blocks(blocks) => {
                let (q, pair) = ((blocks.number)(word, at), scales[index / GROUP]);
                let side = index % GROUP / (GROUP / 2);
                match blocks.numbers {
                    Numbers::ScaleMin => pair[0] * q + pair[1],
                    Numbers::TwoScales => pair[side] * q,
                    Numbers::TwoScalesMins => pair[side] * q + mins(&words[index / GROUP * 4..])[side],
                }
            }
        }
    }

    /// A bound of the sizes of packed values, for f32 and f16 the largest of them; infinite or no number if one of them is.
    pub(super) fn largest(self, words: &[u32], scales: &[[f32; 2]]) -> f32 {
        let size = |word: u32| word & 0x7fff_ffff;
        let largest = match (self, self.blocks()) {
            (_, Some(blocks)) => {
                let of_second = if blocks.numbers == Numbers::ScaleMin { 1.0 } else { blocks.most };
                let constants = |block: usize| match blocks.numbers {
                    Numbers::TwoScalesMins => mins(&words[4 * block..]).iter().map(|min| min.abs()).sum(),
                    _ => 0.0f32,
                };
                let bound = |(block, [first, second]): (usize, &[f32; 2])| {
                    first.abs() * blocks.most + second.abs() * of_second + constants(block)
                };
                scales.iter().enumerate().map(|pair| size(bound(pair).to_bits())).max()
            }
            (Self::F16, None) => {
                let halves = words.iter().map(|word| (word & 0x7fff).max(word >> 16 & 0x7fff));
                let bits = halves.max().and_then(|bits| u16::try_from(bits).ok());
                bits.map(|bits| f16::from_bits(bits).to_f32().to_bits())
            }
            (_, None) => words.iter().map(|&word| size(word)).max(),
        };
        f32::from_bits(largest.unwrap_or(0))
    }
}

fn pack_f32(values: &[f32], words: &mut Vec<u32>) {
    words.extend(values.iter().map(|value| value.to_bits()));
}

fn pack_f16(values: &[f32], words: &mut Vec<u32>) {
    let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
    words.extend(values.as_chunks().0.iter().map(|&[low, high]| bits(low) | bits(high) << 16));
}

fn push_bytes(q: &[i8; GROUP], _: [f32; 2], words: &mut Vec<u32>) {
    words.extend(q.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(four.map(|q| q as u8))));
}

fn push_nibbles(q: &[i8; GROUP], _: [f32; 2], words: &mut Vec<u32>) {
    for eight in q.as_chunks::<8>().0 {
        words.push(eight.iter().rev().fold(0, |word, &q| word << 4 | u32::from(q as u8 & 15)));
    }
}

fn push_two_bits(q: &[i8; GROUP], mins: [f32; 2], words: &mut Vec<u32>) {
    let halves = mins.map(f32::to_bits).into_iter().flat_map(|bits| [bits & 0xffff, bits >> 16]);
    for (eight, half) in q.as_chunks::<8>().0.iter().zip(halves) {
        words.push(eight.iter().rev().fold(half, |word, &q| word << 2 | u32::from(q as u8 & 3)));
    }
}

/// The constants of the halves of the block that begins with `words`.
fn mins(words: &[u32]) -> [f32; 2] {
    [0, 2].map(|at| f32::from_bits(words[at] >> 16 | words[at + 1] & 0xffff_0000))
}

fn byte(word: u32, at: usize) -> f32 {
    f32::from((word >> (8 * at)) as i8)
}

/// The scale with which signed bytes reach the largest of `values`.
fn symmetric(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0
}

/// The scale with which `steps` integers reach from the smallest of `values` to the largest, and the smallest.
fn affine(values: &[f32], steps: f32) -> (f32, f32) {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    ((high - low) / steps, low)
}

/// The nearest integers in `range`, with a scale and a constant for each half.
fn round(values: &[f32; GROUP], scales: [f32; 2], mins: [f32; 2], [low, high]: [f32; 2]) -> [i8; GROUP] {
    std::array::from_fn(|i| {
        let (scale, min) = (scales[i / (GROUP / 2)], mins[i / (GROUP / 2)]);
        if scale > 0.0 { ((values[i] - min) / scale).round().clamp(low, high) as i8 } else { 0 }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_as_exact_as_its_row_says_and_no_more() {
        let values: Vec<f32> = (0..512).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.01).collect();
        for format in Format::ALL {
            let (words, scales) = format.pack(&values);
            assert_eq!((words.len() * 4 + scales.len() * 8) as u64, format.bytes(1, values.len()));
            assert_eq!(scales.len(), if format.has_scales() { values.len() / GROUP } else { 0 });
            let mut most = 0f32;
            for (index, &value) in values.iter().enumerate() {
                let group = &values[index / GROUP * GROUP..][..GROUP];
                let size = group.iter().fold(0f32, |most, value| most.max(value.abs()));
                most = most.max((format.value(&words, &scales, index) - value).abs() / size);
            }
            let bound = format.error();
            assert!(most <= bound * 1.001 && most >= bound / 8.0, "{format:?}: {most} of {bound}");
            assert!(format.largest(&words, &scales) >= 0.499, "{format:?}");
        }
    }

    #[test]
    fn names_are_those_that_settings_are_stored_under() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
            let offered = Format::offered().any(|(other, _)| other == format);
            assert_eq!(Format::named(format.name()), offered.then_some(format));
        }
        let names: Vec<_> = Format::offered().map(|(format, _)| format.name()).collect();
        assert_eq!(names, ["f32", "f16", "q8", "q4"]);
        assert_eq!(Format::choice(Format::has_scales), "q8 or q4");
    }
}
