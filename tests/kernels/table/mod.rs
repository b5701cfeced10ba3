//! Every kernel with its cases.

mod adjust;
mod attention;
mod cache;
mod case;
mod decode;
pub(crate) mod few;
mod lora;
pub(crate) mod matmul;
mod peak;
mod rows;
pub(crate) mod sample;
mod segments;
mod update;

use case::Case;
use stepladder::gpu::Gpu;

/// The stem of a shader and the cases of its kernels.
pub(crate) type Row = (&'static str, fn() -> Vec<Case>);

/// Every kernel that runs on any adapter.
pub(crate) const TABLE: &[Row] = &[
    ("adamw", update::adamw),
    ("adjust", adjust::cases),
    ("attention/decode", decode::decode),
    ("attention/decode_split", decode::decode_split),
    ("attention/full", attention::cases),
    ("attention/tiled", attention::tiled),
    ("embed", matmul::embed),
    ("gather", rows::gather),
    ("kv_write", cache::kv_write),
    ("log_softmax", rows::log_softmax),
    ("lora/down", lora::down),
    ("lora/grad", lora::gradients),
    ("lora/grad_lanes", lora::tall_gradients),
    ("peak", peak::cases),
    ("product/direct", matmul::cases),
    ("product/few_rows", few::cases),
    ("product/per_lane", matmul::lanes),
    ("product/tiled", matmul::tiled),
    ("rms_norm", rows::rms_norm),
    ("rope", rows::rope),
    ("sample", sample::cases),
    ("swiglu", rows::swiglu),
];

/// The kernels with cooperative matrices, which only some native adapters have.
pub(crate) const COOP: &[Row] = &[("product/matrix_units", matmul::coop), ("peak_coop", peak::coop)];

/// What came of some cases.
pub(crate) struct Outcome {
    /// Number of cases.
    pub(crate) cases: usize,
    /// Worst error ÷ bound of those within their bounds, and the case that had it.
    pub(crate) worst: f64,
    pub(crate) worst_at: String,
    /// Every case that is out of bounds, with what is wrong.
    pub(crate) failures: Vec<String>,
}

/// Runs cases one after the other.
pub(crate) async fn run(gpu: &Gpu, cases: &[Case]) -> Outcome {
    let cases: Vec<&Case> = cases.iter().filter(|case| case.suits(gpu)).collect();
    let mut outcome =
        Outcome { cases: cases.len(), worst: 0.0, worst_at: String::new(), failures: Vec::new() };
    for case in cases {
        match case.run(gpu).await {
            Ok(ratio) if ratio > outcome.worst => {
                (outcome.worst, outcome.worst_at) = (ratio, case.name.clone());
            }
            Ok(_) => {}
            Err(problem) => outcome.failures.push(format!("{}: {problem}", case.name)),
        }
    }
    outcome
}
