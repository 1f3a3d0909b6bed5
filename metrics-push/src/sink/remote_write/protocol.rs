//! The messages of remote write as a protobuf library decodes them. For tests.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedV1 {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<DecodedSeriesV1>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedSeriesV1 {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<DecodedLabel>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<DecodedSample>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedLabel {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedSample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
    #[prost(int64, tag = "3")]
    pub(super) start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedV2 {
    #[prost(string, repeated, tag = "4")]
    pub(super) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) timeseries: Vec<DecodedSeriesV2>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedSeriesV2 {
    #[prost(uint32, repeated, packed, tag = "1")]
    pub(super) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<DecodedSample>,
    #[prost(message, optional, tag = "5")]
    pub(super) metadata: Option<DecodedMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecodedMetadata {
    #[prost(int32, tag = "1")]
    pub(super) metric_type: i32,
    #[prost(uint32, tag = "3")]
    pub(super) help_ref: u32,
}

impl DecodedV1 {
    pub(super) fn decoded(bytes: &[u8]) -> Self {
        Self::decode(bytes).unwrap()
    }
}

impl DecodedV2 {
    pub(super) fn decoded(bytes: &[u8]) -> Self {
        Self::decode(bytes).unwrap()
    }
}
