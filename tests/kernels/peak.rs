//! The micro-kernels of the benchmark: what they time is what they say.

use stepladder::kernel::peak;

use crate::case::Case;
use crate::common::{Dtype, Policy, Random, wide, words};
use crate::reference;

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(61);
    let mut cases = Vec::new();
    for (len, rounds) in [(4, 1), (260, 2), (1_024, 5)] {
        let mut case = Case::new(format!("len {len} rounds {rounds}"));
        let x = random.normal(len);
        let want = reference::peak::arithmetic(rounds * peak::STEPS, peak::CHAIN.map(f64::from), &wide(&x));
        let copied = words(&x);
        let rows = random.normal(rounds * len);
        let want_sum = reference::peak::stream(len, &wide(&rows));
        let rows = case.input(&[rounds, len], &rows);
        let x = case.input(&[len], &x);
        let [copy, read, sum] = [(); 3].map(|()| case.output(&[len]));
        case.record(move |rec, b| {
            peak::copy(rec, &b[x], &b[copy])?;
            peak::stream(rec, &b[rows], &b[read])?;
            peak::arithmetic(rec, &b[x], &b[sum], rounds)
        });
        case.bits(copy, copied);
        case.near(read, want_sum, Policy::of(Dtype::F32, rounds));
        case.near(sum, want, Policy::of(Dtype::F32, rounds * peak::STEPS));
        cases.push(case);
    }
    cases
}
