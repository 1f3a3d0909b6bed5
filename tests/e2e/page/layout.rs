//! Pictures of the page, its widths, and what it loads.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chromium::{Chromium, Theme};
use super::fleet::{DAY, Fleet, ended, flapping};
use crate::programs::target_directory;

/// Returns the elements that exceed the width of the window, and the cells that overlap another cell of their row.
const MISPLACED: &str = "(() => {
    const found = [];
    const hidden = element => element.closest('.visually-hidden, .skip, .scroll, thead, [hidden]');
    for (const element of document.body.querySelectorAll('*')) {
        const box = element.getBoundingClientRect();
        if (!box.width || hidden(element)) continue;
        if (box.right > innerWidth + 1 || box.left < -1) found.push('wide: ' + element.outerHTML.slice(0, 120));
    }
    for (const row of document.querySelectorAll('tbody tr')) {
        if (hidden(row)) continue;
        const boxes = [...row.children].map(cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getBoundingClientRect();
        });
        boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
            const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (width > 1 && height > 1) found.push(`overlap at ${Math.round(a.right)}: ${row.textContent.slice(0, 80)}`);
        }));
    }
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    return found;
})()";

#[track_caller]
fn assert_fits(browser: &mut Chromium, width: u32) {
    let misplaced = browser.evaluate(MISPLACED);
    assert!(misplaced.as_array().is_some_and(Vec::is_empty), "{width} px: {misplaced:#}");
}

#[test]
fn page_has_pictures_in_all_widths_and_themes() {
    let fleet = Fleet::with_history();
    let url = fleet.file();
    let folder = target_directory().join("page");
    fs::create_dir_all(&folder).unwrap();
    let mut browser = Chromium::start();
    for theme in Theme::ALL {
        for width in [360, 800, 1400] {
            browser.show(width, theme);
            browser.open(&url);
            assert_fits(&mut browser, width);
            let picture = STANDARD.decode(browser.picture()).unwrap();
            let name = format!("page-{width}-{}.png", theme.as_str());
            fs::write(folder.join(name), picture).unwrap();
            assert!(browser.messages().is_empty(), "{:?}", browser.messages());
            assert_eq!(browser.requested(), [&*url]);
        }
    }
}

/// Adds jobs whose last runs were on other days, at almost any time of the day.
fn push_distant_runs(fleet: &Fleet) {
    for (job, days) in [("day", 0.998), ("days", 5.6), ("weeks", 80.0), ("year", 400.0)] {
        let (age, deadline) = (days * DAY, 500.0 * DAY);
        let success = ended("success", age, deadline);
        let unscheduled = |metrics: &str| {
            let lines = metrics.split_inclusive('\n');
            lines.filter(|line| !line.contains("next_run")).collect::<String>()
        };
        for (state, metrics) in [
            ("overdue", &success),
            ("success", &unscheduled(&success)),
            ("skipped", &unscheduled(&ended("skipped", age, deadline))),
            ("flapping", &unscheduled(&flapping(age, deadline))),
        ] {
            fleet.push(&[("job", job), ("state", state)], metrics);
        }
    }
}

#[test]
fn page_fits_every_width() {
    let fleet = Fleet::with_history();
    push_distant_runs(&fleet);
    let mut browser = Chromium::start();
    browser.open(&fleet.file());
    for font in ["'Liberation Sans Narrow'", "'DejaVu Sans'"] {
        let set = format!("document.body.style.fontFamily = \"{font}, sans-serif\"");
        browser.evaluate(&set);
        for width in (320..=1920).step_by(40).chain([339, 340, 779, 780, 1159, 1160]) {
            browser.show(width, Theme::Light);
            assert_fits(&mut browser, width);
        }
    }
}

#[test]
fn page_without_jobs_names_the_next_step() {
    let fleet = Fleet::empty();
    let mut browser = Chromium::start();
    browser.open(&fleet.file());
    let text = browser.evaluate("document.querySelector('#summary').innerText");
    let text = text.as_str().unwrap();
    assert!(text.starts_with("No jobs") && text.contains("Run a job"), "{text}");
    assert!(browser.messages().is_empty(), "{:?}", browser.messages());
}

#[test]
fn page_is_readable_without_scripts() {
    let fleet = Fleet::start();
    let mut browser = Chromium::start();
    browser.disable_scripts();
    browser.open(&fleet.file());
    let rows = browser.evaluate("document.querySelectorAll('.jobs tbody tr').length");
    assert_eq!(rows, 12);
    let hidden = browser.evaluate("document.querySelector('#filter').checkVisibility()");
    assert_eq!(hidden, false, "the filter needs the script");
    let open = browser.evaluate("document.querySelector('#details details').open");
    assert_eq!(open, true);
}

#[test]
fn output_replaces_a_file_at_once_or_reports_why_not() {
    let fleet = Fleet::start();
    let path = fleet.write_file();
    let html = fs::read_to_string(&path).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1, "a temporary file remains");

    let missing = Path::new("/nonexistent/page.html");
    let output = fleet.metrics_push(&["page", "--output"]).arg(missing).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("Cannot write /nonexistent/page.html"), "{stderr}");
    assert!(stderr.contains("select another file with --output"), "{stderr}");
}
