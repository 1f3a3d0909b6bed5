//! Thousands of tasks that are open at once, with and without a state directory.

use metrics_push_benches::Table;
use metrics_push_benches::pushgateway::{Pushgateway, UNCHECKED};
use metrics_push_benches::usage::measure;

use crate::child;
use crate::folder::TempFolder;

const TASKS: [usize; 2] = [3_000, 20_000];

pub(crate) fn table() -> Table {
    let mut table = Table::new(&[
        "tasks open at once",
        "state directory",
        "wall, ms",
        "CPU, ms",
        "resident, MiB",
        "groups delivered",
    ]);
    for tasks in TASKS {
        for has_state in [false, true] {
            let gateway = Pushgateway::start_with(UNCHECKED);
            let state = TempFolder::new();
            let state = has_state.then(|| state.path());
            let usage = measure(child::command("open", tasks, &gateway.url(), state));
            let outcomes = gateway.outcomes_after_wait(tasks);
            assert_eq!(outcomes, tasks, "outcomes on the gateway");
            table.row(&[
                tasks.to_string(),
                if has_state { "yes" } else { "no" }.to_owned(),
                format!("{:.0}", usage.wall_ms),
                format!("{:.0}", usage.cpu_ms),
                format!("{:.1}", usage.resident_mib),
                outcomes.to_string(),
            ]);
        }
    }
    table
}
