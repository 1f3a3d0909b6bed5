//! A nightly import: reads the orders of one day from a CSV file and sums them up by service and payment method.
//!
//! ```sh
//! cargo run --example nightly_import              # succeeds
//! cargo run --example nightly_import -- --fail    # returns an error
//! cargo run --example nightly_import -- --panic   # panics
//! cargo run --example nightly_import -- --metrics # prints all stored metrics instead of a table
//! ```
//!
//! It pushes to the gateway in `METRICS_PUSH_URL`, or to a fake one if the variable is not set. At the end it prints the
//! state of the job.

#[path = "support/mod.rs"]
mod support;

use std::error::Error;
use std::panic::{catch_unwind, resume_unwind};

use csv::StringRecord;
use indicatif::ProgressBar;
use metrics_push::{Gauge, MetricFactory, MetricVec, Run, push_job};

const ORDERS: &str = include_str!("data/orders.csv");
const SERVICES: [&str; 4] = ["checkout", "gift_cards", "marketplace", "subscriptions"];
const PAYMENTS: [&str; 4] = ["card", "invoice", "paypal", "sepa_debit"];

/// The job. The attribute reports how it ends; `run` adds stages, records and progress.
#[push_job(run = run, every = "24h", max_runtime = "1h")]
fn nightly_import() -> Result<(), Box<dyn Error>> {
    let extract = run.stage("extract");
    let orders = csv::ReaderBuilder::new().flexible(true).from_reader(ORDERS.as_bytes());
    let rows = orders.into_records().collect();
    drop(extract);
    let _total = run.stage("total");
    total(run, rows)
}

fn total(run: &Run, rows: Vec<csv::Result<StringRecord>>) -> Result<(), Box<dyn Error>> {
    let revenue = revenue(run)?;
    let all = rows.len() as u64;
    let bar = ProgressBar::new(all);
    for (done, row) in (1..).zip(rows) {
        match row.ok().as_ref().and_then(Order::parse) {
            Some(order) if order.is_paid => {
                let sum = revenue.with_label_values(&[order.service, order.payment]);
                sum.set(round_to_cents(sum.get() + order.amount));
                run.add_processed(1);
            }
            Some(_) => run.add_skipped(1),
            None => run.add_failed(1),
        }
        run.progress(done, all);
        bar.inc(1);
        if done == all / 2 {
            end_early()?;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Fails if the arguments ask for it.
fn end_early() -> Result<(), &'static str> {
    for argument in std::env::args() {
        match argument.as_str() {
            "--fail" => return Err("the file is truncated"),
            "--panic" => panic!("unexpected order"),
            _ => {}
        }
    }
    Ok(())
}

fn revenue(run: &Run) -> Result<MetricVec<Gauge, 2>, metrics_push::Error> {
    let metrics = MetricFactory::with(run.registry());
    metrics.gauge_vec("orders_revenue_euros", "Paid orders of the day.", &["service", "payment"])
}

fn round_to_cents(euros: f64) -> f64 {
    (euros * 100.0).round() / 100.0
}

struct Order<'row> {
    service: &'row str,
    payment: &'row str,
    amount: f64,
    is_paid: bool,
}

impl<'row> Order<'row> {
    /// Parses a row; `None` if it is invalid.
    fn parse(row: &'row StringRecord) -> Option<Self> {
        let one_of =
            |column: usize, names: &[&str]| row.get(column).filter(|name| names.contains(name));
        Some(Self {
            service: one_of(2, &SERVICES)?,
            payment: one_of(3, &PAYMENTS)?,
            amount: row.get(4)?.parse().ok().filter(|amount| *amount >= 0.0)?,
            is_paid: row.get(5)? == "paid",
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let gateway = support::ExampleGateway::start()?;
    // Prints the state after a panic, too. A job does not need this.
    let result = catch_unwind(nightly_import);
    gateway.print_status()?;
    result.unwrap_or_else(|panic| resume_unwind(panic))
}
