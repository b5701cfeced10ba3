//! Embedding rows by token. Shader: shaders/embed.wgsl. Reference: tests/reference/embed.rs.

use super::weight::{Format, Weight};
use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { m: u32, cols: u32, row0: u32, rows: u32, first: u32, scale: f32 } }

const FORWARD: Kernel = kernel!("embed", "forward", Params, ["w", "w_scale", "token", "y"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    Format::ALL.into_iter().map(|format| (FORWARD, plain().import(format.import()))).collect()
}

/// y `[m, cols]` = `scale` · the rows of `w` named by token `[m]`.
pub fn forward(rec: &mut Recorder<'_>, w: &Weight, token: &Buffer, scale: f32, y: &Buffer) -> Result<()> {
    let m = token.len();
    y.expect("embed", "y", &[m, w.cols])?;
    for part in &w.parts {
        let params = Params {
            m: word(m),
            cols: word(w.cols),
            row0: word(part.row0),
            rows: word(part.rows),
            first: word(part.first),
            scale,
        };
        let groups = groups_for(m * w.cols / 8, GROUP as usize);
        let variant = plain().import(w.format.import());
        rec.dispatch(&FORWARD, &variant, &params, &[&part.words, &part.scales, token, y], groups)?;
    }
    Ok(())
}
