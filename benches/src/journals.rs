//! Journals of dead processes. They are copies of a real one with other groups, so that no process must die.

use std::fs;
use std::path::{Path, PathBuf};

use metrics_push::{Config, Job, Outcome};

const LABEL: &str = "label=tenant=0";

/// The lines of the journal of a process with one active run.
struct Template {
    header: String,
    start: String,
}

impl Template {
    /// Reads the journal of this process during a run. `folder` becomes its state directory.
    fn read(config: Config, folder: &Path) -> Self {
        let _scope = config.state_dir(folder).scope().expect("the configuration is valid");
        let run = Job::new("task").start_with(&[("tenant", &0)]);
        let files = fs::read_dir(folder.join("journal")).expect("the folder of the journal");
        let mut paths = files.map(|file| file.expect("a file").path());
        let journal = paths.find(|path| path.extension().is_some_and(|it| it == "journal"));
        let text = fs::read_to_string(journal.expect("a journal")).expect("the journal is text");
        run.finish(Outcome::Success);
        let (header, start) = text.split_once('\n').expect("the journal has two lines");
        assert!(start.contains(LABEL), "{start}");
        Self { header: header.to_owned(), start: start.to_owned() }
    }

    /// Returns the line about the start of another run.
    fn start(&self, id: usize, tenant: usize) -> String {
        let start = self.start.replacen("id=0", &format!("id={id}"), 1);
        start.replacen(LABEL, &format!("label=tenant={tenant}"), 1)
    }
}

/// Creates the journals of this number of dead processes with one active run each, in a state directory.
///
/// # Panics
/// If the state directory is not writable.
pub fn create_many(number: usize, config: Config, state_dir: &Path) {
    let journals = create_folder(state_dir);
    let template = Template::read(config, &state_dir.join("template"));
    for tenant in 0..number {
        let text = format!("{}\n{}", template.header, template.start(0, tenant));
        fs::write(journals.join(name(tenant)), text).expect("the folder is writable");
    }
}

/// Creates the journal of a dead process with this number of active runs, in a state directory.
///
/// # Panics
/// If the state directory is not writable.
pub fn create_long(number: usize, config: Config, state_dir: &Path) {
    let journals = create_folder(state_dir);
    let template = Template::read(config, &state_dir.join("template"));
    let starts: String = (0..number).map(|tenant| template.start(tenant, tenant)).collect();
    let text = format!("{}\n{starts}", template.header);
    fs::write(journals.join(name(0)), text).expect("the folder is writable");
}

fn create_folder(state_dir: &Path) -> PathBuf {
    let journals = state_dir.join("journal");
    fs::create_dir_all(&journals).expect("the folder is writable");
    journals
}

/// Returns a name that no process uses: 1 is not the id of a job.
fn name(number: usize) -> String {
    format!("{number:020}-1.journal")
}
