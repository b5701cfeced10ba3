//! How a chat draws tokens: as its user says, else as the model's makers advise, else tamely, since small models seldom make
//! sense at a temperature of 1.

use clap::Command;
use stepladder::model::config::advice::SamplingAdvice;

use super::args::SamplingArgs;
use super::context::Context;

/// Where neither the user nor the model says anything: a choice of ours.
const TEMPERATURE: f64 = 0.7;
/// From Nguyen et al., "Turning Up the Heat: Min-p Sampling" (2407.01082), who take 0.05 to 0.1; llama.cpp has it as its default.
const MIN_P: f64 = 0.05;

/// The help of `chat` with these defaults.
pub(super) fn helped(command: Command) -> Command {
    let tame = [
        ("temperature", format!("else {TEMPERATURE}")),
        ("top_k", "else all".into()),
        ("top_p", "else 1".into()),
        ("min_p", format!("else {MIN_P} where it advises nothing")),
    ];
    tame.into_iter().fold(command, |command, (name, other)| {
        command.mut_arg(name, |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.hide_default_value(true).help(format!("{help} [default: as the model advises, {other}]"))
        })
    })
}

/// How tokens are drawn, and whose numbers these are where they are not the user's.
pub(super) fn of(args: &SamplingArgs, advice: SamplingAdvice, context: &Context) -> (SamplingArgs, String) {
    let sampling = merged(args, advice, |name| context.is_given(name));
    let all = ["temperature", "top_k", "top_p", "min_p"].into_iter().all(|name| context.is_given(name));
    let whose = match () {
        () if all => "",
        () if advice.is_some() => ", as the model advises but for what you gave",
        () => "; the model advises none",
    };
    let penalty = advice.repetition_penalty.filter(|penalty| *penalty != 1.0);
    let penalty = penalty.map_or_else(String::new, |penalty| {
        format!("; its repetition_penalty of {penalty} is not applied in chats, only by serve")
    });
    let words = words(&sampling);
    (sampling, words + whose + &penalty)
}

/// What is `given` stays, what is not comes from the advice, or is tame.
fn merged(args: &SamplingArgs, advice: SamplingAdvice, given: impl Fn(&str) -> bool) -> SamplingArgs {
    let mut sampling = args.clone();
    if !given("temperature") {
        sampling.temperature = advice.temperature.unwrap_or(TEMPERATURE);
    }
    if !given("top_k") {
        sampling.top_k = advice.top_k.unwrap_or(0);
    }
    if !given("top_p") {
        sampling.top_p = advice.top_p.unwrap_or(1.0);
    }
    if !given("min_p") {
        sampling.min_p = advice.min_p.unwrap_or(if advice.is_some() { 0.0 } else { MIN_P });
    }
    sampling
}

/// The numbers that change something.
pub(super) fn words(sampling: &SamplingArgs) -> String {
    let SamplingArgs { temperature, top_k, top_p, min_p, .. } = sampling;
    let mut words = format!("temperature {temperature}");
    if *temperature > 0.0 {
        words += &if *top_k > 0 { format!(", top-k {top_k}") } else { String::new() };
        words += &if *top_p < 1.0 { format!(", top-p {top_p}") } else { String::new() };
        words += &if *min_p > 0.0 { format!(", min-p {min_p}") } else { String::new() };
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(args: &SamplingArgs, advice: SamplingAdvice, given: &[&str]) -> String {
        words(&merged(args, advice, |name| given.contains(&name)))
    }

    #[test]
    fn the_user_comes_before_the_model_and_that_before_the_defaults() {
        let args = SamplingArgs { temperature: 1.0, top_k: 5, top_p: 1.0, min_p: 0.0, seed: 0 };
        let none = SamplingAdvice::default();
        assert_eq!(drawn(&args, none, &[]), "temperature 0.7, min-p 0.05");
        assert_eq!(drawn(&args, none, &["temperature", "top_k"]), "temperature 1, top-k 5, min-p 0.05");
        let advice = SamplingAdvice { temperature: Some(0.6), top_p: Some(0.95), ..none };
        assert_eq!(drawn(&args, advice, &[]), "temperature 0.6, top-p 0.95");
        assert_eq!(drawn(&args, advice, &["temperature"]), "temperature 1, top-p 0.95");
        let greedy = SamplingAdvice { temperature: Some(0.0), ..none };
        assert_eq!(drawn(&args, greedy, &[]), "temperature 0");
    }
}
