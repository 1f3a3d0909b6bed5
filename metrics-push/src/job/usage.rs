//! What the process has used of the machine, where the platform tells it without further ado.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;

/// Of the whole process, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) user_seconds: f64,
    pub(super) system_seconds: f64,
    pub(super) max_resident_bytes: f64,
}

/// The kernel reports times to user space in this unit on every architecture (`USER_HZ` in proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Longer than what is read, and up to what is looked for in it.
const ONE_READ: usize = 4096;

/// Reads `/proc`; `None` where there is none.
pub(super) fn of_process() -> Option<Usage> {
    let [mut stat, mut status] = [[0; ONE_READ]; 2];
    parse(&read("/proc/self/stat", &mut stat)?, &read("/proc/self/status", &mut status)?)
}

/// In one read, since the kernel makes the whole text anew for each. Names in it may be of any bytes.
fn read<'a>(path: &str, text: &'a mut [u8]) -> Option<Cow<'a, str>> {
    let length = File::open(path).and_then(|mut file| file.read(text)).ok()?;
    Some(String::from_utf8_lossy(&text[..length]))
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name in field 2 may contain anything, parentheses and spaces too; what follows may not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut seconds = || fields.next()?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    let (user_seconds, system_seconds) = (seconds()?, seconds()?);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Usage { user_seconds, system_seconds, max_resident_bytes: kibibytes * 1024.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        let usage = parse(stat, "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n").unwrap();
        assert_eq!(
            usage,
            Usage { user_seconds: 2.5, system_seconds: 0.5, max_resident_bytes: 2_097_152.0 }
        );
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        assert_eq!(parse("", ""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_memory() {
        assert!(of_process().unwrap().max_resident_bytes > 4096.0);
    }
}
