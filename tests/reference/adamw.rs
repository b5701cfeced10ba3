//! AdamW with clipping by the global norm. Kernel: src/kernel/adamw.rs.

use stepladder::kernel::adamw::Hyper;

/// The norm of the gradient and the factor that clips it, as `torch.nn.utils.clip_grad_norm_` has it.
pub fn norm(g: &[f64], hyper: &Hyper) -> (f64, f64) {
    let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
    let clip = f64::from(hyper.clip);
    (norm, if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 })
}

/// One step over w, m and v.
pub fn step(g: &[f64], hyper: &Hyper, w: &mut [f64], m: &mut [f64], v: &mut [f64]) {
    let (_, scale) = norm(g, hyper);
    let [rate, beta1, beta2, eps, decay] =
        [hyper.learning_rate, hyper.beta1, hyper.beta2, hyper.eps, hyper.weight_decay].map(f64::from);
    for i in 0..w.len() {
        let g = g[i] * scale;
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
        let (mean, root) = (m[i] / f64::from(hyper.c1), (v[i] / f64::from(hyper.c2)).sqrt());
        w[i] -= rate * (decay * w[i] + mean / (root + eps));
    }
}
