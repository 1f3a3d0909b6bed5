//! `SinkFile`: a small file per sink, for what processes share about it.
//!
//! A file has three lines: the version, the URL of the sink, and the content. A file that is corrupt counts as absent. The
//! number of files is fixed. If two sinks have the same file, the last writer wins.

use super::Spool;
use crate::checksum::checksum_of;
use crate::log;

const MAX_FILES: u128 = 64;
/// A larger file counts as absent.
const MAX_FILE_SIZE: u64 = 4096;

/// A kind of files.
pub(super) struct SinkFile {
    /// The folder in the state directory.
    pub(super) folder: &'static str,
    pub(super) extension: &'static str,
    pub(super) version: &'static str,
}

impl SinkFile {
    /// Returns the content of the sink's file.
    pub(super) fn read(&self, spool: &Spool) -> Option<String> {
        let folder = spool.state_dir.existing_folder(self.folder)?;
        let bytes = folder.read(&self.name(spool), MAX_FILE_SIZE).ok()??;
        self.decode(&bytes, &spool.server).map(ToOwned::to_owned)
    }

    pub(super) fn decode<'a>(&self, bytes: &'a [u8], sink: &str) -> Option<&'a str> {
        let text = std::str::from_utf8(bytes).ok()?;
        let content = text.strip_prefix(self.version)?.strip_prefix('\n')?;
        content.strip_prefix(sink)?.strip_prefix('\n')?.strip_suffix('\n')
    }

    pub(super) fn encode(&self, sink: &str, content: &str) -> String {
        format!("{}\n{sink}\n{content}\n", self.version)
    }

    pub(super) fn write(&self, spool: &Spool, content: &str) {
        let Some(folder) = spool.state_dir.folder(self.folder) else { return };
        let text = self.encode(&spool.server, content);
        if let Err(error) = spool.disk.replace(&folder, &self.name(spool), text.as_bytes()) {
            log::debug(format_args!("cannot write to {}: {error}", folder.path().display()));
        }
    }

    pub(super) fn remove(&self, spool: &Spool) {
        if let Some(folder) = spool.state_dir.existing_folder(self.folder) {
            // The content of a file that cannot be removed expires.
            let _ = spool.disk.remove(&folder, &self.name(spool));
        }
    }

    pub(super) fn name(&self, spool: &Spool) -> String {
        let number = checksum_of(&[spool.server.as_bytes()]) % MAX_FILES;
        format!("{number:02x}.{}", self.extension)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TempStateDir;
    use super::*;

    const FILE: SinkFile =
        SinkFile { folder: "clocks", extension: "clock", version: "metrics-push clock 1" };

    #[test]
    fn file_is_visible_to_other_processes_until_it_is_removed() {
        let state = TempStateDir::new();
        let (spool, other) = (state.spool_for("here"), state.spool_for("there"));
        assert_eq!(FILE.read(&spool), None);
        FILE.write(&spool, "1 2");
        assert_eq!(FILE.read(&state.spool_for("here")).as_deref(), Some("1 2"));
        assert_eq!(FILE.read(&other), None);
        FILE.remove(&spool);
        assert_eq!(FILE.read(&spool), None);
    }

    #[test]
    fn corrupt_file_counts_as_absent() {
        let state = TempStateDir::new();
        let spool = state.spool_for("here");
        FILE.write(&spool, "1 2");
        let path = state.0.join(FILE.folder).join(FILE.name(&spool));
        let whole = std::fs::read(&path).unwrap();
        let newer = String::from_utf8(whole.clone()).unwrap().replace("clock 1", "clock 2");
        let mut corrupt = vec![newer.into_bytes(), vec![b'1'; 1 << 20], vec![0xff; 9]];
        corrupt.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
        for bytes in corrupt {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(FILE.read(&spool), None, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn number_of_files_is_limited() {
        let state = TempStateDir::new();
        for number in 0..500 {
            FILE.write(&state.spool_for(&format!("http://gateway-{number}")), "1");
        }
        let files = std::fs::read_dir(state.0.join(FILE.folder)).unwrap().count();
        assert!(files as u128 <= MAX_FILES, "{files}");
    }
}
