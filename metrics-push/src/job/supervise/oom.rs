//! Out of memory: how often the kernel has ended a process of this control group for its memory.
//!
//! Both versions of control groups are read, and where a machine has both, both. The file is the group's own; the kernel
//! counts a process where it lived, whichever group above it had the limit.

use std::fs;
use std::path::Path;

/// Where the kernel shows the groups of version 2, the second one beside those of version 1.
const UNIFIED: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];

/// The same for version 1.
const MEMORY: [&str; 1] = ["sys/fs/cgroup/memory"];

/// How often by now. Only a difference means something.
pub(super) fn kills() -> u64 {
    kills_below(Path::new("/"))
}

fn kills_below(root: &Path) -> u64 {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    groups.lines().filter_map(|group| kills_of(root, group)).sum()
}

/// The count of one hierarchy, by its line in `/proc/self/cgroup`; `None`, if it has nothing to do with memory.
fn kills_of(root: &Path, line: &str) -> Option<u64> {
    let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
    let (mounts, file): (&[&str], _) = match controllers {
        "" => (&UNIFIED, "memory.events"),
        _ if controllers.split(',').any(|it| it == "memory") => (&MEMORY, "memory.oom_control"),
        _ => return None,
    };
    // In a container the group's path is often the host's, and its files are at the root.
    let group = group.trim_start_matches('/');
    let paths = mounts.iter().flat_map(|mount| {
        let mount = root.join(mount);
        [mount.join(group).join(file), mount.join(file)]
    });
    paths.filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| count(&text))
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const EVENTS: &str = "low 0\nhigh 12\nmax 431\noom 3\noom_kill 2\noom_group_kill 0\n";
    const OOM_CONTROL: &str = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n";

    /// A machine's files, removed when the test ends.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str, groups: &str, files: &[(&str, &str)]) -> Self {
            let name = format!("metrics-push-oom-{name}-{}", std::process::id());
            let machine = Self(std::env::temp_dir().join(name));
            let groups = ("proc/self/cgroup", groups);
            for (path, text) in files.iter().chain([&groups]) {
                let path = machine.0.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            machine
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[track_caller]
    fn assert_kills(name: &str, groups: &str, files: &[(&str, &str)], kills: u64) {
        assert_eq!(kills_below(&Machine::new(name, groups, files).0), kills, "{name}");
    }

    #[test]
    fn version_2_counts_in_the_groups_events() {
        let group = "0::/system.slice/import.service\n";
        let path = "sys/fs/cgroup/system.slice/import.service/memory.events";
        assert_kills("v2", group, &[(path, EVENTS)], 2);
        // The parent's other file of the same beginning is not the one.
        let local = "sys/fs/cgroup/system.slice/import.service/memory.events.local";
        assert_kills("v2-local", group, &[(local, EVENTS)], 0);
    }

    #[test]
    fn version_2_in_a_container_counts_at_the_root() {
        let events = [("sys/fs/cgroup/memory.events", EVENTS)];
        assert_kills("v2-own-namespace", "0::/\n", &events, 2);
        assert_kills("v2-path-of-the-host", "0::/kubepods.slice/pod1/c2\n", &events, 2);
    }

    #[test]
    fn version_1_counts_in_the_groups_oom_control() {
        let groups =
            "9:cpu,cpuacct:/docker/c2\n5:hugetlb,memory:/docker/c2\n1:name=systemd:/docker/c2\n";
        let own = "sys/fs/cgroup/memory/docker/c2/memory.oom_control";
        assert_kills("v1", groups, &[(own, OOM_CONTROL)], 5);
        let at_the_root = "sys/fs/cgroup/memory/memory.oom_control";
        assert_kills("v1-container", groups, &[(at_the_root, OOM_CONTROL)], 5);
    }

    #[test]
    fn on_a_machine_with_both_whichever_has_the_memory_counts() {
        let groups = "4:memory:/import\n1:name=systemd:/\n0::/import\n";
        let first = ("sys/fs/cgroup/memory/import/memory.oom_control", OOM_CONTROL);
        let second = ("sys/fs/cgroup/unified/import/memory.events", EVENTS);
        assert_kills("both-v1", groups, &[first], 5);
        assert_kills("both-v2", groups, &[second], 2);
    }

    #[test]
    fn what_can_not_be_read_counts_nothing() {
        assert_kills("none", "", &[], 0);
        assert_kills("root-group", "0::/\n", &[("sys/fs/cgroup/cgroup.procs", "1\n")], 0);
        let old_kernel = "oom_kill_disable 0\nunder_oom 0\n";
        let path = "sys/fs/cgroup/memory/memory.oom_control";
        assert_kills("old", "4:memory:/\n", &[(path, old_kernel)], 0);
        assert_kills("nonsense", "memory\n::\n4:memory:/\n", &[(path, "oom_kill many\n")], 0);
    }
}
