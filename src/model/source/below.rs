//! What matrices are made from, and what the ways of making them have in common: see [`made`](super::made).

use std::collections::HashMap;
use std::rc::Rc;

use super::{TensorInfo, TensorSource, expected, quant};
use crate::model::config::ModelConfig;
use crate::model::config::quantised::{Stored, UNQUANTISED};
use crate::{Error, Result};

/// What a way says of a tensor.
pub(super) enum Claim {
    /// It belongs to another one.
    Part,
    /// It is where a matrix is made from.
    Matrix(TensorInfo, Box<dyn Recipe>),
}

/// How a matrix is made.
pub(super) trait Recipe {
    /// Adds its rows `start .. start + count` to `out`, which is empty.
    fn rows(&self, below: &mut Below, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()>;
}

/// What the configuration says of the model.
pub(super) struct Wanted {
    shapes: HashMap<String, Vec<usize>>,
    embedding: [usize; 2],
    /// How its weights are stored.
    pub(super) stored: Stored,
}

impl Wanted {
    /// What `config` calls for, `stored` in its way.
    pub(super) fn new(config: &ModelConfig, stored: Stored) -> Self {
        let embedding = [config.vocab_size, config.hidden_size];
        Self { shapes: expected(config).into_iter().collect(), embedding, stored }
    }

    /// Whether the model has a tensor `name`.
    pub(super) fn calls_for(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    /// The shape `[out, in]` of the matrix `name`. One that is not called for can only be a head that is stored though it is tied.
    pub(super) fn shape(&self, name: &str) -> [usize; 2] {
        let shape = self.shapes.get(name).and_then(|shape| shape.as_slice().try_into().ok());
        shape.unwrap_or(self.embedding)
    }
}

/// The tensors that matrices are made from.
pub(super) struct Below {
    source: Box<dyn TensorSource>,
    index: HashMap<String, usize>,
    /// Tensors that were read whole.
    kept: Vec<(usize, Rc<Vec<u8>>)>,
    bytes: Vec<u8>,
}

impl Below {
    /// All tensors of `source`.
    pub(super) fn new(source: Box<dyn TensorSource>) -> Self {
        let names = source.tensors().iter().enumerate();
        let index = names.map(|(index, tensor)| (tensor.name.clone(), index)).collect();
        Self { source, index, kept: Vec::new(), bytes: Vec::new() }
    }

    /// The source itself.
    pub(super) fn source(&self) -> &dyn TensorSource {
        self.source.as_ref()
    }

    /// The same, to read what needs no making.
    pub(super) fn source_mut(&mut self) -> &mut dyn TensorSource {
        self.source.as_mut()
    }

    /// The same where nothing needs making.
    pub(super) fn into_source(self) -> Box<dyn TensorSource> {
        self.source
    }

    /// Frees what [`Below::whole`] keeps.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// The number of the tensor `name`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The tensor `name`.
    pub(super) fn named(&self, name: &str) -> Option<&TensorInfo> {
        self.find(name).map(|index| self.info(index))
    }

    /// Type and shape of a tensor.
    pub(super) fn info(&self, index: usize) -> &TensorInfo {
        &self.source.tensors()[index]
    }

    /// The bytes of some rows of a tensor.
    pub(super) fn read(&mut self, index: usize, start: usize, count: usize) -> Result<&[u8]> {
        self.source.read(index, start, count, &mut self.bytes)?;
        Ok(&self.bytes)
    }

    /// All bytes of a tensor, which stay in memory until [`Below::forget`].
    pub(super) fn whole(&mut self, index: usize) -> Result<Rc<Vec<u8>>> {
        if let Some((_, bytes)) = self.kept.iter().find(|(kept, _)| *kept == index) {
            return Ok(Rc::clone(bytes));
        }
        let mut bytes = Vec::new();
        let rows = self.info(index).rows();
        self.source.read(index, 0, rows, &mut bytes)?;
        let bytes = Rc::new(bytes);
        self.kept.push((index, Rc::clone(&bytes)));
        Ok(bytes)
    }

    /// The values of some rows of a tensor of floats.
    pub(super) fn numbers(&mut self, index: usize, start: usize, count: usize) -> Result<Vec<f32>> {
        self.source.read(index, start, count, &mut self.bytes)?;
        let info = self.info(index);
        let mut values = vec![0.0; count * info.cols()];
        quant::dequantize(info.dtype, &self.bytes, &mut values)?;
        Ok(values)
    }

    /// An error about the tensor `name`.
    pub(super) fn refuse(&self, name: &str, problem: impl Into<String>) -> Error {
        Error::input(self.source.name(), name, problem, UNQUANTISED)
    }
}
