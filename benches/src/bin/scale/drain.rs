//! The end of an outage: how long it takes until the gateway has all outcomes that were stored while it was down.
//!
//! The limit is the time of one client that sends the same requests, byte for byte and one after another, over one
//! connection. All measurements are made in turn.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use metrics_push_benches::pushgateway::{Pushgateway, UNCHECKED, free_address};
use metrics_push_benches::request::read_request;
use metrics_push_benches::server::Server;
use metrics_push_benches::usage::measure;
use metrics_push_benches::{Table, median, median_ratio};

use crate::child;
use crate::folder::TempFolder;

const GROUPS: usize = 3_200;
/// A kind of gateway, its arguments, the number of measurements, and the maximum ratio to one client. The time of a
/// gateway that compares each push with all groups is long, and varies little.
const GATEWAYS: [(&str, &[&str], usize, f64); 2] =
    [("without a consistency check", UNCHECKED, 3, 1.3), ("with the check", &[], 1, 1.5)];

pub(crate) fn table() -> Table {
    let mut table = Table::new(&[
        "gateway",
        "one client, s",
        "`recover`, s",
        "CPU of `recover`, s",
        "scheduler, s",
        "`recover` / one client",
        "scheduler / one client",
        "at most",
        "",
    ]);
    let address = free_address();
    let url = format!("http://{address}");
    let outage = TempFolder::new();
    let _ = measure(child::command("runs", GROUPS, &url, Some(outage.path())));
    let requests = recorded(address, &outage);
    for (name, arguments, rounds, max) in GATEWAYS {
        let start = || Pushgateway::start_at(address, arguments);
        let [mut one_client, mut recover, mut cpu, mut scheduler] = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            let gateway = start();
            one_client.push(send_all(address, &requests));
            assert_complete(gateway);
            for (work, walls) in [("recover", &mut recover), ("scheduler", &mut scheduler)] {
                let (gateway, state) = (start(), outage.copy());
                let usage = measure(child::command(work, 0, &url, Some(state.path())));
                walls.push(usage.wall_ms / 1e3);
                if work == "recover" {
                    cpu.push(usage.cpu_ms / 1e3);
                }
                assert_complete(gateway);
            }
        }
        let ratios = [&recover, &scheduler].map(|walls| median_ratio(walls, &one_client));
        let seconds = [&one_client, &recover, &cpu, &scheduler];
        let [one_client, recover, cpu, scheduler] =
            seconds.map(|values| format!("{:.2}", median(values)));
        let verdict = if ratios.iter().all(|ratio| *ratio <= max) { "met" } else { "missed" };
        let [recover_ratio, scheduler_ratio, max] =
            [ratios[0], ratios[1], max].map(|ratio| format!("{ratio:.2}"));
        table.row(&[
            name,
            &one_client,
            &recover,
            &cpu,
            &scheduler,
            &recover_ratio,
            &scheduler_ratio,
            &max,
            verdict,
        ]);
    }
    table
}

/// Returns the requests that deliver the stored outcomes.
fn recorded(address: SocketAddr, outage: &TempFolder) -> Vec<Vec<u8>> {
    let server = Server::record(address);
    let state = outage.copy();
    let _ = measure(child::command("recover", 0, &server.url(), Some(state.path())));
    let requests = server.into_pushes();
    assert_eq!(requests.len(), GROUPS, "requests");
    requests
}

/// Sends requests one after another. Returns how long that took, in seconds.
fn send_all(address: SocketAddr, requests: &[Vec<u8>]) -> f64 {
    let started = Instant::now();
    let stream = TcpStream::connect(address).expect("the gateway accepts connections");
    stream.set_nodelay(true).expect("a connected socket");
    let mut stream = BufReader::new(stream);
    for request in requests {
        stream.get_mut().write_all(request).expect("the gateway reads the request");
        let response = read_request(&mut stream);
        let is_success = response.starts_with(b"HTTP/1.1 20");
        assert!(is_success, "{}", String::from_utf8_lossy(&response));
    }
    started.elapsed().as_secs_f64()
}

fn assert_complete(gateway: Pushgateway) {
    let outcomes = gateway.outcomes_after_wait(GROUPS);
    assert!(outcomes >= GROUPS, "{outcomes} outcomes on the gateway");
}
