// #[counted]
// fn parts() -> Result<(impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>), &'static (impl Send + Sync)> { todo!() }

fn parts() -> Result<
    (impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>),
    &'static (impl Send + Sync),
> {
    let call = {
        static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
            ::metrics_push::__private::Site::new(
                "parts",
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
        || -> Result<(_, Vec<_>), &'static _> { todo!() },
    );
    let outcome = ::metrics_push::__private::judge(ended.result()).outcome();
    ended.finish(outcome)
}
