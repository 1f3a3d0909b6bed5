//! `metrics-push history`, and the runs that `status` shows of it.

use serde_json::Value;

use crate::machine::Machine;

#[test]
fn history_lists_runs_with_streak_and_success_rate() {
    let machine = Machine::new("list");
    for code in [0, 0, 3, 4] {
        machine.exec(&["region=eu"], code);
    }
    let ended = machine.run(&["history", "orders", "-n", "3"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "orders region=eu");
    assert!(lines[1].starts_with("failing for 2 runs since "), "{ended:?}");
    assert!(lines[1].contains(" (exit code 4); last success "), "{ended:?}");
    let runs: Vec<_> = lines.iter().filter(|line| line.contains("  exit code ")).collect();
    assert!(runs[0].contains("exit code 4") && runs[1].contains("exit code 3"), "{ended:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("  success  ")).count(), 1, "{ended:?}");
    let more = "1 older run: metrics-push history orders --grouping region=eu -n 4";
    assert!(lines.contains(&more), "{ended:?}");
    assert_eq!(lines.last(), Some(&"success rate: 50% of 4 runs"), "{ended:?}");

    let table = machine.run(&["status"]);
    assert!(table.stdout.contains("failing 2x"), "{table:?}");
    assert!(table.stdout.contains("||xx"), "{table:?}");
}

#[test]
fn history_json_has_numbers_and_text() {
    let machine = Machine::new("json");
    machine.exec(&[], 0);
    machine.exec(&[], 3);
    let ended = machine.run(&["history", "orders", "--json"]);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&json["labels"]["job"], &json["consecutive_failures"]),
        (&"orders".into(), &1.into())
    );
    let [failed, succeeded] = &json["runs"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&failed["outcome"], &failed["exit_code"]), (&"exit_code".into(), &3.into()));
    assert_eq!(succeeded["outcome"], "success");
    assert!(succeeded["duration_seconds"].is_number() && succeeded["id"].is_string(), "{json}");
}

#[test]
fn history_needs_the_labels_of_one_of_several_groups() {
    let machine = Machine::new("groups");
    machine.exec(&["region=eu"], 0);
    machine.exec(&["region=us"], 0);
    let ambiguous = machine.run(&["history", "orders"]);
    assert_eq!(ambiguous.status, 2, "{ambiguous:?}");
    let groups = "--grouping region=eu, --grouping region=us";
    assert!(ambiguous.stderr.contains(groups), "{ambiguous:?}");
    let one = machine.run(&["history", "orders", "--grouping", "region=us"]);
    assert!(one.stdout.starts_with("orders region=us\n"), "{one:?}");

    let missing = machine.run(&["history", "misspelled"]);
    assert_eq!(missing.status, 1, "{missing:?}");
    assert!(missing.stderr.contains("This machine has no history of misspelled; "), "{missing:?}");
}

#[test]
fn history_and_status_work_while_the_gateway_is_down() {
    let machine = Machine::new("down");
    machine.exec(&[], 0);
    machine.exec(&[], 3);
    machine.gateway.refuse_connections();
    let history = machine.run(&["history", "orders"]);
    assert!(history.stdout.contains("success rate: 50% of 2 runs"), "{history:?}");
    // `exec` stores the outcome on the disk.
    machine.exec(&[], 3);
    let status = machine.run(&["status"]);
    assert_eq!(status.status, 1, "{status:?}");
    assert!(status.stdout.contains("failing 2x"), "{status:?}");
    assert!(status.stdout.contains("has been down since "), "{status:?}");
    assert!(
        status.stdout.contains("; 1 request waits on this machine's disk, oldest "),
        "{status:?}"
    );
}
