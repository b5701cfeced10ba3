//! A fixture's numbers on a device against PyTorch's (design section 4). Native tests and a browser's run the same.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use stepladder::Error;
use stepladder::model::Model;
use stepladder::model::generate::{Generator, Request, Sampling};
use stepladder::model::score;
use stepladder::train::adapter;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::Trainer;

use super::{Expected, adapter_file, folder, trainer};

/// Nothing, or what is wrong.
pub(crate) type Check = Result<(), String>;

/// How far a log-probability may be from PyTorch's.
const LOGPROB: f32 = 1e-3;
/// How far a loss and a gradient may be, as a share.
const RELATIVE: f64 = 1e-3;

pub(crate) fn max_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    // A result that is not a number is worse than any other, which `max` would pass over.
    let errors = got.iter().zip(want).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, |worst, error| if error.is_nan() { f32::INFINITY } else { error.max(worst) })
}

pub(crate) fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    let size: f64 = want.iter().map(|b| square(*b)).sum();
    (difference / size.max(1e-30)).sqrt()
}

fn failed(error: Error) -> String {
    error.to_string()
}

/// Fails with `text` unless `holds`.
fn ensure(holds: bool, text: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(text()) }
}

/// Log-probabilities by the trainer's forward pass, without and with the adapter.
pub(crate) async fn logprobs(model: &Arc<Model>, name: &str) -> Check {
    let expected = Expected::read(name);
    let file = adapter_file(model, &folder(name).join("adapter"));
    let mut trainer = trainer(model, &file, 512);
    for (kind, on) in [("base", false), ("adapter", true)] {
        let scores = trainer.logprobs(&expected.all_scored(), on).await.map_err(failed)?;
        ensure(scores.len() == expected.tokens.len(), || format!("{name}: {} scores", scores.len()))?;
        for (index, scores) in scores.iter().enumerate() {
            let error = max_error(&scores.logp, &expected.tensors[&format!("logprobs.{kind}.{index}")]);
            ensure(error < LOGPROB, || format!("{name} {kind} sequence {index}: {error}"))?;
        }
    }
    Ok(())
}

/// Log-probabilities by the forward pass that needs no trainer, without and with the adapter.
pub(crate) async fn scores(model: &Arc<Model>, name: &str) -> Check {
    let expected = Expected::read(name);
    let file = adapter_file(model, &folder(name).join("adapter"));
    let lora = adapter::upload(model.gpu(), model.config(), &file).map_err(failed)?;
    for (kind, lora) in [("base", None), ("adapter", Some(&lora))] {
        for (index, tokens) in expected.tokens.iter().enumerate() {
            let got = score::logprobs(model, lora, tokens, &AtomicBool::new(false)).await.map_err(failed)?;
            let error = max_error(&got, &expected.tensors[&format!("logprobs.{kind}.{index}")]);
            ensure(error < LOGPROB, || format!("{name} {kind} sequence {index}: {error}"))?;
        }
    }
    Ok(())
}

/// Loss, and the gradient of every A and B. Packs of every size give the same sum: one sequence at a time, and all at once.
pub(crate) async fn gradients(model: &Arc<Model>, name: &str, pack_tokens: usize) -> Check {
    let expected = Expected::read(name);
    let file = adapter_file(model, &folder(name).join("adapter"));
    let mut trainer = trainer(model, &file, pack_tokens);
    loss(&mut trainer, &expected, name).await?;
    let flat = trainer.read_gradient().await.map_err(failed)?;
    let got = adapter::unflatten(trainer.lora().layout(), file.config.clone(), &flat);
    let mut compared = 0;
    for ((layer, module), pair) in &got.tensors {
        for (letter, values) in [("A", &pair.a), ("B", &pair.b)] {
            let key = format!("grad.base_model.model.{}.lora_{letter}.weight", module.path(*layer));
            let error = relative_l2(values, &expected.tensors[&key]);
            ensure(error < RELATIVE, || format!("{name} {key}: {error}"))?;
            compared += 1;
        }
    }
    let all = expected.tensors.keys().filter(|key| key.starts_with("grad.")).count();
    ensure(compared == all, || format!("{name}: compared {compared} of {all} gradients"))
}

/// The loss of the completions; leaves their gradient in the trainer.
pub(crate) async fn loss(trainer: &mut Trainer, expected: &Expected, name: &str) -> Check {
    let config = LossName::Sft.config(1);
    let (loss, _) = trainer.gradient(&expected.completions(), &config).await.map_err(failed)?;
    let want = expected.json["loss"].as_f64().ok_or("the fixture has no loss")?;
    ensure((loss - want).abs() < RELATIVE * want, || format!("{name}: loss {loss}, PyTorch {want}"))
}

/// Greedy text, without and with the adapter.
pub(crate) async fn greedy(model: &Arc<Model>, name: &str) -> Check {
    let expected = Expected::read(name);
    let file = adapter_file(model, &folder(name).join("adapter"));
    let trainer = trainer(model, &file, 512);
    let greedy = &expected.json["greedy"];
    let tokens = |value: &serde_json::Value| serde_json::from_value::<Vec<u32>>(value.clone()).unwrap();
    for (kind, lora) in [("base", None), ("adapter", Some(trainer.lora()))] {
        let want = tokens(&greedy[kind]["tokens"]);
        let sampling = Sampling { max_tokens: want.len(), temperature: 0.0, ..Sampling::default() };
        let request = Request { prompt: tokens(&greedy["prompt_tokens"]), samples: 1, sampling, seed: 0 };
        let mut generator = Generator::new(Arc::clone(model), lora, 4);
        let got = generator.generate(&[request], &mut |_| ControlFlow::Continue(())).await.map_err(failed)?;
        let got = &got[0][0].tokens;
        ensure(*got == want, || format!("{name} {kind}: greedy tokens {got:?}, PyTorch {want:?}"))?;
    }
    Ok(())
}
