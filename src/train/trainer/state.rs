//! What a trainer holds, read, replaced and set aside: adapter, gradient, optimizer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Trainer;
use crate::gpu::{Buffer, Recorder};
use crate::train::checkpoint::State;
use crate::{Error, Result};

/// An adapter and its optimizer, set aside.
pub(super) struct Kept {
    lora: Buffer,
    m: Buffer,
    v: Buffer,
    steps: u64,
}

/// Names of the tensors in a saved state.
const ADAPTER: &str = "adapter";
const FIRST_MOMENT: &str = "adamw.m";
const SECOND_MOMENT: &str = "adamw.v";
/// Name of the step count in a saved state.
const STEPS: &str = "adamw.steps";

/// The adapter's values in a state that [`Trainer::state`] made, `len` of them; `file` is named in errors.
///
/// # Errors
/// [`Error::Input`] if they are missing or belong to an adapter of another shape.
pub fn adapter_of(mut state: State, len: usize, file: &Path) -> Result<Vec<f32>> {
    state.take(ADAPTER, len, file)
}

impl Trainer {
    /// The gradient of the last batch, in the order of the adapter's flat buffer.
    pub async fn read_gradient(&self) -> Result<Vec<f32>> {
        self.gpu().read(self.grads.flat()).await
    }

    /// The adapter's values, in the order of its flat buffer.
    pub async fn read_adapter(&self) -> Result<Vec<f32>> {
        self.gpu().read(self.lora.flat()).await
    }

    /// Replaces the adapter's values.
    pub fn write_adapter(&mut self, values: &[f32]) -> Result<()> {
        self.expect_len(values)?;
        self.lora.changed();
        self.gpu().write(self.lora.flat(), 0, values)
    }

    /// First and second moments and the number of steps taken.
    pub async fn read_moments(&self) -> Result<(Vec<f32>, Vec<f32>, u64)> {
        Ok((self.gpu().read(&self.optimizer.m).await?, self.gpu().read(&self.optimizer.v).await?, self.steps))
    }

    /// Replaces the optimizer's state.
    pub fn write_moments(&mut self, m: &[f32], v: &[f32], steps: u64) -> Result<()> {
        self.expect_len(m)?;
        self.expect_len(v)?;
        self.steps = steps;
        self.gpu().write(&self.optimizer.m, 0, m)?;
        self.gpu().write(&self.optimizer.v, 0, v)
    }

    /// Sets adapter and optimizer aside and goes on with a copy of the adapter and a fresh optimizer. Calls nest.
    pub fn push_adapter(&mut self) -> Result<()> {
        let gpu = Arc::clone(self.gpu());
        let len = [self.lora.layout().len()];
        let kept = Kept {
            lora: gpu.buffer("kept.lora", &len)?,
            m: gpu.buffer("kept.m", &len)?,
            v: gpu.buffer("kept.v", &len)?,
            steps: self.steps,
        };
        let mut rec = Recorder::new(&gpu);
        rec.copy(self.lora.flat(), &kept.lora)?;
        rec.copy(&self.optimizer.m, &kept.m)?;
        rec.copy(&self.optimizer.v, &kept.v)?;
        rec.clear(&self.optimizer.m);
        rec.clear(&self.optimizer.v);
        gpu.run(&rec.finish()?)?;
        self.steps = 0;
        self.kept.push(kept);
        Ok(())
    }

    /// Ends what [`Trainer::push_adapter`] began: back to what was set aside, or with `keep` on with the present one.
    ///
    /// # Errors
    /// [`Error::Usage`] if nothing was set aside.
    pub fn pop_adapter(&mut self, keep: bool) -> Result<()> {
        let Some(kept) = self.kept.pop() else {
            return Err(Error::usage("adapter", "none was set aside", "call push_adapter first"));
        };
        if keep {
            return Ok(());
        }
        let gpu = Arc::clone(self.gpu());
        self.lora.changed();
        let mut rec = Recorder::new(&gpu);
        rec.copy(&kept.lora, self.lora.flat())?;
        rec.copy(&kept.m, &self.optimizer.m)?;
        rec.copy(&kept.v, &self.optimizer.v)?;
        gpu.run(&rec.finish()?)?;
        self.steps = kept.steps;
        Ok(())
    }

    /// Adapter, moments and step count, as a checkpoint keeps them.
    pub async fn state(&self) -> Result<State> {
        let (m, v, steps) = self.read_moments().await?;
        let tensors = BTreeMap::from([
            (ADAPTER.to_string(), self.read_adapter().await?),
            (FIRST_MOMENT.to_string(), m),
            (SECOND_MOMENT.to_string(), v),
        ]);
        let mut state = State { tensors, ..State::default() };
        state.put(STEPS, &steps)?;
        Ok(state)
    }

    /// Goes back to a state that [`Trainer::state`] made; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] if it is incomplete or belongs to an adapter of another shape.
    pub fn restore(&mut self, state: &State, file: &Path) -> Result<()> {
        let len = self.lora.layout().len();
        let mut state = state.clone();
        let adapter = state.take(ADAPTER, len, file)?;
        let (m, v) = (state.take(FIRST_MOMENT, len, file)?, state.take(SECOND_MOMENT, len, file)?);
        let steps = state.get(STEPS, file)?;
        self.write_adapter(&adapter)?;
        self.write_moments(&m, &v, steps)
    }

    fn expect_len(&self, values: &[f32]) -> Result<()> {
        let len = self.lora.layout().len();
        if values.len() == len {
            return Ok(());
        }
        Err(Error::Shape { kernel: "trainer", arg: "state", expected: vec![len], got: vec![values.len()] })
    }
}
