//! Counts the out-of-memory kills in the control group of this process.
//!
//! Control groups of version 1 and 2 are read; on a machine with both versions, both. The kernel counts a kill in the
//! group of the killed process, even if the limit belongs to a parent group.

use std::fs;
use std::path::Path;

/// The mount points of version 2. The second one is used on machines with both versions.
const UNIFIED_MOUNTS: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];

/// The mount point of version 1.
const MEMORY_MOUNTS: [&str; 1] = ["sys/fs/cgroup/memory"];

/// Returns the number of kills so far. Only the difference between two calls is meaningful.
pub(super) fn kill_count() -> u64 {
    kill_count_below(Path::new("/"))
}

fn kill_count_below(root: &Path) -> u64 {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    groups.lines().filter_map(|group| group_kill_count(root, group)).sum()
}

/// Returns the count of one hierarchy, given by its line in `/proc/self/cgroup`; `None` if it does not control memory.
fn group_kill_count(root: &Path, line: &str) -> Option<u64> {
    let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
    let (mounts, file): (&[&str], _) = match controllers {
        "" => (&UNIFIED_MOUNTS, "memory.events"),
        _ if controllers.split(',').any(|it| it == "memory") => {
            (&MEMORY_MOUNTS, "memory.oom_control")
        }
        _ => return None,
    };
    // In a container the path is often that of the host, and the files are at the mount point.
    let group = group.trim_start_matches('/');
    let paths = mounts.iter().flat_map(|mount| {
        let mount = root.join(mount);
        [mount.join(group).join(file), mount.join(file)]
    });
    paths.filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| parse_count(&text))
}

fn parse_count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const EVENTS: &str = "low 0\nhigh 12\nmax 431\noom 3\noom_kill 2\noom_group_kill 0\n";
    const OOM_CONTROL: &str = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n";

    /// A root directory that is removed when the test ends.
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
        assert_eq!(kill_count_below(&Machine::new(name, groups, files).0), kills, "{name}");
    }

    #[test]
    fn version_2_count_is_in_the_group_s_events() {
        let group = "0::/system.slice/import.service\n";
        let path = "sys/fs/cgroup/system.slice/import.service/memory.events";
        assert_kills("v2", group, &[(path, EVENTS)], 2);
        // The file with a similar name is not read.
        let local = "sys/fs/cgroup/system.slice/import.service/memory.events.local";
        assert_kills("v2-local", group, &[(local, EVENTS)], 0);
    }

    #[test]
    fn version_2_count_in_a_container_is_at_the_mount_point() {
        let events = [("sys/fs/cgroup/memory.events", EVENTS)];
        assert_kills("v2-own-namespace", "0::/\n", &events, 2);
        assert_kills("v2-path-of-the-host", "0::/kubepods.slice/pod1/c2\n", &events, 2);
    }

    #[test]
    fn version_1_count_is_in_the_group_s_oom_control() {
        let groups =
            "9:cpu,cpuacct:/docker/c2\n5:hugetlb,memory:/docker/c2\n1:name=systemd:/docker/c2\n";
        let own = "sys/fs/cgroup/memory/docker/c2/memory.oom_control";
        assert_kills("v1", groups, &[(own, OOM_CONTROL)], 5);
        let at_mount_point = "sys/fs/cgroup/memory/memory.oom_control";
        assert_kills("v1-container", groups, &[(at_mount_point, OOM_CONTROL)], 5);
    }

    #[test]
    fn hybrid_machine_counts_in_the_hierarchy_with_memory() {
        let groups = "4:memory:/import\n1:name=systemd:/\n0::/import\n";
        let first = ("sys/fs/cgroup/memory/import/memory.oom_control", OOM_CONTROL);
        let second = ("sys/fs/cgroup/unified/import/memory.events", EVENTS);
        assert_kills("both-v1", groups, &[first], 5);
        assert_kills("both-v2", groups, &[second], 2);
    }

    #[test]
    fn unreadable_files_count_as_zero() {
        assert_kills("none", "", &[], 0);
        assert_kills("root-group", "0::/\n", &[("sys/fs/cgroup/cgroup.procs", "1\n")], 0);
        let old_kernel = "oom_kill_disable 0\nunder_oom 0\n";
        let path = "sys/fs/cgroup/memory/memory.oom_control";
        assert_kills("old", "4:memory:/\n", &[(path, old_kernel)], 0);
        assert_kills("nonsense", "memory\n::\n4:memory:/\n", &[(path, "oom_kill many\n")], 0);
    }
}
