// #[counted]
// fn load(n: u32) -> impl Future<Output = u32> + Send + use<> { async move { n } }

fn load(n: u32) -> impl Future<Output = u32> + Send + use<> {
    async move {
        let call = {
            static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                ::metrics_push::__private::Site::new(
                    "load",
                    ::core::module_path!(),
                    "function_calls_total",
                    "Calls of functions by outcome.",
                ),
            );
            &__SITE
        }
            .start();
        let ended = ::metrics_push::__private::call_async(
                call,
                async move {
                    #[allow(unreachable_code)]
                    if false {
                        return ::metrics_push::__private::never::<u32>();
                    }
                    {
                        n
                    }
                },
            )
            .await;
        let outcome = ::metrics_push::__private::judge(ended.result()).outcome();
        ended.finish(outcome)
    }
}
