//! Stores what a sink has learned about its server, so that later processes need not learn it again.

use super::Spool;
use super::sink_file::SinkFile;

const FILE: SinkFile =
    SinkFile { folder: "sinks", extension: "sink", version: "metrics-push sink 1" };

impl Spool {
    /// Returns what [`store_sink_state`](Self::store_sink_state) has stored. Blocks.
    pub(crate) fn sink_state(&self) -> Option<String> {
        FILE.read(self)
    }

    /// Stores one line. Blocks.
    pub(crate) fn store_sink_state(&self, state: &str) {
        FILE.write(self, state);
    }
}
