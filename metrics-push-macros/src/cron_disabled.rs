//! Replaces `cron.rs` in builds without the feature `schedule`: the argument is an error.

pub(crate) fn check(_literal: Option<&str>) -> Result<(), String> {
    Err("`schedule` needs the feature `schedule` of metrics-push; add `features = [\"schedule\"]` to the dependency in Cargo.toml".to_owned())
}
