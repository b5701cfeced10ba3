//! The f64 references' backward functions against central differences of their forward functions.

use stepladder::kernel::swiglu::Activation;

use crate::common::{Random, STEP, derivative_close, wide};
use crate::reference::attention::full as attention;
use crate::reference::product::direct;
use crate::reference::{gather, log_softmax, rms_norm, rope, swiglu};

/// Checks `gradient` = d(dy · forward(x)) / dx at every element of x.
fn check(name: &str, x: &[f64], dy: &[f64], gradient: &[f64], forward: impl Fn(&[f64]) -> Vec<f64>) {
    let loss = |x: &[f64]| forward(x).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>();
    assert_eq!(forward(x).len(), dy.len(), "{name}");
    let mut at = x.to_vec();
    let differences: Vec<f64> = (0..x.len())
        .map(|i| {
            at[i] = x[i] + STEP;
            let above = loss(&at);
            at[i] = x[i] - STEP;
            let below = loss(&at);
            at[i] = x[i];
            (above - below) / (2.0 * STEP)
        })
        .collect();
    derivative_close(gradient, &differences).unwrap_or_else(|text| panic!("{name}: {text}"));
}

#[test]
fn matmul_backward_x() {
    let mut random = Random::new(20);
    let [x, w, dy] = [3 * 7, 5 * 7, 3 * 5].map(|count| wide(&random.normal(count)));
    check("matmul", &x, &dy, &direct::backward_x(3, 5, 7, &w, &dy), |x| direct::forward(3, 5, 7, &w, x));
}

#[test]
fn rms_norm_backward_x() {
    let mut random = Random::new(21);
    let [x, w, dy] = [4 * 9, 9, 4 * 9].map(|count| wide(&random.normal(count)));
    for eps in [1e-5, 0.5] {
        let dx = rms_norm::backward_x(&x, &w, &dy, eps);
        check("rms_norm", &x, &dy, &dx, |x| rms_norm::forward(x, &w, eps));
    }
}

#[test]
fn attention_backward() {
    let mut random = Random::new(22);
    // Two rows that three sequences begin with, of one, two and one more, and a sequence by itself.
    let beginning = [0, 0, 0, 6];
    let span = [beginning, beginning, [0, 2, 2, 3], [0, 2, 3, 5], [0, 2, 3, 5], [0, 2, 5, 6], [6, 6, 6, 7]];
    let layout =
        attention::Layout { heads: 4, kv_heads: 2, head_dim: 3, scale: 3f64.powf(-0.5), span: &span };
    let [q, d_out] = [(); 2].map(|()| wide(&random.normal(7 * 12)));
    let [k, v] = [(); 2].map(|()| wide(&random.normal(7 * 6)));
    let (dq, dk, dv) = attention::backward(layout, &q, &k, &v, &d_out);
    check("dq", &q, &d_out, &dq, |q| attention::forward(layout, q, &k, &v).0);
    check("dk", &k, &d_out, &dk, |k| attention::forward(layout, &q, k, &v).0);
    check("dv", &v, &d_out, &dv, |v| attention::forward(layout, &q, &k, v).0);
}

#[test]
fn gather_backward() {
    let mut random = Random::new(23);
    let [x, dy] = [5 * 3, 4 * 3].map(|count| wide(&random.normal(count)));
    let none = u32::MAX;
    let index = [0, none, 4, 4];
    let dx = gather::backward(3, none, &index, &dy, &[0.0; 15]);
    check("gather", &x, &dy, &dx, |x| gather::forward(3, none, &index, x));
}

#[test]
fn log_softmax_backward() {
    let mut random = Random::new(24);
    let [z, coefficient] = [3 * 11, 3].map(|count| wide(&random.normal(count)));
    let target = [0, 10, 4];
    let dz = log_softmax::backward(11, &target, &coefficient, &z);
    check("log_softmax", &z, &coefficient, &dz, |z| log_softmax::forward(11, &target, z).0);
}

#[test]
fn rope_backward() {
    let mut random = Random::new(25);
    let [x, dy] = [(); 2].map(|()| wide(&random.normal(2 * 8)));
    let table: Vec<f64> = (0..6).flat_map(|i| [f64::from(i).cos(), f64::from(i).sin()]).collect();
    let position = [2, 1];
    let dx = rope::rotate([4, 4], -1.0, &position, &table, &dy);
    check("rope", &x, &dy, &dx, |x| rope::rotate([4, 4], 1.0, &position, &table, x));
}

#[test]
fn swiglu_backward() {
    let mut random = Random::new(26);
    let [g, u, dy] = [(); 3].map(|()| wide(&random.normal(20)));
    for act in Activation::ALL {
        let (dg, du) = swiglu::backward(act, &g, &u, &dy);
        check("dg", &g, &dy, &dg, |g| swiglu::forward(act, g, &u));
        check("du", &u, &dy, &du, |u| swiglu::forward(act, &g, u));
    }
}

#[test]
#[should_panic(expected = "worst at")]
fn a_wrong_gradient_is_rejected() {
    let mut random = Random::new(27);
    let [g, u, dy] = [(); 3].map(|()| wide(&random.normal(20)));
    let (mut dg, _) = swiglu::backward(Activation::Silu, &g, &u, &dy);
    dg[7] *= 1.0 + 1e-3;
    check("dg", &g, &dy, &dg, |g| swiglu::forward(Activation::Silu, g, &u));
}
