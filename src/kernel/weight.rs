//! Weight matrices on the GPU in one of the formats of [`format`](super::format), split by rows where they exceed a binding.
//! No shader of its own: each format is a file of `shaders/include/` with the same bindings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use super::format::{Format, GROUP, IQ4, NF4, Numbers};
use crate::gpu::{Buffer, Gpu};
use crate::{Error, Result};

/// Some rows of a weight matrix.
#[derive(Debug, Clone)]
pub struct Part {
    /// First row.
    pub row0: usize,
    /// Number of rows.
    pub rows: usize,
    /// The row of the buffers that is its first.
    pub first: usize,
    /// The values.
    pub words: Buffer,
    /// Scales, or a buffer of one element that nothing reads.
    pub scales: Buffer,
}

impl Part {
    /// It in pieces of up to `rows` rows.
    pub(super) fn pieces(&self, rows: usize) -> impl Iterator<Item = Self> + '_ {
        (0..self.rows).step_by(rows).map(move |start| Self {
            row0: self.row0 + start,
            rows: rows.min(self.rows - start),
            first: self.first + start,
            ..self.clone()
        })
    }
}

/// A weight matrix `[rows, cols]`, stored row by row.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Storage format.
    pub format: Format,
    /// Rows (output features).
    pub rows: usize,
    /// Columns (input features).
    pub cols: usize,
    /// The parts, in order of rows.
    pub parts: Vec<Part>,
    /// Bits of a bound of what was written, where that matters.
    largest: Arc<AtomicU32>,
}

/// Sizes of a matrix's largest weight with which f16 represents the matrix well: below f16's largest number, and so far above
/// its smallest normal one that what is lost of the small weights is less than a rounding of the large ones.
const SUIT_F16: [f32; 2] = [1.0 / 512.0, 65504.0];

impl Weight {
    /// Allocates a matrix; fill it with [`Weight::write_rows`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the columns do not suit the format, [`Error::OutOfMemory`] if it does not fit.
    pub fn new(gpu: &Gpu, label: &str, format: Format, rows: usize, cols: usize) -> Result<Self> {
        let multiple = format.column_multiple();
        if !cols.is_multiple_of(multiple) || rows == 0 || cols == 0 {
            return Err(Error::Shape {
                kernel: "weight",
                arg: "columns",
                expected: vec![rows, cols.next_multiple_of(multiple)],
                got: vec![rows, cols],
            });
        }
        let words_per_row = cols / format.values_per_word();
        let rows_per_part = usize::try_from(gpu.max_binding_bytes() / (words_per_row as u64 * 4))
            .unwrap_or(usize::MAX)
            .max(1);
        let mut parts = Vec::new();
        let mut row0 = 0;
        while row0 < rows {
            let count = rows_per_part.min(rows - row0);
            let scales = if format.has_scales() { count * cols / GROUP * 2 } else { 1 };
            parts.push(Part {
                row0,
                rows: count,
                first: 0,
                words: gpu.buffer(label, &[count, words_per_row])?,
                scales: gpu.buffer(label, &[scales])?,
            });
            row0 += count;
        }
        Ok(Self { format, rows, cols, parts, largest: Arc::default() })
    }

    /// Writes packed rows from `row` on: `words` of whole rows, and their `scales` (empty for formats without).
    ///
    /// # Errors
    /// [`Error::Shape`] if that is no number of whole rows, more rows than there are, or not their scales.
    pub fn write_rows(&self, gpu: &Gpu, row: usize, words: &[u32], scales: &[[f32; 2]]) -> Result<()> {
        let words_per_row = self.cols / self.format.values_per_word();
        let scales_per_row = if self.format.has_scales() { self.cols / GROUP } else { 0 };
        let count = words.len() / words_per_row;
        if words.len() != count * words_per_row
            || scales.len() != count * scales_per_row
            || row + count > self.rows
        {
            return Err(Error::Shape {
                kernel: "weight",
                arg: "row, words, scales",
                expected: vec![
                    self.rows - count.min(self.rows),
                    count * words_per_row,
                    count * scales_per_row,
                ],
                got: vec![row, words.len(), scales.len()],
            });
        }
        if gpu.coop().is_some() {
            // Numbers that are not negative have the order of their bits.
            self.largest.fetch_max(self.format.largest(words, scales).to_bits(), Ordering::Relaxed);
        }
        for part in &self.parts {
            let start = row.max(part.row0);
            let end = (row + count).min(part.row0 + part.rows);
            if start >= end {
                continue;
            }
            let from = (start - row)..(end - row);
            let to = part.first + start - part.row0;
            gpu.write(
                &part.words,
                to * words_per_row,
                &words[from.start * words_per_row..from.end * words_per_row],
            )?;
            if scales_per_row > 0 {
                let rows = &scales[from.start * scales_per_row..from.end * scales_per_row];
                gpu.write(&part.scales, to * scales_per_row * 2, bytemuck::cast_slice::<_, f32>(rows))?;
            }
        }
        Ok(())
    }

    /// Rows `row .. row + rows` as a matrix of their own, in the same memory.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no such rows.
    pub fn rows_from(&self, row: usize, rows: usize) -> Result<Self> {
        if row + rows > self.rows {
            return Err(Error::Shape {
                kernel: "weight",
                arg: "rows",
                expected: vec![self.rows],
                got: vec![row, rows],
            });
        }
        let cut = |part: &Part| {
            let [start, end] = [row.max(part.row0), (row + rows).min(part.row0 + part.rows)];
            (start < end).then(|| Part {
                row0: start - row,
                rows: end - start,
                first: part.first + start - part.row0,
                ..part.clone()
            })
        };
        Ok(Self { rows, parts: self.parts.iter().filter_map(cut).collect(), ..self.clone() })
    }

    /// Whether f16 represents all weights well. Always `false` on devices without cooperative matrices ([`Gpu::coop`]), where
    /// nobody reads it: only their products take weights as f16 numbers.
    pub fn suits_f16(&self) -> bool {
        let largest = f32::from_bits(self.largest.load(Ordering::Relaxed));
        (SUIT_F16[0]..=SUIT_F16[1]).contains(&largest)
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.format.bytes(self.rows, self.cols)
    }

    /// An f32 matrix with these values.
    pub fn from_f32(gpu: &Gpu, label: &str, rows: usize, cols: usize, values: &[f32]) -> Result<Self> {
        let weight = Self::new(gpu, label, Format::F32, rows, cols)?;
        let words: &[u32] = bytemuck::cast_slice(values);
        weight.write_rows(gpu, 0, words, &[])?;
        Ok(weight)
    }
}
