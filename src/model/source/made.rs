//! Matrices that files keep in several tensors: integers or small floats, with scales, zeros or tables beside them. Each way of
//! keeping them is a row of a table here; whatever it is, the matrix is one tensor of the source that is made.

use super::below::{Below, Claim, Recipe, Wanted};
use super::{TensorInfo, TensorSource, row_range};
use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::config::quantised::Stored;

/// Claims tensors of its way; nothing of any other.
type Way = fn(&mut Below, &Wanted, &TensorInfo) -> Result<Option<Claim>>;

const WAYS: &[Way] =
    &[super::grouped::claim, super::scaled::claim, super::normal::claim, super::packed::claim];

enum Place {
    /// A tensor as it is.
    Whole(usize),
    Made(Box<dyn Recipe>),
}

struct Made {
    below: Below,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
    /// The matrix that was read last.
    last: Option<usize>,
}

/// `source` with one tensor for each matrix; itself if all its tensors are such.
///
/// # Errors
/// `Input` naming a matrix whose parts are missing or do not fit each other, `config` or what it says of them in `stored`.
pub fn made(
    source: Box<dyn TensorSource>,
    config: &ModelConfig,
    stored: Stored,
) -> Result<Box<dyn TensorSource>> {
    let all = source.tensors().to_vec();
    let wanted = Wanted::new(config, stored);
    let mut below = Below::new(source);
    let (mut tensors, mut places) = (Vec::new(), Vec::new());
    for (at, info) in all.into_iter().enumerate() {
        let mut claim = None;
        for way in WAYS {
            claim = way(&mut below, &wanted, &info)?;
            if claim.is_some() {
                break;
            }
        }
        match claim {
            Some(Claim::Part) => {}
            Some(Claim::Matrix(info, recipe)) => {
                tensors.push(info);
                places.push(Place::Made(recipe));
            }
            None => {
                tensors.push(info);
                places.push(Place::Whole(at));
            }
        }
    }
    below.forget();
    Ok(match tensors == below.source().tensors() {
        true => below.into_source(),
        false => Box::new(Made { below, tensors, places, last: None }),
    })
}

impl TensorSource for Made {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let recipe = match &self.places[index] {
            Place::Whole(index) => return self.below.source_mut().read(*index, row_start, row_count, out),
            Place::Made(recipe) => recipe,
        };
        row_range(&self.name(), &self.tensors[index], row_start, row_count)?;
        if self.last.replace(index) != Some(index) {
            self.below.forget();
        }
        out.clear();
        recipe.rows(&mut self.below, row_start, row_count, out)
    }

    fn name(&self) -> String {
        self.below.source().name()
    }

    fn is_gguf(&self) -> bool {
        self.below.source().is_gguf()
    }
}
