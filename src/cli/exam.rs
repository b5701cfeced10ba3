//! `stepladder exam`: the exams of a library's lessons under a head, or with notes in the context instead.

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::lessons::course::Course;
use stepladder::lessons::library::{BASE, Library};
use stepladder::lessons::notes::View;
use stepladder::{Error, Result};

use super::context::Context;
use super::library_args::{LibraryArgs, Teller};

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
    let head = match args.head.as_deref() {
        None => library.standing().head().map(str::to_owned),
        Some(BASE) => None,
        Some(head) => {
            library.head_folder(head)?;
            Some(head.to_owned())
        }
    };
    let view = match (args.notes, args.retrieve) {
        (true, _) => Some(View::All),
        (false, Some(count)) => Some(View::Best(count as usize)),
        (false, None) => None,
    };
    let lessons = match args.lesson {
        Some(number) => vec![library.lesson(number)?.card.number],
        None => library.standing().active().to_vec(),
    };
    if lessons.is_empty() {
        let hint = "accept a lesson, or name one by --lesson";
        return Err(Error::usage("--lesson", "no lesson counts yet", hint));
    }
    let (session, mut learner) = args.library.learner(&library, context)?;
    let mut teller = Teller::new(context);
    let mut course = Course::new(&mut library, &mut learner, &mut teller)?;
    let name = match view {
        Some(view) => {
            lessons.iter().try_for_each(|number| block_on(course.examine_notes(*number, view)))?;
            view.name()
        }
        None => {
            block_on(course.examine_head(head.as_deref(), &lessons))?;
            head.unwrap_or_else(|| BASE.into())
        }
    };
    drop(teller);
    for number in lessons {
        let lesson = library.lesson(number)?;
        let Some(sitting) = library.results(lesson, &name)? else { continue };
        let right = sitting.outcomes.iter().filter(|outcome| outcome.right).count();
        let all = sitting.outcomes.len();
        let questions: Vec<_> =
            lesson.questions().map(|(_, question)| question).zip(&sitting.outcomes).collect();
        let rows: Vec<_> = questions
            .iter()
            .map(|(question, outcome)| json!({ "question": question, "outcome": outcome }))
            .collect();
        let answer = json!({
            "lesson": number, "name": lesson.card.name, "by": name, "right": right, "questions": all,
            "tokens": sitting.tokens, "seconds": sitting.seconds, "outcomes": rows,
        });
        context.answer(&answer, || {
            let each = |total: f64| total / all.max(1) as f64;
            let mut lines = vec![format!(
                "{}, {name}: {right} of {all} right; {:.0} tokens and {:.2} s a question",
                lesson.title(),
                each(sitting.tokens as f64),
                each(sitting.seconds)
            )];
            for (question, outcome) in questions.iter().filter(|(_, outcome)| !outcome.right) {
                let plain = |text: &str| {
                    stepladder::error::Plain(text.chars().take(60).collect::<String>()).to_string()
                };
                lines.push(format!(
                    "  {} said {:?}, right is {:?}",
                    plain(&question.prompt),
                    plain(&outcome.said),
                    plain(&question.answer)
                ));
            }
            lines.join("\n")
        })?;
    }
    session.print_profile(context)
}
