//! `stepladder learn`: a lesson into a library, learnt, examined and decided.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::lessons::begin::{Place, begin};
use stepladder::lessons::board::wrapped;
use stepladder::lessons::card::Card;
use stepladder::lessons::course::Course;
use stepladder::lessons::decide::{Outcome, conclude};
use stepladder::lessons::gate::{Decision, Verdict};
use stepladder::lessons::library::Library;
use stepladder::lessons::settings::LearnSettings;
use stepladder::lessons::source::Source;
use stepladder::session::Opened;
use stepladder::settings::{LESSONS, Setting, Table, at};
use stepladder::train::sft::settings::{LARGE as SFT_LARGE, SMALL as SFT_SMALL};
use stepladder::{Error, Result};

use super::context::Context;
use super::learn_source::SourceArgs;
use super::library_args::{LibraryArgs, Teller, learner, verdict_text};
use super::session::print_profile;
use super::setting_args::{Rows, SettingArgs, table_help, typed};
use super::signals::{quoted, say};

/// Exit status of a lesson that the gate rejected.
const REJECTED: u8 = 3;
/// Exit status of a lesson that the gate cannot judge.
const CANNOT_TELL: u8 = 4;

/// Options of `learn`. Without a source it goes on with the lesson that was stopped or waits.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) library: LibraryArgs,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Accept what the gate lets through without asking
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) settings: SettingArgs<LibraryRows>,
}

/// The settings of a new library.
#[derive(Debug)]
pub(super) struct LibraryRows;

impl Rows for LibraryRows {
    const TABLE: Table = LESSONS;
    const DEFAULT_PRESET: Option<&'static str> = None;

    fn default_words(setting: &Setting) -> Option<String> {
        Some(default_of(setting))
    }
}

/// The value of a setting of a library that a user says nothing of: for models of usual size, large and very small ones.
fn default_of(setting: &Setting) -> String {
    let [usual, large, small] = [SFT_SMALL.0, SFT_LARGE.0, 0.0].map(|parameters| {
        let values = serde_json::to_value(LearnSettings::for_model(parameters as u64)).unwrap_or_default();
        at(&values, setting.path).map(typed).unwrap_or_default()
    });
    let mut words = usual.clone();
    if large != usual {
        words += &format!(", {large} from about a billion parameters on");
    }
    if small != usual {
        words += &format!(", {small} for very small models");
    }
    words
}

/// What the help says of every setting.
pub(super) fn settings_help() -> String {
    table_help(LESSONS, default_of)
}

/// Learns a lesson and decides about it.
pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let (source, wanted) = (args.source.read()?, args.source.wanted()?);
    let place = &args.library.library;
    let mut library = None;
    if Library::exists(place) {
        args.expect_no_settings()?;
        library = Some(Library::open_to_write(place)?);
    } else {
        Library::expect_place(place)?;
        if !source.begins() {
            let problem = format!("{} is no library yet", place.display());
            return Err(Error::usage(
                "--pairs",
                problem,
                "begin with a lesson by --pairs, --document, --run or --feedback",
            ));
        }
    }
    if let Some(word) = library.as_ref().and_then(|library| library.ledger().warning()) {
        say(&word);
    }
    let pending = library.as_ref().and_then(|library| library.standing().pending());
    if let (Source::Pending, None, Some(_)) = (&source, pending, &library) {
        return Err(Error::usage(
            "--pairs",
            "no lesson waits",
            "give what is to be learnt by --pairs, --document, --run, --feedback or --correct",
        ));
    }
    if let Some(library) = library.as_ref().filter(|_| !matches!(source, Source::Pending)) {
        library.expect_decided()?;
    }
    let model = args.library.model(library.as_ref())?;
    let mut base = library.as_ref().map(|library| library.card().base.clone());
    let opened = args.library.open(context, &model, &mut base)?;
    source.check(&opened.language, base.as_ref().map_or("", |base| &base.sha256))?;
    opened.tell_lacking(source.texts());
    let settings = match &library {
        Some(library) => library.card().settings.clone(),
        None => args.settings(&opened)?,
    };
    let (session, mut learner) = learner(opened, &settings, context)?;
    let mut teller = Teller::new(context);
    let source =
        args.source.worked_out(source, &mut learner, &model, &mut teller, context, &args.library.device)?;
    let make = |card: &Card, anchors: &[_]| Library::create(place, card, anchors);
    let at = match library {
        Some(library) => Place::There(Box::new(library)),
        None => {
            say(&format!("{} is new: asking the base model what must stay", place.display()));
            Place::New {
                model: model.clone(),
                base: base.unwrap_or_default(),
                settings: Box::new(settings),
                make: &make,
            }
        }
    };
    let mut progress = |done, all, what: &str| teller.go_on(done, all, what);
    let (mut library, number) = block_on(begin(&source, &wanted, at, &mut learner, &mut say, &mut progress))?;
    let verdict = match block_on(Course::new(&mut library, &mut learner, &mut teller)?.teach(number)) {
        Err(Error::Cancelled) => {
            say(&format!("stopped, and saved; go on with: stepladder learn {}", quoted(place)));
            return Err(Error::Cancelled);
        }
        verdict => verdict?,
    };
    drop(teller);
    let way = if learner.language().asks_in_sentences() {
        "chat".to_owned()
    } else {
        // A question of the lesson, as it is taught.
        let question = library.lesson(number)?.facts.first().map_or("QUESTION", |fact| &fact.wordings[0]);
        format!("generate --temperature 0 -p {}", quoted(Path::new(question)))
    };
    let code = args.decide(context, &mut library, number, &verdict, &way)?;
    print_profile(context, session.model().gpu())?;
    Ok(code)
}

