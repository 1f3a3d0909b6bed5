// #[counted]
// fn parts() -> Result<(impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>), &'static (impl Send + Sync)> { todo!() }

fn parts() -> Result<
    (impl Fn(u8) -> u8, Vec<impl Iterator<Item = &'static str> + use<>>),
    &'static (impl Send + Sync),
> {
    ::metrics_push::__private::call(
            {
                static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                    "parts",
                    ::core::module_path!(),
                );
                &__SITE
            }
                .start(),
            || -> Result<(_, Vec<_>), &'static _> { todo!() },
        )
        .finish_result()
}
