// #[counted]
// async fn load(mut path: String, #[cfg(unix)] mode: u32, (a, _): (u8, u8)) -> Result<u32, Error> { todo!() }

async fn load(
    path: String,
    #[cfg(unix)]
    mode: u32,
    (a, _): (u8, u8),
) -> Result<u32, Error> {
    ::metrics_push::__private::call_async(
            {
                static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
                &__SITE
            }
                .start("load", ::core::module_path!()),
            async move {
                #[allow(unreachable_code)]
                if false {
                    return ::metrics_push::__private::never::<Result<u32, Error>>();
                }
                #[allow(unknown_lints, clippy::shadow_same)]
                let mut path = path;
                #[allow(unknown_lints, clippy::shadow_same)]
                let a = a;
                match () {
                    () => {
                        todo!()
                    }
                }
            },
        )
        .await
        .finish_result()
}
