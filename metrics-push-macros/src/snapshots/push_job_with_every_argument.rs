// #[push_job(name = NAME, grouping(region = "eu", shard = shard), instance, run = job, every = "1h30m", max_runtime = MAX, grace = "5m", heartbeat = "1500ms", failure_threshold = 3, recovery_threshold = 2, on_success = add, error_if = |n| *n == 0, skip_if = |n| *n == 1, registry = registry(), crate = crate::facade)]
// fn import(shard: u32) -> u32 { job.add_processed(1); 1 }

fn import(shard: u32) -> u32 {
    let run = crate::facade::__private::start(
        {
            static __JOB: crate::facade::Job = crate::facade::Job::new(NAME)
                .every(::core::time::Duration::from_secs(5400u64))
                .grace(::core::time::Duration::from_secs(300u64))
                .max_runtime(MAX)
                .heartbeat(::core::time::Duration::new(1u64, 500000000u32))
                .failure_threshold(3)
                .recovery_threshold(2)
                .on_success(crate::facade::Verb::Add)
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                .registry(|| -> &'static crate::facade::prometheus::Registry {
                    &(registry())
                });
            &__JOB
        },
        &[
            ("region", &("eu")),
            ("shard", &(shard)),
            ("instance", &crate::facade::__private::host_name()),
        ],
    );
    let job: &crate::facade::Run = &run;
    let mut ended = crate::facade::__private::call(
        &run,
        || -> u32 {
            job.add_processed(1);
            1
        },
    );
    match crate::facade::__private::skip_if(ended.result(), |n| *n == 1) {
        ::core::option::Option::Some(outcome) => ended.finish_as(outcome),
        ::core::option::Option::None => {
            let outcome = crate::facade::__private::error_if(
                ended.result(),
                |n| *n == 0,
            );
            ended.finish_as(outcome)
        }
    }
}
