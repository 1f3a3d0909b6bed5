// #[counted]
// async fn serve() -> ! { loop {} }

async fn serve() -> ! {
    ::metrics_push::__private::call_forever(
            {
                static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                    "serve",
                    ::core::module_path!(),
                );
                &__SITE
            }
                .start(),
            async move { loop {} },
        )
        .await
}
