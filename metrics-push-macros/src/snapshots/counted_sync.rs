// #[counted]
// pub fn load(path: &str) -> Result<u32, Error> { Ok(read(path)?.len()) }

pub fn load(path: &str) -> Result<u32, Error> {
    ::metrics_push::__private::call(
            {
                static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
                &__SITE
            }
                .start("load", ::core::module_path!()),
            || -> Result<u32, Error> { Ok(read(path)?.len()) },
        )
        .finish_result()
}
