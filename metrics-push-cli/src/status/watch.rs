//! `status --watch`: repeats the report until a key or a signal ends it.
//!
//! On a terminal, it is drawn in place on the alternate screen, and the terminal is restored in every case. In a pipe, it
//! is printed again only if the state of a job has changed.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use crate::failure::Failure;
use crate::humanize::duration;
use crate::jobs::Overview;

pub(super) const DEFAULT_INTERVAL: &str = "2s";

/// Each report reads all groups of the gateways.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// How long a key or a signal waits at most.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Loads overviews on a thread, so that a gateway that does not respond does not block the keys.
fn load_repeatedly(
    interval: Duration,
    load: impl Fn() -> Overview + Send + 'static,
) -> io::Result<Receiver<Overview>> {
    let (sender, receiver) = sync_channel(1);
    thread::Builder::new().name("metrics-push-watch".to_owned()).spawn(move || {
        while sender.send(load()).is_ok() {
            thread::sleep(interval.max(MIN_INTERVAL));
        }
    })?;
    Ok(receiver)
}

/// Prints a report if the state of a job has changed, until the reader of the pipe ends.
pub(super) fn print_changes(
    interval: Duration,
    load: impl Fn() -> Overview + Send + 'static,
    report: impl Fn(&Overview) -> String,
) -> Result<(), Failure> {
    let mut states = Vec::new();
    for overview in load_repeatedly(interval, load).map_err(cannot_watch)? {
        let current: Vec<_> =
            overview.jobs.iter().map(|job| (job.labels.clone(), job.state)).collect();
        if states != current {
            let separator = if states.is_empty() { "" } else { "\n" };
            let text = format!("{separator}{}", report(&overview));
            let mut stdout = io::stdout().lock();
            if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
                break;
            }
            states = current;
        }
    }
    Ok(())
}

/// Draws the report in place until the user presses q, Escape or Ctrl-C. Returns the last overview.
pub(super) fn draw(
    interval: Duration,
    load: impl Fn() -> Overview + Send + 'static,
    report: impl Fn(&Overview) -> String,
) -> Result<Option<Overview>, Failure> {
    let signal = EndSignal::catch().map_err(cannot_watch)?;
    let overviews = load_repeatedly(interval, load).map_err(cannot_watch)?;
    let screen = Screen::enter().map_err(cannot_watch)?;
    let mut last = None;
    let result = draw_until_end(&overviews, &signal, interval, &mut last, report);
    drop(screen);
    signal.raise();
    result.map_err(cannot_watch).map(|()| last)
}

fn draw_until_end(
    overviews: &Receiver<Overview>,
    signal: &EndSignal,
    interval: Duration,
    last: &mut Option<Overview>,
    report: impl Fn(&Overview) -> String,
) -> io::Result<()> {
    while !signal.is_pending() {
        let mut is_changed = false;
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if is_end(key.code, key.modifiers) => return Ok(()),
                Event::Resize(..) => is_changed = true,
                _ => {}
            }
        }
        match overviews.recv_timeout(POLL_INTERVAL) {
            Ok(overview) => {
                *last = Some(overview);
                is_changed = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The thread that loads has panicked.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if let Some(overview) = last.as_ref().filter(|_| is_changed) {
            let time = overview.clock.format(overview.clock.now(), |_| "%H:%M:%S");
            let interval = duration(interval.as_secs_f64());
            draw_frame(&format!("{time}, every {interval}; q ends"), &report(overview))?;
        }
    }
    Ok(())
}

fn is_end(code: KeyCode, modifiers: KeyModifiers) -> bool {
    match code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c' | 'd') => modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

/// Draws the heading and the end of the report, which has what matters most.
fn draw_frame(heading: &str, report: &str) -> io::Result<()> {
    let rows = usize::from(terminal::size()?.1).saturating_sub(1);
    let lines: Vec<&str> = report.lines().collect();
    let shown = &lines[lines.len().saturating_sub(rows)..];
    let mut stdout = io::stdout().lock();
    queue!(stdout, BeginSynchronizedUpdate, MoveTo(0, 0))?;
    write!(stdout, "{heading}")?;
    for line in shown {
        queue!(stdout, Clear(ClearType::UntilNewLine))?;
        write!(stdout, "\r\n{line}")?;
    }
    queue!(stdout, Clear(ClearType::UntilNewLine), Clear(ClearType::FromCursorDown))?;
    queue!(stdout, EndSynchronizedUpdate)?;
    stdout.flush()
}

/// The alternate screen in raw mode. Dropping it restores the terminal.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Fails if the terminal is gone.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// A signal that ends the process once the terminal is restored.
struct EndSignal(Arc<AtomicUsize>);

impl EndSignal {
    fn catch() -> io::Result<Self> {
        let caught = Arc::new(AtomicUsize::new(0));
        #[cfg(unix)]
        for signal in
            [signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]
        {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&caught), number)?;
        }
        Ok(Self(caught))
    }

    fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Ends the process by the signal that was caught, if any.
    fn raise(&self) {
        #[cfg(unix)]
        if let Ok(signal @ 1..) = i32::try_from(self.0.load(Ordering::Relaxed)) {
            // On failure, the process ends without the signal.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}

fn cannot_watch(error: io::Error) -> Failure {
    Failure::failed(format!(
        "cannot watch the jobs: {error}; check the terminal, or leave out --watch"
    ))
}
