//! `#[push_job]`: the behaviour of the function is unchanged, and the run is available in its body.

use std::process::ExitCode;
use std::time::Duration;

use metrics_push::{Run, push_job};

use super::{block_on, panic_of, pause};

#[test]
fn push_job_preserves_results_and_panics() {
    #[push_job]
    fn plain(fails: bool) -> Result<u32, String> {
        if fails {
            return Err("no".to_owned());
        }
        Ok("1".parse::<u32>().map_err(|error| error.to_string())?)
    }
    #[push_job]
    fn exits() -> ExitCode {
        ExitCode::from(3)
    }
    #[push_job]
    fn panics() -> u8 {
        panic!("unchanged")
    }
    #[push_job(run = run)]
    fn never() -> ! {
        run.add_processed(1);
        panic!("never returns")
    }
    #[push_job]
    fn borrowed(x: &mut u32) -> &mut u32 {
        x
    }
    assert_eq!(plain(false), Ok(1));
    assert_eq!(plain(true), Err("no".to_owned()));
    assert_eq!(exits(), ExitCode::from(3));
    assert_eq!(panic_of(panics), "unchanged");
    assert_eq!(panic_of(|| never()), "never returns");
    *borrowed(&mut 1) += 1;
}

#[test]
fn run_argument_binds_the_run_in_the_body() {
    fn count(run: &Run) -> u32 {
        run.add_processed(1);
        1
    }
    #[push_job(run = job)]
    fn with_run() -> u32 {
        let _stage = job.stage("count");
        count(job)
    }
    #[push_job(run = job)]
    async fn with_run_later(n: u32) -> u32 {
        pause().await;
        job.progress(1, 2);
        count(job) + n
    }
    struct Importer;
    impl Importer {
        #[push_job(name = "importer", run = run)]
        async fn import(&mut self, rows: Vec<u32>) -> Result<&mut Self, u32> {
            for row in rows {
                pause().await;
                run.add_processed(u64::from(row));
            }
            Ok(self)
        }
    }
    assert_eq!(with_run() + block_on(with_run_later(2)), 4);
    assert!(block_on(Importer.import(vec![1])).is_ok());
}

#[test]
fn all_push_job_arguments_combine() {
    const NAME: &str = "named";
    const HOUR: Duration = Duration::from_secs(3_600);
    #[push_job(
        name = NAME,
        grouping(region = "eu", shard = shard, empty = ""),
        instance = format!("host-{shard}"),
        run = run,
        every = "1h30m",
        max_runtime = HOUR,
        heartbeat = "30s",
        on_success = add,
        error_if = |n| *n == 0,
        registry = prometheus::default_registry(),
        crate = ::metrics_push,
    )]
    fn everything(shard: u32) -> u32 {
        run.add_skipped(1);
        shard
    }
    #[push_job(instance, on_success = push, ok_if = Option::is_some)]
    async fn with_host_name<T: Send>(of: T) -> Option<T> {
        Some(of)
    }
    assert_eq!(everything(3), 3);
    assert_eq!(block_on(with_host_name(1)), Some(1));
}
