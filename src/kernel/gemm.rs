//! Small f32 products with any strides. Shader: shaders/gemm.wgsl. Reference: tests/reference/gemm.rs.

use super::{GROUP, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! {
    Params {
        m: u32, n: u32, k: u32, a_row: u32, a_col: u32, b_row: u32, b_col: u32, alpha: f32, beta: f32,
    }
}

const FORWARD: Kernel = kernel!("gemm", "forward", Params, ["a", "b", "c"]);

const FORWARD_SHARED: Kernel = Kernel { entry: "forward_shared", ..FORWARD };

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for (software, m) in [1, 4, 16, 1 << 20].into_iter().flat_map(|m| [(true, m), (false, m)]) {
        let tile = Tile::new(software, m, 4);
        let variant = tile.variant();
        if !variants.iter().any(|(k, v)| k.entry == tile.kernel.entry && *v == variant) {
            variants.push((tile.kernel, variant));
        }
    }
    variants
}

/// With fewer parts of c than this a GPU takes several threads for each, or most of it would have nothing to do.
const TILES: usize = 4096;

/// The part of c that a thread or a workgroup owns, and the threads of a workgroup.
#[derive(Debug, Clone, Copy)]
struct Tile {
    kernel: Kernel,
    group: usize,
    rows: usize,
    cols: usize,
    /// Threads that share a tile.
    share: usize,
}

impl Tile {
    /// The tile for a c `[m, n]`. See `matmul` for what software adapters and GPUs want.
    fn new(software: bool, m: usize, n: usize) -> Self {
        let own = |group, rows, cols| Self { kernel: FORWARD, group, rows, cols, share: 1 };
        match (software, m) {
            (false, _) if m.div_ceil(4) * n.div_ceil(4) < TILES => {
                Self { kernel: FORWARD_SHARED, share: 32, ..own(32, 4, 4) }
            }
            (false, _) => own(GROUP as usize, 4, 4),
            (true, 16..) => own(8, 8, 8),
            // Few rows mean few threads: narrower tiles make enough of them.
            (true, 4..) => own(8, 4, 4),
            (true, _) => own(8, 1, 4),
        }
    }

    fn variant(self) -> Variant {
        let Self { group, rows, cols, .. } = self;
        Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))])
    }
}

/// A matrix as it is stored, or its transpose.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// As stored.
    Plain(&'a Buffer),
    /// Transposed.
    Transposed(&'a Buffer),
}

impl Operand<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Self::Plain(buffer) | Self::Transposed(buffer) => buffer,
        }
    }

    /// Rows, columns, step between rows, step between columns.
    fn layout(&self) -> Result<[usize; 4]> {
        let [rows, cols] = self.buffer().matrix("gemm", "operand")?;
        Ok(match self {
            Self::Plain(_) => [rows, cols, cols, 1],
            Self::Transposed(_) => [cols, rows, 1, cols],
        })
    }
}

/// c `[m, n]` = alpha · a `[m, k]` · b `[k, n]` + beta · c. With beta 0 the old c is not read.
pub fn forward(
    rec: &mut Recorder<'_>,
    a: Operand<'_>,
    b: Operand<'_>,
    c: &Buffer,
    alpha: f32,
    beta: f32,
) -> Result<()> {
    let [m, k, a_row, a_col] = a.layout()?;
    let [k_b, n, b_row, b_col] = b.layout()?;
    if k != k_b {
        return Err(Error::Shape { kernel: "gemm", arg: "b", expected: vec![k, n], got: vec![k_b, n] });
    }
    c.expect("gemm", "c", &[m, n])?;
    let params = Params {
        m: word(m),
        n: word(n),
        k: word(k),
        a_row: word(a_row),
        a_col: word(a_col),
        b_row: word(b_row),
        b_col: word(b_col),
        alpha,
        beta,
    };
    let tile = Tile::new(rec.gpu().is_software(), m, n);
    let groups = groups_for(m.div_ceil(tile.rows) * n.div_ceil(tile.cols) * tile.share, tile.group);
    rec.dispatch(&tile.kernel, &tile.variant(), &params, &[a.buffer(), b.buffer(), c], groups)?;
    rec.flops(2 * m * n * k);
    Ok(())
}
