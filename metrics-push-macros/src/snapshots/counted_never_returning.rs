// #[counted]
// fn serve() -> ! { loop {} }

fn serve() -> ! {
    let _call = ::metrics_push::__private::armed(
        {
            static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                "serve",
                ::core::module_path!(),
            );
            &__SITE
        }
            .start(),
    );
    {
        loop {}
    }
}
