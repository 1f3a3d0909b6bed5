//! `GroupFiles`: the groups in the directory of a textfile collector. All methods block.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::directory::{Directory, GroupFile};
use super::encoding::{GroupLabels, file_name, is_exported, is_group_file, parse_file};
use crate::clock::{Moment, unix_seconds};
use crate::error::Error;
use crate::exposition::single_value;
use crate::labels::GroupingKey;
use crate::push_request::{PushRequest, Verb, is_outcome_family, is_retained_family};
use crate::sink::group_states::{GroupState, PUSH_TIME};
use crate::sink::interface::Accepted;

#[derive(Debug)]
pub(super) struct GroupFiles {
    directory: Directory,
    /// The name of the label that contains the job.
    job_label: String,
}

impl GroupFiles {
    pub(super) fn new(path: impl Into<PathBuf>, job_label: &str) -> Self {
        Self { directory: Directory::new(path.into()), job_label: job_label.to_owned() }
    }

    /// Changes the file of a group.
    ///
    /// # Errors
    /// If the file could not be read or replaced, or a grouping label has the name of the job's label.
    pub(super) fn write(
        &self,
        request: &PushRequest,
        timeout: Duration,
    ) -> Result<Accepted, Error> {
        let name = file_name(request.key());
        let labels = GroupLabels::new(request.key(), &self.job_label)?;
        let _lock = self.directory.lock(timeout)?;
        if request.verb() == Verb::Delete {
            self.directory.remove(&name)?;
            return Ok(Accepted::Applied);
        }
        let stored = self.directory.read(&name)?;
        let mut families = stored.map(|file| parse_file(&file.text)).unwrap_or_default();
        if request.verb() == Verb::Push {
            families.retain(|family, _| is_retained_family(family));
        }
        let mut refused = None;
        for (family, text) in request.families().iter().filter(|(family, _)| is_exported(family)) {
            match labels.add_to(family, text) {
                Ok(text) => drop(families.insert(family.clone(), text)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        self.directory.replace(&name, &families.into_values().collect::<String>())?;
        Ok(refused.map_or(Accepted::Applied, Accepted::Partially))
    }

    /// Reads the file of a group; `None` if there is none.
    ///
    /// # Errors
    /// If the file could not be read.
    pub(super) fn state(&self, key: &GroupingKey) -> Result<Option<GroupState>, Error> {
        let Some(file) = self.directory.read(&file_name(key))? else { return Ok(None) };
        let families = parse_file(&file.text).into_iter().map(|(name, text)| {
            let value = if is_outcome_family(&name) { single_value(&text) } else { None };
            (name, value)
        });
        let mut values: HashMap<_, _> = families.collect();
        values.insert(PUSH_TIME.to_owned(), Some(unix_seconds(file.modified)));
        Ok(Some(GroupState { values }))
    }

    /// Returns the files that were written longer ago than `age`, oldest first.
    ///
    /// # Errors
    /// If the directory could not be read.
    pub(super) fn older_than(&self, age: Duration) -> Result<Vec<GroupFile>, Error> {
        let now = Moment::now().wall();
        let mut files = self.directory.files(is_group_file)?;
        files.retain(|file| now.duration_since(file.written_at).is_ok_and(|since| since > age));
        files.sort_unstable_by_key(|file| file.written_at);
        Ok(files)
    }

    /// Removes the files that were written longer ago than `age`, and returns them.
    ///
    /// # Errors
    /// If a file could not be removed. The older ones are removed.
    pub(super) fn remove_older_than(
        &self,
        age: Duration,
        timeout: Duration,
    ) -> Result<Vec<GroupFile>, Error> {
        // While it is locked, no process pushes to a group again.
        let _lock = self.directory.lock(timeout)?;
        let files = self.older_than(age)?;
        for file in &files {
            self.directory.remove(&file.path)?;
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::push_request::Families;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
    const FLAG: &str = "batch_job_last_run_success";

    /// A directory for one test, removed on drop.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let name = format!("metrics-push-textfile-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn key() -> GroupingKey {
        GroupingKey::new("import").unwrap().label("region", "eu").unwrap()
    }

    fn families(values: &[(&str, f64)]) -> Families {
        let text = |(name, value): &(&str, f64)| {
            (
                (*name).to_owned(),
                format!("# HELP {name} Help.\n# TYPE {name} gauge\n{name} {value}\n"),
            )
        };
        values.iter().map(text).collect()
    }

    fn text_of(directory: &Path) -> String {
        fs::read_to_string(directory.join(file_name(&key()))).unwrap()
    }

    #[test]
    fn add_replaces_families_and_push_replaces_the_file() {
        let directory = TempDir::new("verbs");
        let files = GroupFiles::new(&directory.0, "job");
        let write = |request: PushRequest| files.write(&request, TIMEOUT).unwrap();
        write(PushRequest::push(key(), families(&[("rows", 1.0), ("bytes", 2.0)])));
        write(PushRequest::add(key(), families(&[("rows", 3.0), (FLAG, 1.0)])));
        let text = text_of(&directory.0);
        assert_eq!(
            text,
            "# HELP batch_job_last_run_success Help.\n# TYPE batch_job_last_run_success gauge\n\
             batch_job_last_run_success{job=\"import\",region=\"eu\"} 1\n\
             # HELP bytes Help.\n# TYPE bytes gauge\nbytes{job=\"import\",region=\"eu\"} 2\n\
             # HELP rows Help.\n# TYPE rows gauge\nrows{job=\"import\",region=\"eu\"} 3\n"
        );
        write(PushRequest::push(key(), families(&[("rows", 4.0)])));
        let text = text_of(&directory.0);
        assert!(
            text.contains("rows{") && !text.contains("bytes") && !text.contains(FLAG),
            "{text}"
        );
        write(PushRequest::delete(key()));
        assert!(!directory.0.join(file_name(&key())).exists());
        write(PushRequest::delete(key()));
    }

    #[test]
    fn push_keeps_the_time_of_the_last_failure() {
        let directory = TempDir::new("retained");
        let files = GroupFiles::new(&directory.0, "job");
        files
            .write(&PushRequest::add(key(), families(&[(FAILURE, 7.0), ("rows", 1.0)])), TIMEOUT)
            .unwrap();
        files.write(&PushRequest::push(key(), families(&[(FLAG, 1.0)])), TIMEOUT).unwrap();
        let state = files.state(&key()).unwrap().unwrap();
        assert_eq!((state.value(FAILURE), state.value(FLAG)), (Some(7.0), Some(1.0)));
        assert!(!state.has_family("rows") && state.pushed_at().is_some());
    }

    #[test]
    fn state_of_a_missing_file_is_none() {
        let directory = TempDir::new("missing");
        assert_eq!(GroupFiles::new(&directory.0, "job").state(&key()).unwrap(), None);
    }

    #[test]
    fn file_is_readable_for_other_users_and_no_other_prom_file_remains() {
        let directory = TempDir::new("mode");
        let files = GroupFiles::new(&directory.0, "job");
        files.write(&PushRequest::add(key(), families(&[("rows", 1.0)])), TIMEOUT).unwrap();
        let names: Vec<_> =
            fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let read =
            names.iter().filter(|name| Path::new(name).extension().is_some_and(|it| it == "prom"));
        assert_eq!(read.count(), 1, "{names:?}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;

            let metadata = fs::metadata(directory.0.join(file_name(&key()))).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn temporary_file_of_a_dead_process_is_replaced() {
        let directory = TempDir::new("dead");
        let temp = format!("{}.{}.tmp", file_name(&key()), std::process::id());
        fs::write(directory.0.join(&temp), "torn").unwrap();
        fs::write(directory.0.join(format!("{}.999999999.tmp", file_name(&key()))), "torn")
            .unwrap();
        let files = GroupFiles::new(&directory.0, "job");
        files.write(&PushRequest::add(key(), families(&[("rows", 1.0)])), TIMEOUT).unwrap();
        assert!(text_of(&directory.0).ends_with("} 1\n"));
        let temporary = fs::read_dir(&directory.0).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "tmp")
        });
        assert_eq!(temporary.count(), 0);
    }

    #[test]
    fn concurrent_adds_lose_no_family() {
        let directory = TempDir::new("concurrent");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &directory.0;
                scope.spawn(move || {
                    let files = GroupFiles::new(path, "job");
                    let name = format!("rows_{number}");
                    let request = PushRequest::add(key(), families(&[(&name, 1.0)]));
                    files.write(&request, TIMEOUT).unwrap();
                });
            }
        });
        assert_eq!(text_of(&directory.0).matches("} 1\n").count(), 8);
    }

