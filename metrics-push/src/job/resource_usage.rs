//! `ResourceUsage`: CPU time and memory of the process, read from `/proc`. Some containers report only one of them.

use std::fs::File;
use std::io::Read as _;

/// The usage of a whole process since its start, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ResourceUsage {
    pub(super) cpu: Option<CpuSeconds>,
    pub(super) max_resident_bytes: Option<f64>,
}

/// The CPU time in each mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CpuSeconds {
    pub(super) user: f64,
    pub(super) system: f64,
}

/// The unit of times in `/proc` on every architecture (`USER_HZ` in proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// The buffer size for one file of `/proc`. The fields that are needed are within it.
const READ_SIZE: usize = 4096;

/// Reads the usage of this process. It is unknown on platforms without `/proc`.
pub(super) fn read_own() -> ResourceUsage {
    read_usage("/proc/self/stat", "/proc/self/status")
}

fn read_usage(stat: &str, status: &str) -> ResourceUsage {
    let mut buffer = [0; READ_SIZE];
    ResourceUsage {
        cpu: read(stat, &mut buffer).and_then(cpu_seconds),
        max_resident_bytes: read(status, &mut buffer).and_then(max_resident_bytes),
    }
}

/// Reads a file with one call, because the kernel generates the whole text for each call.
fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = File::open(path).and_then(|mut file| file.read(buffer)).ok()?;
    buffer.get(..length)
}

fn cpu_seconds(stat: &[u8]) -> Option<CpuSeconds> {
    // The name in field 2 may contain parentheses, spaces and invalid UTF-8; the fields after it do not.
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(parse_number);
    let [user, system] = [times.next()??, times.next()??].map(|ticks| ticks / TICKS_PER_SECOND);
    Some(CpuSeconds { user, system })
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
        assert_eq!(cpu_seconds(stat), Some(CpuSeconds { user: 2.5, system: 0.5 }));
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
        assert!(read_own().max_resident_bytes.unwrap() > 4096.0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn missing_value_does_not_hide_the_other_one() {
        let (stat, status) = ("/proc/self/stat", "/proc/self/status");
        let without_memory = read_usage(stat, "/dev/null");
        assert!(without_memory.cpu.is_some() && without_memory.max_resident_bytes.is_none());
        let without_cpu = read_usage("/dev/null", status);
        assert!(without_cpu.cpu.is_none() && without_cpu.max_resident_bytes.is_some());
    }
}
