//! `stepladder consolidate`: all lessons that count, learnt anew from the base; without some of them, those are unlearnt.

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::lessons::course::Course;
use stepladder::lessons::decide::expect_consolidation;
use stepladder::lessons::library::Library;
use stepladder::{Error, Result};

use super::context::Context;
use super::library_args::{LibraryArgs, Teller};
use super::session::print_profile;
use super::signals::{quoted, say};

/// Options of `consolidate`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) library: LibraryArgs,
    /// Leave a lesson out for good: the new head has never seen it. May be given several times
    #[arg(long, value_name = "N")]
    pub(super) without: Vec<u32>,
}

/// Learns and makes the result the head.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let mut library = Library::open_to_write(&args.library.library)?;
    expect_consolidation(&library, &args.without)?;
    let (session, mut learner) = args.library.learner(&library, context)?;
    let mut teller = Teller::new(context);
    let made = block_on(Course::new(&mut library, &mut learner, &mut teller)?.consolidate(&args.without));
    drop(teller);
    if let Err(Error::Cancelled) = &made {
        say(&format!(
            "stopped; the head is unchanged. The same command goes on: stepladder consolidate {}",
            quoted(library.path())
        ));
    }
    let head = made?;
    let answer = json!({ "event": "consolidated", "without": args.without, "head": head, "lessons": library.standing().active() });
    context.answer(&answer, || {
        format!(
            "{} lessons in one head: {}",
            library.standing().active().len(),
            head.as_deref().unwrap_or("the base model")
        )
    })?;
    print_profile(context, session.model().gpu())
}
