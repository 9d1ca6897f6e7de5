//! `docs`: the reference, to a folder or to stdout.

use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::docs;
use crate::model::{Fault, FaultKind};
use crate::output::{DocsJson, DocsPage};

use super::{Cli, GlobalArgs, Io};

/// Where it is written.
#[derive(Clone, Debug, clap::Args)]
pub struct DocsArgs {
    /// A file for each page in this folder, which is made if need be; stdout if absent
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

pub(super) fn run(global: &GlobalArgs, args: &DocsArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let pages = docs::pages(&Cli::command());
    let mut told = DocsJson { pages: Vec::new() };
    let Some(folder) = &args.out else {
        told.pages.extend(pages.into_iter().map(|page| DocsPage {
            file: page.file.to_owned(),
            text: Some(page.text),
        }));
        io.print(global.output, &told);
        return Ok(0);
    };
    let failed = |path: &std::path::Path, error: std::io::Error| {
        let why = format!("{}: {error}", path.display());
        Fault::new(FaultKind::Failed, "write the reference", why)
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for page in &pages {
        let path = folder.join(page.file);
        std::fs::write(&path, &page.text).map_err(|error| failed(&path, error))?;
        told.pages.push(DocsPage {
            file: path.display().to_string(),
            text: None,
        });
    }
    io.print(global.output, &told);
    Ok(0)
}
