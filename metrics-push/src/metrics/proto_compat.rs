//! Reads the `prometheus` crate's protocol types with and without its feature `protobuf`.
//!
//! Any crate of a program may enable the feature, which renames some methods and removes others. Inherent methods take
//! precedence over trait methods, so a trait method of this file is called only if no inherent method has its name.

#![allow(dead_code, reason = "which trait methods are called depends on the feature")]

use prometheus::proto::{Counter, Gauge, Metric};

pub(super) fn counter_value(metric: &Metric) -> f64 {
    metric.get_counter().get_value()
}

pub(super) fn gauge_value(metric: &Metric) -> f64 {
    metric.get_gauge().get_value()
}

/// Returns the value of an untyped metric, or NaN with the feature `protobuf`, which gives no access to it.
#[allow(deprecated, reason = "without the feature, there is no other access to the value")]
pub(super) fn untyped_value(metric: &Metric) -> f64 {
    metric.get_untyped().get_value()
}

/// The two names of the method that returns the value.
trait ReadValue {
    fn get_value(&self) -> f64;
    fn value(&self) -> f64;
}

impl ReadValue for Counter {
    fn get_value(&self) -> f64 {
        self.value()
    }

    fn value(&self) -> f64 {
        self.get_value()
    }
}

impl ReadValue for Gauge {
    fn get_value(&self) -> f64 {
        self.value()
    }

    fn value(&self) -> f64 {
        self.get_value()
    }
}

trait ReadUntyped {
    fn get_untyped(&self) -> Unavailable;
}

impl ReadUntyped for Metric {
    fn get_untyped(&self) -> Unavailable {
        Unavailable
    }
}

struct Unavailable;

impl Unavailable {
    fn get_value(&self) -> f64 {
        f64::NAN
    }
}
