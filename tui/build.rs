//! Lays optimised programs out so that little of them has to be in memory.
//!
//! - A program of 25 MB that runs 3 MB of them, spread evenly, has 14 MB in memory, because a page
//!   that is needed comes with its neighbours. Where the linker takes a list of what belongs together
//!   (`link/screens.ld`, written by `link/order.py`), the functions that the screens run lie side by
//!   side.
//! - Of the places in the program that hold addresses a table is read at its start. Where linker and
//!   loader know the packed form of it (RELR), that takes 20 KB instead of 700.
//!
//! Nothing but memory depends on that: without it, and with names in the list that are no longer
//! right, the program is the same.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LIST: &str = "link/screens.ld";
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_laid_out = is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if !is_laid_out {
        return;
    }
    let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") else {
        return;
    };
    let list = format!("-Wl,-T,{}", Path::new(&folder).join(LIST).display());
    // The loader is tried too, and only this machine's can be.
    let is_native = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    let runs = |program: &PathBuf| Command::new(program).status().is_ok_and(|s| s.success());
    if linked(&list).is_some() {
        println!("cargo::rustc-link-arg-bin=kafka-tui={list}");
    }
    if is_native && linked(PACKED).as_ref().is_some_and(runs) {
        println!("cargo::rustc-link-arg-bin=kafka-tui={PACKED}");
    }
}

/// A program that does nothing, if the linker that will be used takes the argument.
fn linked(argument: &str) -> Option<PathBuf> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let (source, program) = (out.join("nothing.rs"), out.join("nothing"));
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg("--target").arg(env::var_os("TARGET")?);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    rustc.arg("-C").arg(format!("link-arg={argument}"));
    rustc.arg("-o").arg(&program).arg(&source);
    rustc.stderr(Stdio::null());
    rustc.status().ok()?.success().then_some(program)
}