    #[test]
    fn only_old_files_of_groups_are_removed() {
        let directory = TempDir::new("prune");
        let files = GroupFiles::new(&directory.0, "job");
        let hour = Duration::from_secs(3_600);
        let write = |job: &str, age: Duration| {
            let key = GroupingKey::new(job).unwrap();
            files
                .write(&PushRequest::add(key.clone(), families(&[("rows", 1.0)])), TIMEOUT)
                .unwrap();
            set_age(&directory.0.join(file_name(&key)), age);
            file_name(&key)
        };
        let (oldest, old) = (write("oldest", 3 * hour), write("old", 2 * hour));
        let new = write("new", hour / 2);
        let foreign = ["smartmon.prom", "metrics_push_notes.prom"];
        for name in foreign {
            fs::write(directory.0.join(name), "x 1\n").unwrap();
            set_age(&directory.0.join(name), 3 * hour);
        }
        let names = |found: Vec<GroupFile>| -> Vec<_> {
            let name =
                |file: GroupFile| file.path.file_name().unwrap().to_str().unwrap().to_owned();
            found.into_iter().map(name).collect()
        };
        let expected = [oldest, old];
        assert_eq!(names(files.older_than(hour).unwrap()), expected);
        assert_eq!(names(files.remove_older_than(hour, TIMEOUT).unwrap()), expected);
        assert_eq!(names(files.remove_older_than(hour, TIMEOUT).unwrap()), [""; 0]);
        for name in foreign.into_iter().chain([&*new]) {
            assert!(directory.0.join(name).exists(), "{name}");
        }
    }

