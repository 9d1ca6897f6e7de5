//! Options whose value may be a password by mistake. What clap says of a wrong value repeats it, and
//! a terminal is recorded and a log is kept; here only the option and the form it wants are named.

use std::ffi::OsStr;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Reads a value, and never repeats it.
#[derive(Clone, Debug)]
pub(super) struct Unrepeated<T>(pub fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Unrepeated<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        (self.0)(&text).map_err(|why| {
            let option = arg.map(Arg::to_string).unwrap_or_default();
            let message = format!("the value of '{option}' can't be taken: {why}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
