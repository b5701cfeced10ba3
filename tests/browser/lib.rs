//! What the browser's tests call (`web/tests/kernels.test.mjs`, `models.test.mjs`): the kernels' table and the fixture models, the
//! same code and the same references as in the native tests. Natively this is empty; `scripts/wasm.sh --tests` builds it.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::arc_with_non_send_sync, reason = "the library takes devices and models in an `Arc`")]
#![allow(dead_code, reason = "the native tests use more of what they share with this")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../fixture_models/mod.rs"]
mod fixture_models;
#[path = "../reference/mod.rs"]
mod reference;
#[path = "../kernels/table/mod.rs"]
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use fixture_models::{FAMILIES, checks};
use serde_json::json;
use stepladder::gpu::{Buffer, Gpu, GpuOptions, Recorder, Recording};
use stepladder::kernel::product;
use stepladder::kernel::weight::Weight;
use stepladder::model::Model;
use table::{COOP, Outcome, TABLE};
use wasm_bindgen::prelude::*;

/// The stems of the table, of all kernels that a browser has, and the names of the fixture models, as JSON.
#[wasm_bindgen]
pub fn names() -> String {
    let table: BTreeSet<&str> = TABLE.iter().map(|(stem, _)| *stem).collect();
    let native = |stem: &str| COOP.iter().any(|row| row.0 == stem);
    let all = stepladder::kernel::all();
    let all: BTreeSet<&str> = all.iter().map(|(kernel, _)| kernel.stem).filter(|s| !native(s)).collect();
    json!({ "table": table, "all": all, "models": FAMILIES }).to_string()
}

/// An open device.
#[wasm_bindgen]
pub struct Device {
    gpu: Arc<Gpu>,
}

#[wasm_bindgen]
impl Device {
    /// Opens the browser's adapter: with WebGPU's default limits or its own, with the kernel variants that suit it or, where
    /// `as_software` is given, those for software adapters (true) or for GPUs (false).
    ///
    /// # Errors
    /// Without an adapter.
    pub async fn open(default_limits: bool, as_software: Option<bool>) -> Result<Device, JsError> {
        let options = GpuOptions { default_limits, as_software, ..GpuOptions::default() };
        Ok(Self { gpu: Arc::new(Gpu::open(&options).await?) })
    }

    /// Whether the kernels run in their variants for software adapters.
    pub fn is_software(&self) -> bool {
        self.gpu.is_software()
    }

    /// Runs the cases of one kernel, or only every `stride`-th: JSON of their number, the worst error ÷ bound and where it
    /// was, and the failures.
    ///
    /// # Errors
    /// If the table has no such kernel.
    pub async fn run_kernel(&self, stem: String, stride: usize) -> Result<String, JsError> {
        let row = TABLE.iter().find(|(name, _)| *name == stem);
        let (_, cases) = row.ok_or_else(|| JsError::new(&format!("the table has no `{stem}`")))?;
        let some: Vec<_> = cases().into_iter().step_by(stride).collect();
        let Outcome { cases, worst, worst_at, failures } = table::run(&self.gpu, &some).await;
        Ok(json!({ "cases": cases, "worst": worst, "worstAt": worst_at, "failures": failures }).to_string())
    }

    /// Loads a fixture model.
    pub fn load_model(&self, name: String) -> Fixture {
        let mut source = fixture_models::source(&name);
        Fixture { model: fixture_models::load_on(Arc::clone(&self.gpu), &name, &mut source, None), name }
    }

    /// Gives everything on the GPU back.
    pub fn close(self) {
        self.gpu.destroy();
    }
}

/// A fixture model on a device. Each method fails with what differs from PyTorch.
#[wasm_bindgen]
pub struct Fixture {
    name: String,
    model: Arc<Model>,
}

#[wasm_bindgen]
impl Fixture {
    /// Log-probabilities of both forward passes, without and with the adapter.
    ///
    /// # Errors
    /// With what differs.
    pub async fn logprobs(&self) -> Result<(), JsError> {
        checks::logprobs(&self.model, &self.name).await.map_err(|text| JsError::new(&text))?;
        checks::scores(&self.model, &self.name).await.map_err(|text| JsError::new(&text))
    }

    /// Greedy text, without and with the adapter.
    ///
    /// # Errors
    /// With what differs.
    pub async fn greedy(&self) -> Result<(), JsError> {
        checks::greedy(&self.model, &self.name).await.map_err(|text| JsError::new(&text))
    }

    /// The loss and the gradient of every A and B of the adapter.
    ///
    /// # Errors
    /// With what differs.
    pub async fn gradients(&self, pack_tokens: usize) -> Result<(), JsError> {
        checks::gradients(&self.model, &self.name, pack_tokens).await.map_err(|text| JsError::new(&text))
    }
}

/// A product y `[m, n]` = x `[m, k]` · Wᵀ in f32, to be timed beside other systems' (benches/peers/browser).
#[wasm_bindgen]
pub struct Product {
    gpu: Arc<Gpu>,
    recording: Recording,
    y: Buffer,
}

#[wasm_bindgen]
impl Product {
    /// Uploads the operands, W row by row.
    ///
    /// # Errors
    /// If sizes do not match.
    pub fn new(device: &Device, m: usize, k: usize, n: usize, x: &[f32], w: &[f32]) -> Result<Self, JsError> {
        let gpu = Arc::clone(&device.gpu);
        let w = Weight::from_f32(&gpu, "w", n, k, w)?;
        let (x, y) = (gpu.upload("x", &[m, k], x)?, gpu.buffer("y", &[m, n])?);
        let mut rec = Recorder::new(&gpu);
        product::forward(&mut rec, &w, &x, &y, None, false)?;
        let recording = rec.finish()?;
        Ok(Self { gpu, recording, y })
    }

    /// Computes it once and waits for it.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn run(&self) -> Result<(), JsError> {
        self.gpu.run(&self.recording)?;
        Ok(self.gpu.wait(&self.y).await?)
    }

    /// The result.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn read(&self) -> Result<Vec<f32>, JsError> {
        Ok(self.gpu.read(&self.y).await?)
    }
}
