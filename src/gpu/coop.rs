//! Cooperative matrices: square pieces of a product that a subgroup multiplies together, on the tensor cores of a GPU that
//! has them. Native only, and experimental in wgpu.

/// The cooperative matrices that kernels use: f16 factors and f32 sums, `side` x `side` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coop {
    /// Rows and columns: 8 or 16.
    pub side: usize,
    /// The most threads that a subgroup may have.
    pub lanes: usize,
    /// Whether they are loaded from vectors of 4 numbers, which a workgroup writes with fewer instructions. Metal loads them
    /// from single numbers only.
    pub vectors: bool,
}

impl Coop {
    /// What an adapter offers, if it is of use; larger pieces are better.
    pub(super) fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        let side = largest(&adapter.cooperative_matrix_properties())?;
        let info = adapter.get_info();
        let metal = info.backend == wgpu::Backend::Metal;
        // wgpu knows no size of Metal's subgroups; every Apple GPU with cooperative matrices has 32 threads.
        let lanes = if metal { 32 } else { info.subgroup_max_size as usize };
        Some(Self { side, lanes, vectors: !metal })
    }

    /// What a kernel of these matrices imports.
    pub fn imports(self) -> [&'static str; 2] {
        let side = if self.side == 8 { "coop8" } else { "coop16" };
        [side, if self.vectors { "tiles_f16x4" } else { "tiles_f16" }]
    }
}

/// The side of the largest square f16 matrices with f32 sums.
fn largest(offered: &[wgpu::CooperativeMatrixProperties]) -> Option<usize> {
    let wanted = |side: u32| {
        offered.iter().any(|p| {
            [p.m_size, p.n_size, p.k_size] == [side; 3]
                && p.ab_type == wgpu::CooperativeScalarType::F16
                && p.cr_type == wgpu::CooperativeScalarType::F32
        })
    };
    [16, 8].into_iter().find(|&side| wanted(side)).map(|side| side as usize)
}

/// wgpu's permission for the experimental features among `features`.
#[allow(unsafe_code, reason = "wgpu asks for it before it enables what is experimental")]
pub(super) fn permission(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the only experimental feature that is asked for is cooperative matrices. Their loads and stores are not
    // checked against the bounds of what they point into, and they must be reached by whole subgroups. In all kernels that
    // use them (shaders/product/matrix_units.wgsl, shaders/peak_coop.wgsl) places in workgroup memory are bounded by constants and the
    // subgroup's number, which is cut to the number of places, and what surrounds them branches and loops on what is the same
    // for the whole workgroup. Shader text never comes from outside of this crate.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

#[cfg(test)]
mod tests {
    use wgpu::CooperativeScalarType::{F16, F32};

    use super::*;

    #[test]
    fn the_largest_square_pieces_with_f32_sums_are_taken() {
        let offer = |m_size, n_size, k_size, ab_type, cr_type| wgpu::CooperativeMatrixProperties {
            m_size,
            n_size,
            k_size,
            ab_type,
            cr_type,
            saturating_accumulation: false,
        };
        let (small, large) = (offer(8, 8, 8, F16, F32), offer(16, 16, 16, F16, F32));
        assert_eq!(largest(&[small, large]), Some(16));
        assert_eq!(largest(&[small]), Some(8));
        let others = [offer(16, 16, 16, F16, F16), offer(16, 16, 16, F32, F32), offer(16, 8, 16, F16, F32)];
        assert_eq!(largest(&others), None);
    }
}
