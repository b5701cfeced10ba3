//! Temporary.
use super::source::Dtype;
use crate::kernel::weight::Format;
/// Packed rows.
pub struct Packed {
    /// f
    pub format: Format,
    /// w
    pub words: Vec<u32>,
    /// s
    pub scales: Vec<[f32; 2]>,
}
/// Packs.
pub fn pack(dtype: Dtype, bytes: &[u8], cols: usize) -> crate::Result<Packed> {
    let _ = cols;
    Ok(match dtype {
        Dtype::F32 => {
            Packed { format: Format::F32, words: bytemuck::pod_collect_to_vec(bytes), scales: vec![] }
        }
        Dtype::F16 => {
            Packed { format: Format::F16, words: bytemuck::pod_collect_to_vec(bytes), scales: vec![] }
        }
        Dtype::BF16 => Packed {
            format: Format::F32,
            words: bytes.chunks_exact(2).map(|b| u32::from(b[0]) << 16 | u32::from(b[1]) << 24).collect(),
            scales: vec![],
        },
        _ => Packed { format: Format::F32, words: vec![], scales: vec![] },
    })
}
/// f
pub fn format_of(dtype: Dtype) -> Format {
    match dtype {
        Dtype::F16 => Format::F16,
        _ => Format::F32,
    }
}
/// p
pub fn pack_as(format: Format, v: &[f32], cols: usize) -> Packed {
    let _ = cols;
    Packed { format, words: bytemuck::pod_collect_to_vec(v), scales: vec![] }
}
