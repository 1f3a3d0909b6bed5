//! `metrics-push status --watch` in tmux, which shows what a terminal displays.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Config, Job, Outcome};

use crate::cli::metrics_push_program;
use crate::programs::command;
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

const SCREEN_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A tmux server with one window. Dropping it ends the server and its programs.
struct Tmux {
    directory: StateDir,
}

impl Tmux {
    /// Starts a shell command in a window of this size.
    fn start(columns: u16, rows: u16, shell_command: &str) -> Self {
        let tmux = Self { directory: StateDir::new() };
        std::fs::create_dir_all(tmux.directory.path()).unwrap();
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let size = ["new-session", "-d", "-x", &columns, "-y", &rows];
        let mut session = tmux.command(&size);
        session.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").arg(shell_command);
        let output = session.output().expect("install the Debian package `tmux`");
        assert!(output.status.success(), "{output:?}");
        tmux
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut tmux = command("tmux");
        let socket: PathBuf = self.directory.path().join("tmux");
        tmux.args(["-f", "/dev/null", "-u", "-S"]).arg(socket).args(arguments);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the condition is true for the lines on the screen, and returns them.
    #[track_caller]
    fn wait_for(&self, condition: impl Fn(&[&str]) -> bool) -> String {
        let deadline = Instant::now() + SCREEN_TIMEOUT;
        loop {
            let screen = self.run(&["capture-pane", "-p"]);
            let lines: Vec<_> = screen.trim_end().lines().collect();
            if condition(&lines) {
                return screen;
            }
            assert!(Instant::now() < deadline, "the screen did not match:\n{screen}");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

/// Pushes runs of this many jobs, of which the first one has this outcome.
fn push(gateway: &Pushgateway, jobs: usize, first: Outcome) {
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    for number in 0..jobs {
        let outcome = if number == 0 { first } else { Outcome::Success };
        Job::with_name(format!("job_{number}")).whole_process().start().finish(outcome);
    }
}

/// The shell command that watches the jobs of a gateway, and then prints its exit status.
fn watch(gateway: &Pushgateway, option: &str) -> String {
    let program = metrics_push_program();
    let (program, url) = (program.display(), gateway.url());
    format!(
        "METRICS_PUSH_STATE_DIR=off {program} status --url {url} {option}; echo status $?; sleep 60"
    )
}

#[test]
fn watch_redraws_in_place_and_follows_the_size() {
    let gateway = Pushgateway::start();
    push(&gateway, 40, Outcome::Success);
    let tmux = Tmux::start(80, 24, &watch(&gateway, "--watch 500ms"));
    // The end of a long table, with a heading above it.
    let ends_with = |text: &'static str| move |lines: &[&str]| lines.last() == Some(&text);
    let screen = tmux.wait_for(ends_with("0 of 40 need attention"));
    assert!(screen.lines().next().unwrap().ends_with(", every 500ms; q ends"), "{screen}");
    assert_eq!(screen.trim_end().lines().count(), 24, "{screen}");
    assert_eq!(screen.matches("need attention").count(), 1, "{screen}");

    push(&gateway, 1, Outcome::Error);
    let screen = tmux.wait_for(ends_with("1 of 40 needs attention"));
    assert!(screen.contains("failing  job_0 ") && !screen.contains("0 of 40"), "{screen}");

    tmux.run(&["resize-window", "-x", "60", "-y", "50"]);
    let screen = tmux.wait_for(|lines| lines.iter().any(|line| line.starts_with("STATE ")));
    assert_eq!(screen.matches("success  job_").count(), 39, "{screen}");
    assert!(screen.trim_end().ends_with("1 of 40 needs attention"), "{screen}");

    tmux.run(&["send-keys", "q"]);
    // The last report stays on the normal screen, before the output of the shell.
    let screen = tmux.wait_for(ends_with("status 1"));
    assert!(screen.contains("1 of 40 needs attention\nstatus 1"), "{screen}");
    assert!(!screen.contains("q ends"), "{screen}");
}

#[test]
fn watch_ends_after_ctrl_c() {
    let gateway = Pushgateway::start();
    push(&gateway, 1, Outcome::Success);
    let tmux = Tmux::start(80, 24, &watch(&gateway, "--watch"));
    tmux.wait_for(|lines| lines.last() == Some(&"0 of 1 need attention"));
    tmux.run(&["send-keys", "C-c"]);
    tmux.wait_for(|lines| lines.last() == Some(&"status 0"));
}
