// #[counted]
// fn load(n: u32) -> impl Future<Output = u32> + Send + use<> { async move { n } }

fn load(n: u32) -> impl Future<Output = u32> + Send + use<> {
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
    ::metrics_push::__private::call_future(
        prepared,
        || -> _ { async move { n } },
        |result: &u32| ::metrics_push::__private::judge(result).outcome(),
    )
}
