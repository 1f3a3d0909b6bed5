// #[push_job(every = "24h")]
// #[tokio::main] async fn main() -> Result<(), Error> { work().await }

#[tokio::main]
async fn main() -> Result<(), Error> {
    let run = ::metrics_push::__private::start(
        {
            static __JOB: ::metrics_push::Job = ::metrics_push::Job::new(
                    ::metrics_push::__private::binary_name(
                        ::core::option_env!("CARGO_BIN_NAME"),
                        ::core::module_path!(),
                    ),
                )
                .every(::core::time::Duration::from_secs(86400u64))
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                .whole_process();
            &__JOB
        },
        &[],
    );
    let mut ended = ::metrics_push::__private::call_async(
            &run,
            async move {
                #[allow(unreachable_code)]
                if false {
                    return ::metrics_push::__private::never::<Result<(), Error>>();
                }
                {
                    work().await
                }
            },
        )
        .await;
    ended.finish()
}
