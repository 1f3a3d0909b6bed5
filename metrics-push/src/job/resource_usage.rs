//! `ResourceUsage`: CPU time and memory of the process, read from `/proc`.

use std::fs::File;
use std::io::Read as _;

/// The usage of a whole process since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ResourceUsage {
    pub(super) user_seconds: f64,
    pub(super) system_seconds: f64,
    pub(super) max_resident_bytes: f64,
}

/// The unit of times in `/proc` on every architecture (`USER_HZ` in proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// The buffer size for one file of `/proc`. The fields that are needed are within it.
const READ_SIZE: usize = 4096;

/// Reads the usage of this process; `None` on platforms without `/proc`.
pub(super) fn read_own() -> Option<ResourceUsage> {
    let mut buffer = [0; READ_SIZE];
    let (user_seconds, system_seconds) = cpu_seconds(read("/proc/self/stat", &mut buffer)?)?;
    let max_resident_bytes = max_resident_bytes(read("/proc/self/status", &mut buffer)?)?;
    Some(ResourceUsage { user_seconds, system_seconds, max_resident_bytes })
}

/// Reads a file with one call, because the kernel generates the whole text for each call.
fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = File::open(path).and_then(|mut file| file.read(buffer)).ok()?;
    buffer.get(..length)
}

/// Returns the CPU time in user and in kernel mode.
fn cpu_seconds(stat: &[u8]) -> Option<(f64, f64)> {
    // The name in field 2 may contain parentheses, spaces and invalid UTF-8; the fields after it do not.
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(parse_number);
    Some((times.next()?? / TICKS_PER_SECOND, times.next()?? / TICKS_PER_SECOND))
}

fn max_resident_bytes(status: &[u8]) -> Option<f64> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let peak = lines.find_map(|line| line.strip_prefix(b"VmHWM:"))?;
    let kibibytes = str::from_utf8(peak).ok()?.trim().strip_suffix("kB")?;
    Some(parse_number(kibibytes.trim())? * 1024.0)
}

/// Parses an integer. The parser of floats is slower to start, because it reads tables.
#[expect(clippy::cast_precision_loss, reason = "gauges are f64")]
fn parse_number(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"7 (a) b (\xff) R 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some((2.5, 0.5)));
    }

    #[test]
    fn peak_of_resident_memory_is_in_bytes() {
        let status = b"Name:\t\xff\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(max_resident_bytes(status), Some(2_097_152.0));
    }

    #[test]
    fn missing_fields_give_no_usage() {
        assert_eq!(cpu_seconds(b""), None);
        assert_eq!(cpu_seconds(b"7 (a) R 1"), None);
        assert_eq!(max_resident_bytes(b""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn own_usage_has_resident_memory() {
        assert!(read_own().unwrap().max_resident_bytes > 4096.0);
    }
}
