// #[counted]
// fn load<'a>(&'a self) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>> { Box::pin(async move { 1 }) }

fn load<'a>(
    &'a self,
) -> ::core::pin::Pin<
    Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>,
> {
    let prepared = {
        static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
            ::metrics_push::__private::Site::new(
                ::metrics_push::__private::CallSite {
                    function: "load",
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                "function_calls_total",
                "Calls of functions by outcome.",
            ),
        );
        &__SITE
    }
        .prepare(&[]);
    ::metrics_push::__private::call_boxed(
        prepared,
        || -> ::core::pin::Pin<
            Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send + 'a>,
        > { Box::pin(async move { 1 }) },
        |result| ::metrics_push::__private::judge(result).outcome(),
    )
}
