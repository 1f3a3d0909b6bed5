//! The time that a gateway costs a job that does nothing, if it does not respond.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use metrics_push_benches::pushgateway::free_address;
use metrics_push_benches::usage::measure;
use metrics_push_benches::{Table, build_beside};

use crate::folder::TempFolder;

/// The program whose `main` has the attribute and does nothing.
const PROGRAM: &str = "bench_nothing";

pub(crate) fn table() -> Table {
    build_beside(env!("CARGO_PKG_NAME"), PROGRAM);
    let mut table = Table::new(&[
        "gateway",
        "state directory",
        "first process, ms longer",
        "second process, ms longer",
    ]);
    // It accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("an address");
    for (gateway, url) in [
        ("refuses connections", format!("http://{}", free_address())),
        ("no such name", "http://gateway.invalid:9091".to_owned()),
        ("does not respond", format!("http://{silent_address}")),
    ] {
        for has_state in [false, true] {
            let state = TempFolder::new();
            let state = has_state.then(|| state.path());
            let [first, second] =
                [(); 2].map(|()| wall_ms(Some(&url), state) - wall_ms(None, state));
            let has_state = if has_state { "yes" } else { "no" };
            table.row(&[gateway, has_state, &format!("{first:.0}"), &format!("{second:.0}")]);
        }
    }
    table
}

fn wall_ms(url: Option<&str>, state: Option<&Path>) -> f64 {
    let program = env::current_exe().expect("the path of this program").with_file_name(PROGRAM);
    let mut command = Command::new(program);
    command.env_clear().envs(url.map(|url| ("METRICS_PUSH_URL", url)));
    command.env("METRICS_PUSH_STATE_DIR", state.unwrap_or(Path::new("off")));
    measure(command).wall_ms
}