impl Args {
    /// A library keeps the settings that it was made with.
    fn expect_no_settings(&self) -> Result<()> {
        match self.settings.changes()?.first() {
            None => Ok(()),
            Some(change) => {
                let problem = format!("{} keeps what it was made with", self.library.library.display());
                Err(Error::usage(&change.name, problem, "leave it out, or make a new library"))
            }
        }
    }

    fn settings(&self, opened: &Opened) -> Result<LearnSettings> {
        let changes = self.settings.changes()?;
        LearnSettings::for_library(&opened.name, &opened.config, opened.context_length, changes)
    }

    /// Accepts, rejects, asks, or lets the lesson wait; `way` is the command that asks the model.
    fn decide(
        &self,
        context: &Context,
        library: &mut Library,
        number: u32,
        verdict: &Verdict,
        way: &str,
    ) -> Result<ExitCode> {
        let title = library.lesson(number)?.title();
        let head = library.standing().candidate(number).map(str::to_owned).unwrap_or_default();
        let place = quoted(&self.library.library);
        let may_accept = verdict.decision != Decision::Rejected;
        let sure = self.yes && verdict.decision == Decision::Accepted;
        // Who is asked sees the verdict before the answer.
        let asks = may_accept && !sure && can_ask(context);
        // What the gate cannot tell a person may.
        let accept = sure || asks && asked(context, verdict)?;
        let state = conclude(library, number, verdict, accept)?;
        let words = match state {
            Outcome::Rejected => {
                let reason = verdict.reason();
                let words = format!(
                    "{title} is kept apart: {reason}. The head is unchanged; ask what was learnt with:"
                );
                wrapped(&words, "") + &format!("  stepladder {way} --library {place} --lesson {number}")
            }
            Outcome::Accepted => {
                format!("{title} is accepted; ask with:\n  stepladder {way} --library {place}")
            }
            Outcome::Waiting | Outcome::CannotTell => {
                let why = match state {
                    Outcome::Waiting => "passed; you decide.",
                    _ => {
                        "cannot be judged by so few questions, so that --yes does not accept it; you decide."
                    }
                };
                let words = wrapped(&format!("{title} {why} Try it, then accept or reject it:"), "");
                words
                    + &format!("  stepladder {way} --library {place} --lesson {number}\n")
                    + &format!("  stepladder accept {place}\n  stepladder reject {place}")
            }
        };
        let code = match state {
            Outcome::Rejected => ExitCode::from(REJECTED),
            Outcome::CannotTell => ExitCode::from(CANNOT_TELL),
            Outcome::Accepted | Outcome::Waiting => ExitCode::SUCCESS,
        };
        let answer = json!({
            "event": "decided", "lesson": number, "head": head, "state": state, "verdict": verdict,
            "cost": library.standing().cost(number),
        });
        context
            .answer(&answer, || if asks { words } else { format!("{}\n{words}", verdict_text(verdict)) })?;
        Ok(code)
    }
}

/// Whether a person at a terminal can be asked; without one nobody says yes.
fn can_ask(context: &Context) -> bool {
    !context.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a person.
fn asked(context: &Context, verdict: &Verdict) -> Result<bool> {
    say(&verdict_text(verdict));
    let _ = write!(std::io::stderr(), "accept it? [y/N] ");
    let mut line = String::new();
    let read = context.idle(|| std::io::stdin().lock().read_line(&mut line));
    read.map_err(|error| Error::read("standard input", error))?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
