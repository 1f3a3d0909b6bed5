//! Snapshot tests of the expansions, with one formatted file per case.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p metrics-push-macros` overwrites the files. Review their changes like code.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use proc_macro2::TokenStream;

use crate::{counted, expand_function, expand_function_or_impl, push_job, timed};

/// An attribute and an item. A comment at the start of the snapshot repeats them.
struct Case {
    name: &'static str,
    attribute: &'static str,
    arguments: &'static str,
    item: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "counted_sync",
        attribute: "counted",
        arguments: "",
        item: "pub fn load(path: &str) -> Result<u32, Error> { Ok(read(path)?.len()) }",
    },
    Case {
        name: "counted_async",
        attribute: "counted",
        arguments: "",
        item: "async fn load(mut path: String, #[cfg(unix)] mode: u32, (a, _): (u8, u8)) -> Result<u32, Error> { todo!() }",
    },
    Case {
        name: "counted_with_every_argument",
        attribute: "counted",
        arguments: "name = \"payments_total\", help = \"Payments.\", labels(service = \"checkout\", method = payment.method), \
                    ok_if = Option::is_some, only = error, registry = REGISTRY, crate = ::facade::metrics, max_series = 20",
        item: "fn pay(payment: &Payment) -> Option<Receipt> { None }",
    },
    Case {
        name: "counted_never_returning",
        attribute: "counted",
        arguments: "",
        item: "fn serve() -> ! { loop {} }",
    },
    Case {
        name: "counted_async_never_returning",
        attribute: "counted",
        arguments: "",
        item: "async fn serve() -> ! { loop {} }",
    },
    Case {
        name: "counted_erases_impl_trait",
        attribute: "counted",
        arguments: "",
        item: "fn parts() -> Result<(impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>), &'static (impl Send + Sync)> { todo!() }",
    },
    Case {
        name: "counted_boxed_future",
        attribute: "counted",
        arguments: "",
        item: "fn load<'a>(&'a self) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>> { Box::pin(async move { 1 }) }",
    },
    Case {
        name: "counted_future",
        attribute: "counted",
        arguments: "",
        item: "fn load(n: u32) -> impl Future<Output = u32> + Send + use<> { async move { n } }",
    },
    Case {
        name: "counted_impl_block",
        attribute: "counted",
        arguments: "name = \"store_calls_total\"",
        item: "/// A store.\nimpl<T: Clone> Store<T> where T: Send { #![allow(unused)] const MAX: Limit = Limit { of: 1 }; type Item = T; \
               pub fn flush(&self) { work() } #[counted(labels(full = \"yes\"))] #[inline] async fn sync(self) { self.work().await } \
               #[metrics_push::counted(skip)] const fn len(&self) -> usize { 0 } }",
    },
    Case {
        name: "timed_sync",
        attribute: "timed",
        arguments: "",
        item: "#[inline] fn load(path: &str) -> u32 { #![allow(unused)] 1 }",
    },
    Case {
        name: "timed_async",
        attribute: "timed",
        arguments: "in_flight, buckets = [0.1, 1, 1e3]",
        item: "async fn load(path: String) -> u32 { 1 }",
    },
    Case {
        name: "timed_with_outcome",
        attribute: "timed",
        arguments: "outcome, name = \"load_seconds\", error_if = |n: &Result<u32, u32>| n.is_err(), labels(n = n.len())",
        item: "/// Loads *everything*,\n/// slowly.\n///\n/// Twice.\nfn load(n: &str) -> Result<u32, u32> { Ok(1) }",
    },
    Case {
        name: "push_job_main",
        attribute: "push_job",
        arguments: "",
        item: "fn main() { work() }",
    },
    Case {
        name: "push_job_async_main",
        attribute: "push_job",
        arguments: "every = \"24h\"",
        item: "#[tokio::main] async fn main() -> Result<(), Error> { work().await }",
    },
    Case {
        name: "push_job_with_every_argument",
        attribute: "push_job",
        arguments: "name = NAME, grouping(region = \"eu\", shard = shard), instance, run = job, every = \"1h30m\", max_runtime = MAX, \
                    grace = \"5m\", heartbeat = \"1500ms\", failure_threshold = 3, recovery_threshold = 2, on_success = add, error_if = |n| *n == 0, skip_if = |n| *n == 1, registry = registry(), crate = crate::facade",
        item: "fn import(shard: u32) -> u32 { job.add_processed(1); 1 }",
    },
    Case {
        name: "push_job_with_schedule",
        attribute: "push_job",
        arguments: "schedule = \"0 3 * * 1-5\", timezone = ZONE, grace = \"10m\"",
        item: "fn import() { work() }",
    },
    Case {
        name: "push_job_supervised",
        attribute: "push_job",
        arguments: "max_runtime = \"1h\", kill, cumulative, signals = off, supervise",
        item: "fn main() { work() }",
    },
    Case {
        name: "push_job_never_returning",
        attribute: "push_job",
        arguments: "run = run",
        item: "fn main() -> ! { std::process::exit(0) }",
    },
    Case {
        name: "push_job_boxed_future",
        attribute: "push_job",
        arguments: "",
        item: "fn import<'async_trait>(&'async_trait self) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>> { Box::pin(async move {}) }",
    },
    Case {
        name: "counted_with_errors",
        attribute: "counted",
        arguments: "nmae = \"a_total\", max_series = 0, labels(le = n, __x = n)",
        item: "fn load() { work }",
    },
];

fn expansion(case: &Case) -> String {
    let parse = |text: &str| TokenStream::from_str(text).expect("a case must be valid tokens");
    let (arguments, item) = (parse(case.arguments), parse(case.item));
    let tokens = match case.attribute {
        "counted" => expand_function_or_impl::<counted::Args>(arguments, item),
        "timed" => expand_function_or_impl::<timed::Args>(arguments, item),
        _ => expand_function::<push_job::Args>(arguments, item),
    };
    let file = syn::parse2(tokens.clone()).unwrap_or_else(|error| panic!("{error}: {tokens}"));
    prettyplease::unparse(&file)
}

fn path(case: &Case) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots").join(format!("{}.rs", case.name))
}

#[test]
fn expansions_match_their_snapshots() {
    let is_update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut different = Vec::new();
    for case in CASES {
        let text = format!(
            "// #[{}({})]\n// {}\n\n{}",
            case.attribute,
            case.arguments,
            case.item.replace('\n', "\n// "),
            expansion(case)
        );
        let text = text.replace("()]\n", "]\n");
        if is_update {
            fs::write(path(case), &text).expect("the snapshot must be writable");
        } else if fs::read_to_string(path(case)).unwrap_or_default() != text {
            different.push(format!("{}:\n{text}", case.name));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The time for a quadratic number of comparisons is more than a minute.
#[test]
fn many_labels_expand_in_linear_time() {
    let labels: String = (0..100_000).map(|number| format!("label_{number} = {number},")).collect();
    let arguments = TokenStream::from_str(&format!("labels({labels})")).expect("valid tokens");
    let item = TokenStream::from_str("fn load() {}").expect("valid tokens");
    let started = Instant::now();
    expand_function_or_impl::<counted::Args>(arguments, item);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn snapshot_files_belong_to_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots");
    for entry in fs::read_dir(folder).expect("the folder must exist") {
        let name = entry.expect("the folder must be readable").file_name();
        let name = name.into_string().expect("the name must be UTF-8");
        let stem = name.trim_end_matches(".rs");
        assert!(stem == "mod" || CASES.iter().any(|case| case.name == stem), "{name} has no case");
    }
}
