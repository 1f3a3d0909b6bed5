//! `recover` after thousands of processes have died, each with one journal.

use metrics_push_benches::Table;
use metrics_push_benches::pushgateway::{Pushgateway, UNCHECKED};
use metrics_push_benches::usage::measure;

use crate::child;
use crate::folder::TempFolder;

const JOURNALS: usize = 20_000;

pub(crate) fn table() -> Table {
    let mut table =
        Table::new(&["journals", "wall, s", "CPU, s", "resident, MiB", "groups delivered"]);
    let gateway = Pushgateway::start_with(UNCHECKED);
    let state = TempFolder::new();
    let _ = measure(child::command("journals", JOURNALS, &gateway.url(), Some(state.path())));
    let usage = measure(child::command("recover", 0, &gateway.url(), Some(state.path())));
    let outcomes = gateway.outcomes_after_wait(JOURNALS);
    assert_eq!(outcomes, JOURNALS, "outcomes on the gateway");
    table.row(&[
        JOURNALS.to_string(),
        format!("{:.1}", usage.wall_ms / 1e3),
        format!("{:.1}", usage.cpu_ms / 1e3),
        format!("{:.0}", usage.resident_mib),
        outcomes.to_string(),
    ]);
    table
}
