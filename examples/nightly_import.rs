//! A nightly import of a real file: totals the orders of a day by service and payment method.
//!
//! ```sh
//! cargo run --example nightly_import              # succeeds
//! cargo run --example nightly_import -- --fail    # returns an error
//! cargo run --example nightly_import -- --panic   # panics
//! ```
//!
//! It pushes to `METRICS_PUSH_URL` if that is set, and to a gateway of its own otherwise; either way it ends
//! with what the gateway now holds.

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

/// The job: annotated, and otherwise as it would be without.
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
    let ending = std::env::args().nth(1);
    let all = rows.len() as u64;
    let bar = ProgressBar::new(all);
    for (done, row) in (1..).zip(rows) {
        match row.ok().as_ref().and_then(Order::read) {
            Some(order) if order.is_paid => {
                let sum = revenue.with_label_values(&[order.service, order.payment]);
                sum.set(to_cents(sum.get() + order.amount));
                run.add_processed(1);
            }
            Some(_) => run.add_skipped(1),
            None => run.add_failed(1),
        }
        run.progress(done, all);
        bar.inc(1);
        match ending.as_deref() {
            Some("--fail") if done == all / 2 => return Err("the file ends half-way".into()),
            Some("--panic") if done == all / 2 => panic!("an order nobody thought of"),
            _ => {}
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn revenue(run: &Run) -> Result<MetricVec<Gauge, 2>, metrics_push::Error> {
    let metrics = MetricFactory::with(run.registry());
    metrics.gauge_vec("orders_revenue_euros", "Paid orders of the day.", &["service", "payment"])
}

/// Sums of money end with the cent.
fn to_cents(euros: f64) -> f64 {
    (euros * 100.0).round() / 100.0
}

struct Order<'row> {
    service: &'row str,
    payment: &'row str,
    amount: f64,
    is_paid: bool,
}

impl<'row> Order<'row> {
    /// `None` for a row that makes no sense.
    fn read(row: &'row StringRecord) -> Option<Self> {
        let known = |column: usize, values: &[&str]| row.get(column).filter(|v| values.contains(v));
        Some(Self {
            service: known(2, &SERVICES)?,
            payment: known(3, &PAYMENTS)?,
            amount: row.get(4)?.parse().ok().filter(|amount| *amount >= 0.0)?,
            is_paid: row.get(5)? == "paid",
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let showcase = support::Showcase::open()?;
    let ended = catch_unwind(nightly_import);
    showcase.show(&["nightly_import"])?;
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}
