// #[push_job]
// fn import<'async_trait>(&'async_trait self) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>> { Box::pin(async move {}) }

fn import<'async_trait>(
    &'async_trait self,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>> {
    Box::pin(async move {
        let run = ::metrics_push::__private::start(
            {
                static __JOB: ::metrics_push::Job = ::metrics_push::Job::new("import")
                    .version(::core::option_env!("CARGO_PKG_VERSION"));
                &__JOB
            },
            &[],
        );
        let mut ended = ::metrics_push::__private::call_async(
                &run,
                async move {
                    #[allow(unreachable_code)]
                    if false {
                        return;
                    }
                    { }
                },
            )
            .await;
        ended.finish()
    })
}
