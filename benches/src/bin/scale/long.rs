//! The memory and the CPU time of a scheduler while its gateway is down for a long time.

use std::process::Stdio;

use metrics_push_benches::Table;
use metrics_push_benches::pushgateway::free_address;

use crate::child;
use crate::folder::TempFolder;

const GROUPS: usize = 500;

pub(crate) fn table() -> Table {
    let mut table = Table::new(&[
        "500 groups, gateway refuses connections",
        "resident after 2 runs of each, MiB",
        "resident after 20 runs of each, MiB",
        "CPU in the next 60 s, ms",
    ]);
    for has_state in [false, true] {
        let state = TempFolder::new();
        let state = has_state.then(|| state.path());
        let url = format!("http://{}", free_address());
        let mut command = child::command("long", GROUPS, &url, state);
        let output = command.stderr(Stdio::null()).output().expect("the child starts");
        assert!(output.status.success(), "{}", output.status);
        let output = String::from_utf8(output.stdout).expect("numbers");
        let mut numbers = output.split_whitespace();
        let mut next = || numbers.next().expect("three numbers").parse::<f64>().expect("a number");
        let [early, late] = [next(), next()].map(|mib| format!("{mib:.1}"));
        let name = if has_state { "with a state directory" } else { "without" };
        table.row(&[name, &early, &late, &format!("{:.0}", next() * 1e3)]);
    }
    table
}
