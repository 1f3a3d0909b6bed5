//! `metrics-push serve`: serves the page of all jobs.

mod hosts;
mod routes;
mod server;
mod snapshot;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::source::{Source, SourceArguments};
use crate::terminal;
use hosts::AllowedHosts;

/// Serves a page of all jobs over HTTP, until it receives SIGTERM or SIGINT.
///
/// The page is read-only and refreshes itself. It shows the names, the labels and the errors of all jobs to every client
/// that reaches the address, without a password. The default address is reachable from this machine only.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The address and the port to listen on. Port 0 selects a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// Another name of this machine that browsers use, for example behind a proxy. Requests to unknown names are refused.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let source = Source::new(&arguments.source)?;
    let listen = |error| {
        Failure::failed(format!(
            "cannot listen on {}: {error}; select another address with --listen",
            arguments.listen
        ))
    };
    let listener = TcpListener::bind(arguments.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let start = |error| Failure::failed(format!("cannot start the server: {error}"));
    let snapshots = snapshot::start(move || source.load(|_| true)).map_err(start)?;
    terminal::print(&format!("Listening on http://{address}/\n"))?;
    let hosts = AllowedHosts::new(&arguments.host);
    server::run(listener, snapshots, hosts).map_err(start)?;
    Ok(ExitCode::SUCCESS)
}
