// #[counted]
// fn load<'a>(&'a self) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>> { Box::pin(async move { 1 }) }

fn load<'a>(
    &'a self,
) -> ::core::pin::Pin<
    Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>,
> {
    Box::pin(async move {
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
                        1
                    }
                },
            )
            .await
            .finish_value()
    })
}
