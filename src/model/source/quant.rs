//! Temporary.
use super::Dtype;
use crate::Result;
/// d
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let p = crate::model::pack::pack(dtype, bytes, 1)?;
    for (i, o) in out.iter_mut().enumerate() {
        *o = match dtype {
            Dtype::F16 => half::f16::from_bits((p.words[i / 2] >> (16 * (i % 2))) as u16).to_f32(),
            _ => f32::from_bits(p.words[i]),
        }
    }
    Ok(())
}
