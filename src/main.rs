//! The `stepladder` program: reads the command line, runs one command, maps its result to an exit status.

// Standard error may be gone, which must not end a run: see `signals::say`.
#![warn(clippy::print_stderr)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
