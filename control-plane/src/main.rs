//! The `flamegate-control` program; everything is in the library, so that tests can start it in their own process.

use std::process::ExitCode;

fn main() -> ExitCode {
    flamegate_control::cli::run()
}
