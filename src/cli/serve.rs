//! `stepladder serve`: answer programs that speak OpenAI's interface.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use stepladder::lessons::library::Library;
use stepladder::serve::{Choice, Learning, Options, Server};
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs, name_value};
use super::chosen::expect_base;
use super::context::Context;
use super::library_args::expect_same;
use super::session::{load, open, print_profile, read_text, tie};

/// Where the key is looked for besides; an option would show it to everyone who lists processes.
const KEY_VARIABLE: &str = "STEPLADDER_API_KEY";

/// Options of `serve`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV] [default: that of --library]
    #[arg(short, long, required_unless_present = "library")]
    model: Option<String>,
    /// PEFT adapter that requests choose by NAME as their model; may be given several times
    #[arg(long = "adapter", value_name = "NAME=DIR", value_parser = name_value)]
    adapters: Vec<(String, String)>,
    /// Folder below which clients may load adapters by /v1/adapters, which they choose as `base:NAME`
    #[arg(long, value_name = "DIR")]
    adapter_folder: Option<PathBuf>,
    /// Library of lessons, whose head requests choose as `base@library`, and which learns by /v1/feedback and /v1/lessons; one
    /// that is not there is made with its first lesson
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Interface to listen on; one that other machines reach needs a key
    #[arg(long, default_value = "127.0.0.1", help_heading = "Options of the server")]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Options of the server")]
    port: u16,
    /// File with the key that clients must send [default: the value of $STEPLADDER_API_KEY, else none is asked for]
    #[arg(long, value_name = "FILE", help_heading = "Options of the server")]
    api_key_file: Option<PathBuf>,
    /// Answer pages of this origin, such as http://localhost:3000; may be given several times
    #[arg(long, value_name = "ORIGIN", help_heading = "Options of the server")]
    allow_origin: Vec<String>,
    /// Completions at a time [default: 8, or as many as there is memory for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Options of the server")]
    rows: Option<u32>,
    /// Requests that may wait for a row; those beyond are told to come again
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536), help_heading = "Options of the server")]
    queue: u32,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Serves until it is told to stop.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let place = args.library.as_deref();
    let library = place.filter(|place| Library::exists(place)).map(Library::open).transpose()?;
    if let (Some(place), None) = (place, &library) {
        Library::expect_place(place)?;
    }
    let model = args.model.clone().or_else(|| library.as_ref().map(|found| found.card().model.clone()));
    let Some(model) = model else {
        let problem = "there is no library yet whose model could be taken";
        return Err(Error::usage("--model", problem, "name the model by -m"));
    };
    let mut base = library.as_ref().map(|found| found.card().base.clone());
    let same = match (place, &base) {
        (Some(place), Some(base)) => expect_same(place, &args.device.base(context), base),
        _ => Ok(()),
    };
    let device = if same.is_ok() { args.device.as_in(base.as_ref()) } else { args.device.clone() };
    let opened = open(context, &model, &device)?;
    let mut choices = Vec::new();
    for (name, folder) in &args.adapters {
        choices.push(Choice::adapter(name, Path::new(folder))?);
    }
    let mut learning = None;
    if let Some(place) = place {
        if let Some(library) = &library {
            expect_base(&opened, place, &library.card().base)?;
        }
        let served = library.as_ref().map(|library| library.served(None)).transpose()?.flatten();
        choices.push(Choice::head(place, served));
        let tied = same.and_then(|()| tie(&opened, &mut base, &device, context, true, "library"));
        let base = tied.map(|()| base.unwrap_or_default()).map_err(|error| error.to_string());
        learning = Some(Learning { library: place.to_owned(), base });
    }
    let options = Options {
        host: args.host.clone(),
        port: args.port,
        api_key: api_key(args.api_key_file.as_deref())?,
        origins: args.allow_origin.clone(),
        rows: args.rows.map(|rows| rows as usize),
        queue: args.queue as usize,
        cache: args.cache.kv_cache,
        choices,
        adapter_folder: args.adapter_folder.clone(),
        learning,
    };
    opened.tell_unended();
    let server = Server::bind(&opened, options)?;
    let positions = opened.context_length;
    let session = load(opened)?;
    // From here on a signal lets answers end.
    context.stoppable();
    let address = format!("http://{}", server.address());
    let names: Vec<String> = server.names().into_iter().map(str::to_owned).collect();
    let rows = server.rows();
    server.run(&session, &mut || {
        let value = json!({ "address": address, "models": names, "rows": rows, "context": positions });
        context.answer(&value, || {
            let names = names.join(", ");
            format!(
                "{address} is a page for people, {address}/v1 answers programs, for {names}: {rows} at a time, \
                 {positions} tokens each; Ctrl-C stops it"
            )
        })
    })?;
    print_profile(context, session.model().gpu())
}

/// The key, from its file or from the environment.
fn api_key(file: Option<&Path>) -> Result<Option<String>> {
    if let Some(file) = file {
        return Ok(Some(read_text(file)?.trim().to_owned()));
    }
    match std::env::var(KEY_VARIABLE) {
        Ok(key) => Ok(Some(key)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::usage(KEY_VARIABLE, "is not UTF-8", "use letters, digits and signs"))
        }
    }
}
