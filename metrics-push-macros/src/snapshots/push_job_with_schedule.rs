// #[push_job(schedule = "0 3 * * 1-5", timezone = ZONE, grace = "10m")]
// fn import() { work() }

fn import() {
    let run = ::metrics_push::__private::start(
        {
            static __JOB: ::metrics_push::Job = ::metrics_push::Job::new("import")
                .schedule("0 3 * * 1-5")
                .timezone(ZONE)
                .grace(::core::time::Duration::from_secs(600u64))
                .version(::core::option_env!("CARGO_PKG_VERSION"));
            &__JOB
        },
        &[],
    );
    let mut ended = ::metrics_push::__private::call(&run, || -> () { work() });
    ended.finish()
}
