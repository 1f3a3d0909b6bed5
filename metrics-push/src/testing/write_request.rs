//! Reads the messages of remote write, versions 1.0 and 2.0. Unknown fields are skipped.

use super::go_format::lossy;
use super::protobuf_reader::{Field, MessageReader, read_label};

/// The samples of one series, as they were sent.
#[derive(Debug, PartialEq)]
pub(super) struct WrittenSeries {
    /// In the order of the message; names can repeat.
    pub(super) labels: Vec<(String, String)>,
    pub(super) samples: Vec<WrittenSample>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WrittenSample {
    /// In milliseconds since the Unix epoch.
    pub(super) time: i64,
    pub(super) value: f64,
}

/// Reads the message `WriteRequest` of version 1.0.
pub(super) fn read_version_1(bytes: &[u8]) -> Result<Vec<WrittenSeries>, String> {
    let mut series = Vec::new();
    MessageReader::new(bytes).for_each(|number, value| {
        if number == 1 {
            let (mut labels, mut samples) = (Vec::new(), Vec::new());
            MessageReader::new(value.bytes()).for_each(|number, value| {
                match number {
                    1 => labels.push(read_label(value.bytes())?),
                    2 => samples.push(read_sample(&value)?),
                    _ => {}
                }
                Ok(())
            })?;
            series.push(WrittenSeries { labels, samples });
        }
        Ok(())
    })?;
    Ok(series)
}

/// Reads the message `Request` of version 2.0.
pub(super) fn read_version_2(bytes: &[u8]) -> Result<Vec<WrittenSeries>, String> {
    let (mut symbols, mut messages) = (Vec::new(), Vec::new());
    MessageReader::new(bytes).for_each(|number, value| {
        match number {
            4 => symbols.push(lossy(value.bytes())),
            5 => messages.push(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    messages.into_iter().map(|message| read_series(message, &symbols)).collect()
}

fn read_series(message: &[u8], symbols: &[String]) -> Result<WrittenSeries, String> {
    let (mut texts, mut samples) = (Vec::new(), Vec::new());
    MessageReader::new(message).for_each(|number, value| {
        match number {
            1 => {
                let mut positions = MessageReader::new(value.bytes());
                while !positions.is_empty() {
                    let position = usize::try_from(positions.varint()?).unwrap_or(usize::MAX);
                    let symbol = symbols.get(position).ok_or("invalid labelRefs")?;
                    texts.push(symbol.clone());
                }
            }
            2 => samples.push(read_sample(&value)?),
            _ => {}
        }
        Ok(())
    })?;
    let mut labels = Vec::new();
    let mut texts = texts.into_iter();
    while let Some(name) = texts.next() {
        labels.push((name, texts.next().ok_or("invalid labelRefs length")?));
    }
    Ok(WrittenSeries { labels, samples })
}

fn read_sample(message: &Field<'_>) -> Result<WrittenSample, String> {
    let mut sample = WrittenSample { time: 0, value: 0.0 };
    MessageReader::new(message.bytes()).for_each(|number, value| {
        match number {
            1 => sample.value = value.real(),
            2 => sample.time = value.number().cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(sample)
}
