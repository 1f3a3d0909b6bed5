// #[push_job]
// fn main() { work() }

fn main() {
    let run = ::metrics_push::__private::start(
        {
            static __JOB: ::metrics_push::Job = ::metrics_push::Job::new(
                    ::metrics_push::__private::binary_name(
                        ::core::option_env!("CARGO_BIN_NAME"),
                        ::core::module_path!(),
                    ),
                )
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                .whole_process();
            &__JOB
        },
        &[],
    );
    let mut ended = ::metrics_push::__private::call(&run, || -> () { work() });
    ended.finish()
}
