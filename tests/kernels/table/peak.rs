//! The micro-kernels of the benchmark: what they time is what they say.

use stepladder::kernel::{peak, peak_coop};

use super::case::Case;
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
        let count = 8 * rounds;
        let rows = random.normal(count * len);
        let [across, onward] =
            [false, true].map(|onward| reference::peak::stream(count, onward, &wide(&rows)));
        let rows = case.input(&[count, len], &rows);
        let x = case.input(&[len], &x);
        let [copy, first, second, sum] = [(); 4].map(|()| case.output(&[len]));
        case.record(move |rec, b| {
            peak::copy(rec, &b[x], &b[copy])?;
            peak::stream(rec, &b[rows], &b[first], false)?;
            peak::stream(rec, &b[rows], &b[second], true)?;
            peak::arithmetic(rec, &b[x], &b[sum], rounds)
        });
        case.bits(copy, copied);
        case.near(first, across, Policy::of(Dtype::F32, count));
        case.near(second, onward, Policy::of(Dtype::F32, count));
        case.near(sum, want, Policy::of(Dtype::F32, rounds * peak::STEPS));
        cases.push(case);
    }
    cases
}

/// For each size of cooperative matrices; [`Case::only_with`] leaves out those that the device has not.
pub(crate) fn coop() -> Vec<Case> {
    let mut random = Random::new(62);
    let mut cases = Vec::new();
    for (side, groups, rounds) in [(8, 1, 1), (8, 3, 5), (16, 1, 1), (16, 3, 5)] {
        let mut case = Case::new(format!("side {side} groups {groups} rounds {rounds}")).only_with(side);
        let [left, right] = peak_coop::FACTORS;
        let (a, b) = (random.normal(left * side * side), random.normal(right * side * side));
        let one = reference::peak_coop::multiply(side, rounds, &wide(&a), &wide(&b));
        let want = one.repeat(groups * peak_coop::SUBGROUPS);
        let (a, b) = (case.input(&[left, side, side], &a), case.input(&[right, side, side], &b));
        let y = case.output(&[groups, peak_coop::SUBGROUPS, side, side]);
        case.record(move |rec, buffers| {
            peak_coop::multiply(rec, &buffers[a], &buffers[b], &buffers[y], rounds)
        });
        case.near(y, want, Policy::f16_products());
        cases.push(case);
    }
    cases
}
