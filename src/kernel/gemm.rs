//! Small f32 products with any strides. Shader: shaders/gemm.wgsl. Reference: tests/reference/gemm.rs.

use super::{GROUP, plain, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! {
    Params {
        m: u32, n: u32, k: u32, a_row: u32, a_col: u32, b_row: u32, b_col: u32, alpha: f32, beta: f32,
    }
}

const FORWARD: Kernel = kernel!("gemm", "forward", Params, ["a", "b", "c"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain())]
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
    let groups = groups_for(m.div_ceil(4) * n.div_ceil(4), GROUP as usize);
    rec.dispatch(&FORWARD, &plain(), &params, &[a.buffer(), b.buffer(), c], groups)?;
    rec.flops(2 * m * n * k);
    Ok(())
}
