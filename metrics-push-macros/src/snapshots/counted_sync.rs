// #[counted]
// pub fn load(path: &str) -> Result<u32, Error> { Ok(read(path)?.len()) }

pub fn load(path: &str) -> Result<u32, Error> {
    ::metrics_push::__private::call(
            {
                static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                    "load",
                    ::core::module_path!(),
                );
                &__SITE
            }
                .start(),
            || -> Result<u32, Error> { Ok(read(path)?.len()) },
        )
        .finish_result()
}
