// #[counted]
// fn load(n: u32) -> impl Future<Output = u32> + Send + use<> { async move { n } }

fn load(n: u32) -> impl Future<Output = u32> + Send + use<> {
    async move {
        ::metrics_push::__private::call_async(
                {
                    static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
                    &__SITE
                }
                    .start("load", ::core::module_path!()),
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
            .await
            .finish_value()
    }
}
