//! `stepladder study` of a file with lessons: ways of learning them one after the other.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pollster::block_on;
use stepladder::lessons::study::lab::Lab;
use stepladder::lessons::study::plan::Study;
use stepladder::lessons::study::results::Results;
use stepladder::lessons::study::{run, table};
use stepladder::{Error, Result};

use super::{Args, read_results};
use crate::cli::context::Context;
use crate::cli::library_args::learner;
use crate::cli::session::{open, print_profile, tie};
use crate::cli::signals::say;

/// Does what is left of a study of lessons, then writes what it came to.
pub(super) fn run(args: &Args, context: &Context, output: &Path) -> Result<()> {
    let name = || Ok(Study::read(&args.file)?.plan.name);
    args.check_outputs::<Results>(context, output, &name, |results| &results.study)?;
    let results = match args.render {
        true => read_results(args.publish.as_deref().unwrap_or(output))?,
        false => do_jobs(args, context, output)?,
    };
    args.publish(context, output, &results, (&results.study, &table::parts(&results)), &run::write)
}

fn do_jobs(args: &Args, context: &Context, output: &Path) -> Result<Results> {
    let study = Study::read(&args.file)?;
    if args.adapter.is_some() {
        let hint = "leave it out";
        return Err(Error::usage("--adapter", "lessons begin at the base", hint));
    }
    args.expect_arms(study.plan.arms.iter().map(|arm| arm.name.as_str()))?;
    let opened = open(context, args.model.as_deref().unwrap_or(&study.plan.model), &args.device)?;
    let mut base = None;
    tie(&opened, &mut base, &args.device, context, true, "run")?;
    let parameters = opened.config.parameters();
    let Some(arm) = study.plan.arms.first() else {
        return Err(Error::usage("arm", "there are none", "add one to the study"));
    };
    let settings = study.settings(arm, parameters, 0)?;
    let (session, mut learner) = learner(opened, &settings, context)?;
    let began = Instant::now();
    let cancel = context.cancelled();
    let mut lab = Lab {
        learner: &mut learner,
        base,
        clock: &move || began.elapsed().as_secs_f64(),
        words: &|line| say(line),
        stopped: &|| cancel.load(Ordering::Relaxed),
    };
    let results = block_on(run::run(&mut lab, &study, output, &args.arm));
    if let Err(Error::Cancelled) = results {
        say(&format!("stopped; what is done is in {}, and the same command goes on", output.display()));
    }
    let results = results?;
    print_profile(context, session.model().gpu())?;
    Ok(results)
}
