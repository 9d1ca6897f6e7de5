//! `exporter`: serves the figures of a cluster to Prometheus.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::exporter;
use crate::model::{Fault, FaultKind, Update};
use crate::output::{Detail, ExporterJson, Format};

use super::{GlobalArgs, Io, RecordArgs, screens};

/// How the figures are served.
#[derive(Clone, Debug, clap::Args)]
pub struct ExporterArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9308", value_parser = listen)]
    pub listen: SocketAddr,
    /// A sample for each partition of each group too
    #[arg(long)]
    pub partitions: bool,
    /// Seconds between two reads of the cluster, however often it is scraped
    #[arg(long, value_name = "SECONDS", default_value = "5",
          value_parser = clap::value_parser!(u64).range(screens::REFRESH_S))]
    pub refresh: u64,
    #[command(flatten)]
    pub record: RecordArgs,
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let wanted = "an address and a port, such as 127.0.0.1:9308 or [::]:9308";
    text.parse().map_err(|_| wanted.to_owned())
}

pub(super) async fn run(
    global: &GlobalArgs,
    args: &ExporterArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let what = format!("listen on {}", args.listen);
    let failed = |error: std::io::Error| Fault::new(FaultKind::Failed, &*what, error.to_string());
    let (client, target) = global.client_and_target().await?;
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let recorder = args.record.start(Some(&target))?;
    // It goes on after that: a document in one line can be read while it does.
    let format = match global.output {
        Format::Table => Format::Table,
        Format::Json | Format::Jsonl => Format::Jsonl,
    };
    io.print(format, &ExporterJson::at(address));
    if !address.ip().is_loopback() {
        io.tell("note: whoever reaches this address can read the figures\n");
    }
    let detail = Detail {
        partitions: args.partitions,
    };
    let intervals = screens::intervals(args.refresh);
    let note = |update: &Update, at| {
        if let Some(recorder) = &recorder {
            recorder.note(update, at);
        }
    };
    exporter::run(client, intervals, listener, detail, note).await;
    Ok(0)
}
