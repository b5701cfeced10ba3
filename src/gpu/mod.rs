//! Device, buffers, shader text, pipelines, recordings and readback: the only folder that names wgpu.

mod buffer;
pub mod buffer_set;
mod coop;
mod device;
mod pipeline;
mod profile;
mod readback;
mod recording;
pub mod shader;
mod submit;
mod tuned;

pub use buffer::{Buffer, Memory, VIEW_ALIGNMENT, region_elements};
pub use coop::Coop;
pub use device::{AdapterReport, Gpu, GpuOptions, adapters};
pub use profile::{Profile, ProfileRow};
pub use readback::Pending;
pub use recording::{Recorder, Recording, groups_for};
pub use shader::{Kernel, Variant};
pub use submit::Work;
