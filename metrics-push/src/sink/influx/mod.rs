//! Sends samples to InfluxDB, and to servers that accept its line protocol.

#![expect(dead_code, reason = "the sink is not in the table yet")]

mod line;
