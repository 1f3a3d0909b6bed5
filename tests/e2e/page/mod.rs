//! The page of all jobs, written by `metrics-push page` and served by `metrics-push serve`, in headless Chromium.

mod accessibility;
mod chromium;
mod fleet;
mod injection;
mod layout;
mod prometheus;
mod refresh;
mod server;
