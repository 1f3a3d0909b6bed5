// #[counted]
// pub fn load(path: &str) -> Result<u32, Error> { Ok(read(path)?.len()) }

pub fn load(path: &str) -> Result<u32, Error> {
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
    let ended = ::metrics_push::__private::call(
        call,
        || -> Result<u32, Error> { Ok(read(path)?.len()) },
    );
    let outcome = ::metrics_push::__private::judge(ended.result()).outcome();
    ended.finish(outcome)
}
