//! Puts the functions that the screens run side by side in the program.
//!
//! A program of 25 MB that runs 3 MB of them, spread evenly, has 14 MB in memory, because a page
//! that is needed comes with its neighbours. Where the linker takes a list of what belongs together
//! (`link/screens.ld`, written by `link/order.py`), optimised programs are laid out by it. Nothing
//! but memory depends on that: without the list, and with names that are no longer right, the
//! program is the same.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LIST: &str = "link/screens.ld";

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
    let argument = format!("-Wl,-T,{}", Path::new(&folder).join(LIST).display());
    if takes(&argument).unwrap_or(false) {
        println!("cargo::rustc-link-arg-bin=kafka-tui={argument}");
    }
}

/// Whether the linker that will be used takes the list: a program that does nothing is linked.
fn takes(argument: &str) -> Option<bool> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = out.join("nothing.rs");
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
    rustc.arg("-o").arg(out.join("nothing")).arg(&source);
    rustc.stderr(Stdio::null());
    Some(rustc.status().ok()?.success())
}
