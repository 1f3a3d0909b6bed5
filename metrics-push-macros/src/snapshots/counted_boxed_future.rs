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
                    static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                        "load",
                        ::core::module_path!(),
                    );
                    &__SITE
                }
                    .start(),
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
