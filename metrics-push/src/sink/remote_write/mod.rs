//! Remote write.

#![allow(dead_code)]

mod answers;
mod encoding;
#[cfg(test)]
mod protocol;
mod sample_times;
mod snappy;
mod stale_series;
mod time_series;
mod version_1;
mod version_2;
