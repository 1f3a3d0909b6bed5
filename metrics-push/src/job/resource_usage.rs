//! `ResourceUsage`: CPU time and memory of the process, read from `/proc`.

use std::borrow::Cow;
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
    let [mut stat, mut status] = [[0; READ_SIZE]; 2];
    parse(&read("/proc/self/stat", &mut stat)?, &read("/proc/self/status", &mut status)?)
}

/// Reads a file with one call, because the kernel generates the whole text for each call.
fn read<'a>(path: &str, text: &'a mut [u8]) -> Option<Cow<'a, str>> {
    let length = File::open(path).and_then(|mut file| file.read(text)).ok()?;
    Some(String::from_utf8_lossy(&text[..length]))
}

fn parse(stat: &str, status: &str) -> Option<ResourceUsage> {
    // The name in field 2 may contain parentheses and spaces; the fields after it do not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut seconds = || fields.next()?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    let (user_seconds, system_seconds) = (seconds()?, seconds()?);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ResourceUsage { user_seconds, system_seconds, max_resident_bytes: kibibytes * 1024.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        let usage = parse(stat, "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n").unwrap();
        assert_eq!(
            usage,
            ResourceUsage {
                user_seconds: 2.5,
                system_seconds: 0.5,
                max_resident_bytes: 2_097_152.0
            }
        );
    }

    #[test]
    fn missing_fields_give_no_usage() {
        assert_eq!(parse("", ""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn own_usage_has_resident_memory() {
        assert!(read_own().unwrap().max_resident_bytes > 4096.0);
    }
}
