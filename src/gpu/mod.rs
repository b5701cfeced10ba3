//! Device, buffers, shader text, pipelines, recorded plans and readback: the only folder that names wgpu.

mod buffer;
pub mod buffer_set;
mod coop;
mod device;
mod pipeline;
mod plan;
mod profile;
mod readback;
pub mod shader;
mod submit;
mod tuned;

pub use buffer::{Buffer, Memory, VIEW_ALIGNMENT, region_elements};
pub use coop::Coop;
pub use device::{AdapterReport, Gpu, GpuOptions, adapters};
pub use plan::{Plan, Recorder, groups_for};
pub use profile::{Profile, ProfileRow};
pub use readback::Pending;
pub use shader::{Kernel, Variant};
pub use submit::Work;