    fn set_age(path: &Path, age: Duration) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(Moment::now().wall() - age).unwrap();
    }

    #[test]
    fn missing_directory_is_a_permanent_error_with_its_path() {
        let files = GroupFiles::new("/nonexistent/textfiles", "job");
        let request = PushRequest::add(key(), families(&[("rows", 1.0)]));
        let error = files.write(&request, TIMEOUT).unwrap_err();
        assert!(!error.is_retryable(), "{error:?}");
        assert!(format!("{error:?}").contains("/nonexistent/textfiles"), "{error:?}");
    }

    #[test]
    fn metric_with_the_label_of_the_job_is_left_out() {
        let directory = TempDir::new("label");
        let files = GroupFiles::new(&directory.0, "batch_job");
        let mut families = families(&[("rows", 1.0)]);
        families.insert("x".into(), "# TYPE x gauge\nx{batch_job=\"a\"} 1\n".into());
        let accepted = files.write(&PushRequest::add(key(), families), TIMEOUT).unwrap();
        let Accepted::Partially(error) = accepted else { panic!("{accepted:?}") };
        assert!(error.to_string().contains("batch_job"), "{error}");
        let text = text_of(&directory.0);
        assert!(text.contains("rows{batch_job=\"import\"") && !text.contains("x{"), "{text}");
    }
}
