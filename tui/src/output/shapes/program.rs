//! What commands about the program itself print: `docs`, `exporter`.

use std::net::SocketAddr;

use serde::Serialize;

use crate::output::Printable;

/// `docs`.
#[derive(Clone, Debug, Serialize)]
pub struct DocsJson {
    pub pages: Vec<DocsPage>,
}

/// One page of the reference.
#[derive(Clone, Debug, Serialize)]
pub struct DocsPage {
    /// Its name, or where it was written.
    pub file: String,
    /// Markdown, where it was not written to a file.
    pub text: Option<String>,
}

impl Printable for DocsJson {
    fn table(&self) -> String {
        let line = |page: &DocsPage| format!("{}\n", page.text.as_ref().unwrap_or(&page.file));
        self.pages.iter().map(line).collect()
    }
}

/// `exporter`, once it serves.
#[derive(Clone, Debug, Serialize)]
pub struct ExporterJson {
    pub address: String,
    pub metrics: String,
    pub health: String,
}

impl ExporterJson {
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address: address.to_string(),
            metrics: format!("http://{address}/metrics"),
            health: format!("http://{address}/health"),
        }
    }
}

impl Printable for ExporterJson {
    fn table(&self) -> String {
        format!("serving {} and /health\n", self.metrics)
    }
}
