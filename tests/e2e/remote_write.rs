//! Writes samples to a receiver of remote write 1.0, with times in the past as well.

use std::net::SocketAddr;

use crate::http::send_raw;
use crate::real::Labels;

/// One sample of a series. The labels include `__name__`.
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    /// Milliseconds since the Unix epoch.
    pub(crate) time: i64,
}

/// Writes samples in one request. The samples of one series must be in the order of their times.
#[track_caller]
pub(crate) fn write(receiver: SocketAddr, samples: &[Sample]) {
    let body = snappy(&write_request(samples));
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: {receiver}\r\nConnection: close\r\n\
         Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let response = send_raw(receiver, &[head.as_bytes(), &body].concat()).unwrap();
    assert_eq!(response.status, 204, "{response:?}");
}

/// A `WriteRequest` with one `TimeSeries` for each sample.
fn write_request(samples: &[Sample]) -> Vec<u8> {
    let mut request = Vec::new();
    for sample in samples {
        let mut series = Vec::new();
        for (name, value) in &sample.labels {
            let mut label = Vec::new();
            push_field(&mut label, 1, name.as_bytes());
            push_field(&mut label, 2, value.as_bytes());
            push_field(&mut series, 1, &label);
        }
        // The value is a double in field 1, the time an int64 in field 2.
        let mut encoded = vec![0x09];
        encoded.extend(sample.value.to_le_bytes());
        encoded.push(0x10);
        push_varint(&mut encoded, sample.time.cast_unsigned());
        push_field(&mut series, 2, &encoded);
        push_field(&mut request, 1, &series);
    }
    request
}

/// Appends a field with a length: a string or a message.
fn push_field(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(number << 3 | 2);
    push_varint(message, content.len() as u64);
    message.extend(content);
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A block in the format of snappy that contains the bytes uncompressed.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    /// A literal whose length, minus one, follows in two bytes.
    const LITERAL: u8 = 61 << 2;

    let mut block = Vec::new();
    push_varint(&mut block, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        block.push(LITERAL);
        block.extend(u16::try_from(chunk.len() - 1).unwrap().to_le_bytes());
        block.extend(chunk);
    }
    block
}

#[test]
fn write_request_has_the_bytes_of_the_specification() {
    let labels = [
        ("__name__", "batch_job_last_success_timestamp_seconds"),
        ("job", "nightly"),
        ("region", "eu"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let encoded = write_request(&[Sample { labels, value: 1.7e9, time: 1_700_000_000_123 }]);
    let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "0a660a340a085f5f6e616d655f5f122862617463685f6a6f625f6c6173745f737563636573735f74696d65\
         7374616d705f7365636f6e64730a0e0a036a6f6212076e696768746c790a0c0a06726567696f6e12026575\
         12100900000040fc54d94110fbd095ffbc31"
    );
}
