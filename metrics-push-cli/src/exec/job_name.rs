//! The name of the job that `exec` runs.

use std::ffi::OsStr;
use std::path::Path;

/// Programs that run another program or a script, so that their name does not describe the job.
pub(super) const LAUNCHERS: [&str; 95] = [
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "bwrap",
    "catchsegv",
    "cgexec",
    "chpst",
    "chronic",
    "chroot",
    "chrt",
    "cmd",
    "conda",
    "csh",
    "dash",
    "deno",
    "doas",
    "docker",
    "dotnet",
    "dumb-init",
    "env",
    "fakeroot",
    "faketime",
    "firejail",
    "fish",
    "flock",
    "gawk",
    "gosu",
    "ionice",
    "java",
    "just",
    "ksh",
    "kubectl",
    "lua",
    "luajit",
    "make",
    "mawk",
    "metrics-push",
    "mksh",
    "nice",
    "node",
    "nodejs",
    "nohup",
    "npm",
    "npx",
    "nsenter",
    "nsjail",
    "numactl",
    "parallel",
    "perl",
    "php",
    "pipenv",
    "podman",
    "poetry",
    "powershell",
    "prlimit",
    "proot",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "rscript",
    "ruby",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "setuidgid",
    "sh",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "su-exec",
    "sudo",
    "systemd-cat",
    "systemd-inhibit",
    "systemd-run",
    "taskset",
    "tclsh",
    "tcsh",
    "time",
    "timeout",
    "tini",
    "tmux",
    "unbuffer",
    "unshare",
    "uv",
    "valgrind",
    "watch",
    "xargs",
    "zsh",
];

/// Returns the name of a program without its folder.
pub(super) fn file_name(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

/// Returns true if a program of this name runs another program or a script. Ignores a version, as in `python3.12`.
pub(super) fn is_launcher(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    LAUNCHERS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_sorted() {
        assert!(LAUNCHERS.is_sorted(), "{LAUNCHERS:?}");
    }

    #[test]
    fn launcher_is_recognised_with_folder_version_and_suffix() {
        for program in
            ["/bin/sh", "python3", "python3.12", "/usr/bin/env", "perl5.36.0", "CMD.EXE", "Rscript"]
        {
            assert!(is_launcher(&file_name(program.as_ref())), "{program}");
        }
        for program in ["backup", "./backup.sh", "shred", "pythonize", "pg_dump", "", "/", ".."] {
            assert!(!is_launcher(&file_name(program.as_ref())), "{program}");
        }
    }
}
