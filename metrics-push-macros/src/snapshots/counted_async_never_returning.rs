// #[counted]
// async fn serve() -> ! { loop {} }

async fn serve() -> ! {
    let call = {
        static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
            "serve",
            ::core::module_path!(),
        );
        &__SITE
    }
        .start();
    ::metrics_push::__private::call_forever(call, async move { loop {} }).await
}
