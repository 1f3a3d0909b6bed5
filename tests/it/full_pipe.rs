//! `full_pipe`: a pipe without room, as the stderr of a program whose output is not read.

use std::io::{PipeReader, PipeWriter, Write as _, pipe};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
