// #[push_job(max_runtime = "1h", kill, cumulative, signals = off, supervise)]
// fn main() { work() }

fn main() {
    let run = ::metrics_push::__private::start(
        ::metrics_push::__private::supervised({
            static __JOB: ::metrics_push::Job = ::metrics_push::Job::new(
                    ::metrics_push::__private::binary_name(
                        ::core::option_env!("CARGO_BIN_NAME"),
                        ::core::module_path!(),
                    ),
                )
                .max_runtime(::core::time::Duration::from_secs(3600u64))
                .kill_after_max_runtime()
                .cumulative()
                .without_signal_hooks()
                .supervise()
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                .whole_process();
            &__JOB
        }),
        &[],
    );
    let mut ended = ::metrics_push::__private::call(&run, || -> () { work() });
    ended.finish()
}
