//! Sends samples to a receiver of OTLP over HTTP, such as the OpenTelemetry Collector.

#![expect(dead_code, reason = "the sink is not in the table yet")]

mod message;
mod partial_success;
