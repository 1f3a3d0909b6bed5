// #[counted]
// fn parts() -> Result<(impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>), &'static (impl Send + Sync)> { todo!() }

fn parts() -> Result<
    (impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>),
    &'static (impl Send + Sync),
> {
    ::metrics_push::__private::call(
            {
                static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
                &__SITE
            }
                .start("parts", ::core::module_path!()),
            || -> Result<(_, Vec<_>), &'static _> { todo!() },
        )
        .finish_result()
}
