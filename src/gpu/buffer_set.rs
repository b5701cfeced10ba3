//! Sets of buffers as data. One declaration names each buffer, says what it holds, its shape, and which dimension comes first in it:
//!
//! ```text
//! buffer_set! {
//!     pub struct Inputs[tokens](hidden: usize) {
//!         /// Residual stream.
//!         pub h[tokens]: Buffer = [tokens, hidden];
//!         /// Read as a whole by everybody.
//!         pub table[]: Buffer = [hidden, 2];
//!     }
//! }
//! ```
//!
//! From it follow the struct, `new(gpu, tokens, hidden)`, `bytes(tokens, hidden)`, `largest(tokens, hidden)` and `first(&self, tokens)`.

use super::{Buffer, Gpu, region_elements};
use crate::{Error, Result};

/// What a field of a set is made of.
pub trait Spec {
    /// The field's type.
    type Made;

    /// Allocates it.
    ///
    /// # Errors
    /// Those of [`Gpu::buffer`].
    fn make(&self, gpu: &Gpu, label: &str) -> Result<Self::Made>;

    /// Its elements of 4 bytes.
    fn elements(&self) -> u64;

    /// Elements of its largest buffer that cannot be split.
    fn largest(&self) -> u64;
}

/// One buffer of this shape.
impl<const N: usize> Spec for [usize; N] {
    type Made = Buffer;

    fn make(&self, gpu: &Gpu, label: &str) -> Result<Buffer> {
        gpu.buffer(label, self)
    }

    fn elements(&self) -> u64 {
        self.iter().map(|&size| size as u64).product()
    }

    fn largest(&self) -> u64 {
        self.elements()
    }
}

/// What some models or uses do not have.
impl<S: Spec> Spec for Option<S> {
    type Made = Option<S::Made>;

    fn make(&self, gpu: &Gpu, label: &str) -> Result<Self::Made> {
        self.as_ref().map(|spec| spec.make(gpu, label)).transpose()
    }

    fn elements(&self) -> u64 {
        self.as_ref().map_or(0, S::elements)
    }

    fn largest(&self) -> u64 {
        self.as_ref().map_or(0, S::largest)
    }
}

/// Matrices with so many rows and columns each, in one memory where a binding can see it as a whole ([`Gpu::regions`]).
#[derive(Debug, Clone, Copy)]
pub struct Joined<const N: usize>(pub usize, pub [usize; N]);

impl<const N: usize> Spec for Joined<N> {
    type Made = [Buffer; N];

    fn make(&self, gpu: &Gpu, label: &str) -> Result<Self::Made> {
        let made = gpu.regions(label, self.0, &self.1)?;
        made.try_into().map_err(|made: Vec<_>| Error::Shape {
            kernel: "regions",
            arg: "cols",
            expected: vec![N],
            got: vec![made.len()],
        })
    }

    /// A few less are taken where they exceed a binding.
    fn elements(&self) -> u64 {
        region_elements(self.0, &self.1) as u64
    }

    fn largest(&self) -> u64 {
        self.1.iter().map(|&cols| self.0 as u64 * cols as u64).max().unwrap_or(0)
    }
}

/// So many of the same.
#[derive(Debug, Clone, Copy)]
pub struct Each<S>(pub usize, pub S);

impl<S: Spec> Spec for Each<S> {
    type Made = Vec<S::Made>;

    fn make(&self, gpu: &Gpu, label: &str) -> Result<Self::Made> {
        (0..self.0).map(|_| self.1.make(gpu, label)).collect()
    }

    fn elements(&self) -> u64 {
        self.0 as u64 * self.1.elements()
    }

    fn largest(&self) -> u64 {
        self.1.largest()
    }
}

/// Views of the first rows of all buffers of a field; nothing is allocated.
pub trait First: Sized {
    /// The first `rows` rows.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are fewer.
    fn first(&self, rows: usize) -> Result<Self>;
}

impl First for Buffer {
    fn first(&self, rows: usize) -> Result<Self> {
        let mut shape = self.shape().to_vec();
        if let Some(size) = shape.first_mut() {
            *size = rows;
        }
        self.view(0, &shape)
    }
}

impl<T: First> First for Option<T> {
    fn first(&self, rows: usize) -> Result<Self> {
        self.as_ref().map(|whole| whole.first(rows)).transpose()
    }
}

impl<T: First> First for Vec<T> {
    fn first(&self, rows: usize) -> Result<Self> {
        self.iter().map(|whole| whole.first(rows)).collect()
    }
}

impl<T: First + Clone, const N: usize> First for [T; N] {
    fn first(&self, rows: usize) -> Result<Self> {
        let mut cut = self.clone();
        for part in &mut cut {
            *part = part.first(rows)?;
        }
        Ok(cut)
    }
}

