//! `stepladder exam`: the exams of a library's lessons under a head, or with notes in the context instead.

use pollster::block_on;
use serde::Serialize;
use stepladder::Result;
use stepladder::error::Plain;
use stepladder::lessons::course::Course;
use stepladder::lessons::examination::{Answered, Examination, Paper};
use stepladder::lessons::library::Library;
use stepladder::lessons::notes::View;

use super::context::Context;
use super::library_args::{LibraryArgs, Teller};
use super::session::print_profile;

/// Options of `exam`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) library: LibraryArgs,
    /// Head to examine: a name from `stepladder board`, or `base` [default: the one that is served]
    #[arg(long, value_name = "HEAD", conflicts_with_all = ["notes", "retrieve"])]
    pub(super) head: Option<String>,
    /// Ask the base with all that the lesson teaches in the context before each question, to set against what weights have learnt
    #[arg(long, conflicts_with = "retrieve")]
    pub(super) notes: bool,
    /// Ask the base with the K lines of the lesson in the context that match the question best (BM25)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) retrieve: Option<u32>,
    /// Only this lesson [default: all that count]
    #[arg(long, value_name = "N")]
    pub(super) lesson: Option<u32>,
}

/// Asks what was not asked yet, and tells all.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let mut library = Library::open_to_write(&args.library.library)?;
    let view = match (args.notes, args.retrieve) {
        (true, _) => Some(View::All),
        (false, Some(count)) => Some(View::Best(count as usize)),
        (false, None) => None,
    };
    let examination = Examination::of(&library, args.head.as_deref(), view, args.lesson)?;
    let (session, mut learner) = args.library.learner(&library, context)?;
    let mut teller = Teller::new(context);
    block_on(examination.sit(&mut Course::new(&mut library, &mut learner, &mut teller)?))?;
    drop(teller);
    for paper in examination.papers(&library)? {
        let title = library.lesson(paper.lesson)?.title();
        context.answer(&paper, || words(&paper, &title))?;
    }
    print_profile(context, session.model().gpu())
}

/// A paper for people: the sum, and what went wrong.
fn words(paper: &Paper<'_>, title: &str) -> String {
    let each = |total: f64| total / paper.questions.max(1) as f64;
    let mut lines = vec![format!(
        "{title}, {}: {} of {} right; {:.0} tokens and {:.2} s a question",
        paper.by,
        paper.right,
        paper.questions,
        each(paper.tokens as f64),
        each(paper.seconds)
    )];
    for Answered { question, outcome } in paper.outcomes.iter().filter(|answered| !answered.outcome.right) {
        let plain = |text: &str| Plain(text.chars().take(60).collect::<String>()).to_string();
        lines.push(format!(
            "  {} said {:?}, right is {:?}",
            plain(&question.prompt),
            plain(&outcome.said),
            plain(&question.answer)
        ));
    }
    lines.join("\n")
}
