//! The `kafka-broker` program. Everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use kafka_broker::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