/// The first rows of `whole`, so many as `along` says; all of it if that is empty.
///
/// # Errors
/// [`Error::Shape`] if there are fewer.
pub fn cut<T: First + Clone>(whole: &T, along: &[usize]) -> Result<T> {
    match along {
        [rows, ..] => whole.first(*rows),
        [] => Ok(whole.clone()),
    }
}

/// Declares a set of buffers; see the [module](self).
macro_rules! buffer_set {
    (
        $(#[$meta:meta])*
        $vis:vis struct $Set:ident[$($axis:ident),+]($($arg:ident: $type:ty),* $(,)?) {
            $($(#[$doc:meta])* $field_vis:vis $field:ident[$($along:ident)?]: $made:ty = $spec:expr;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        $vis struct $Set {
            $($(#[$doc])* $field_vis $field: $made,)+
        }

        impl $Set {
            /// Zeroed buffers.
            ///
            /// # Errors
            /// Those of [`Gpu::buffer`]($crate::gpu::Gpu::buffer).
            $vis fn new(gpu: &$crate::gpu::Gpu, $($axis: usize,)+ $($arg: $type),*) -> $crate::Result<Self> {
                Ok(Self { $($field: $crate::gpu::buffer_set::Spec::make(&$spec, gpu, stringify!($field))?,)+ })
            }

            /// Bytes that `new` takes; a few less where joined matrices exceed a binding.
            $vis fn bytes($($axis: usize,)+ $($arg: $type),*) -> u64 {
                4 * (0 $(+ $crate::gpu::buffer_set::Spec::elements(&$spec))+)
            }

            /// Bytes of the largest buffer that cannot be split.
            $vis fn largest($($axis: usize,)+ $($arg: $type),*) -> u64 {
                let sizes = [$($crate::gpu::buffer_set::Spec::largest(&$spec)),+];
                4 * sizes.into_iter().max().unwrap_or(0)
            }

            /// Views of the first rows of every buffer; nothing is allocated.
            ///
            /// # Errors
            /// [`Error::Shape`]($crate::Error::Shape) if there are fewer.
            $vis fn first(&self, $($axis: usize),+) -> $crate::Result<Self> {
                Ok(Self {
                    $($field: $crate::gpu::buffer_set::cut(&self.$field, &[$($along)?])?,)+
                })
            }
        }
    };
}
pub(crate) use buffer_set;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::gpu::{GpuOptions, VIEW_ALIGNMENT};

    buffer_set! {
        /// One of every kind.
        struct Kinds[tokens, rows](cols: usize, more: bool) {
            one[tokens]: Buffer = [tokens, cols];
            chosen[rows]: Buffer = [rows];
            whole[]: Buffer = [7, cols];
            either[tokens]: Option<Buffer> = more.then_some([tokens, 3]);
            joined[tokens]: [Buffer; 2] = Joined(tokens, [cols, 2 * cols]);
            each[rows]: Vec<Buffer> = Each(4, [rows, 2]);
        }
    }

    #[test]
    fn bytes_are_what_is_allocated_and_the_largest_is_among_them() {
        let gpu = pollster::block_on(Gpu::open(&GpuOptions::default())).unwrap();
        for more in [false, true] {
            let before = gpu.memory().current();
            let set = Kinds::new(&gpu, 5, 3, 10, more).unwrap();
            assert_eq!(gpu.memory().current() - before, Kinds::bytes(5, 3, 10, more), "{more}");
            // The second of the joined matrices is larger than all others; where it begins is padded.
            assert_eq!(Kinds::largest(5, 3, 10, more), 4 * 5 * 20);
            let padded = 50usize.next_multiple_of(VIEW_ALIGNMENT) + 100;
            let all = 50 + 3 + 70 + if more { 15 } else { 0 } + padded + 4 * 6;
            assert_eq!(Kinds::bytes(5, 3, 10, more), 4 * all as u64);

            let first = set.first(2, 1).unwrap();
            assert_eq!(gpu.memory().current() - before, Kinds::bytes(5, 3, 10, more));
            assert_eq!((first.one.shape(), first.chosen.shape()), (&[2, 10][..], &[1][..]));
            assert_eq!((first.whole.shape(), first.joined[1].shape()), (&[7, 10][..], &[2, 20][..]));
            assert_eq!(first.either.map(|either| either.shape().to_vec()), more.then(|| vec![2, 3]));
            assert!(first.each.len() == 4 && first.each.iter().all(|each| each.shape() == [1, 2]));
            assert!(set.first(6, 1).is_err());
        }
    }
}
