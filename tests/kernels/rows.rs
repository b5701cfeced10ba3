//! Kernels that work row by row or element by element.

use stepladder::kernel::rms_norm;

use crate::case::Case;
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

const ROWS: [usize; 6] = [1, 3, 7, 8, 9, 65];
const COLS: [usize; 6] = [1, 5, 64, 72, 130, 8];

pub(crate) fn rms_norm() -> Vec<Case> {
    let mut random = Random::new(3);
    let mut cases = Vec::new();
    for (rows, cols) in ROWS.into_iter().zip(COLS) {
        for (eps, accumulate) in [(1e-5, false), (0.5, true)] {
            let mut case = Case::new(format!("rows {rows} cols {cols} eps {eps} accumulate {accumulate}"));
            let (x, w) = (random.normal(rows * cols), random.normal(cols));
            let (dy, old) = (random.normal(rows * cols), random.normal(rows * cols));
            let wide_eps = f64::from(eps);
            let want_y = reference::rms_norm::forward(&wide(&x), &wide(&w), wide_eps);
            let mut want_dx = reference::rms_norm::backward_x(&wide(&x), &wide(&w), &wide(&dy), wide_eps);
            let shape = [rows, cols];
            let (x, w, dy) = (case.input(&shape, &x), case.input(&[cols], &w), case.input(&shape, &dy));
            let y = case.output(&shape);
            let dx = if accumulate { case.input(&shape, &old) } else { case.output(&shape) };
            if accumulate {
                want_dx.iter_mut().zip(&old).for_each(|(dx, old)| *dx += f64::from(*old));
            }
            case.record(move |rec, b| {
                rms_norm::forward(rec, &b[x], &b[w], &b[y], eps)?;
                rms_norm::backward_x(rec, &b[x], &b[w], &b[dy], &b[dx], eps, accumulate)
            });
            case.near(y, want_y, Policy::with_exp(Dtype::F32, cols).rows(cols));
            // With one column and a small eps, y hardly depends on x: differences of numbers of the size of dy.
            case.near(dx, want_dx, Policy::with_exp(Dtype::F32, cols).rows(cols).at_least(1.0));
            cases.push(case);
        }
    }
    cases
}
