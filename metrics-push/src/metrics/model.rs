//! Reading the `prometheus` crate's model whichever of its two shapes it has.
//!
//! Its feature `protobuf`, which any other crate of a program may switch on, renames some methods and drops
//! others. Inherent methods go before those of a trait: each one here steps in only where the model has none.

#![allow(dead_code, reason = "what steps in where is the model's choice")]

use super::proto::{Counter, Gauge, Metric};

pub(super) fn counter_value(metric: &Metric) -> f64 {
    metric.get_counter().get_value()
}

pub(super) fn gauge_value(metric: &Metric) -> f64 {
    metric.get_gauge().get_value()
}

/// The value of a metric without a type, which the `protobuf` shape doesn't tell: no number, then.
#[allow(deprecated, reason = "in the shape that has it, it is the only way to the value")]
pub(super) fn untyped_value(metric: &Metric) -> f64 {
    metric.get_untyped().get_value()
}

/// A number that is read by one of two names.
trait Number {
    fn get_value(&self) -> f64;
    fn value(&self) -> f64;
}

impl Number for Counter {
    fn get_value(&self) -> f64 {
        self.value()
    }

    fn value(&self) -> f64 {
        self.get_value()
    }
}

impl Number for Gauge {
    fn get_value(&self) -> f64 {
        self.value()
    }

    fn value(&self) -> f64 {
        self.get_value()
    }
}

trait Untyped {
    fn get_untyped(&self) -> Untold;
}

impl Untyped for Metric {
    fn get_untyped(&self) -> Untold {
        Untold
    }
}

struct Untold;

impl Untold {
    fn get_value(&self) -> f64 {
        f64::NAN
    }
}
