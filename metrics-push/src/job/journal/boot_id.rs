//! The id of the boot of the machine, by which a later process distinguishes a crash from a restart.

/// Returns an id that is different after each boot of the machine.
pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
