// #[counted]
// async fn serve() -> ! { loop {} }

async fn serve() -> ! {
    ::metrics_push::__private::call_forever(
            {
                static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
                &__SITE
            }
                .start("serve", ::core::module_path!()),
            async move { loop {} },
        )
        .await
}
