// #[counted]
// fn serve() -> ! { loop {} }

fn serve() -> ! {
    let _call = ::metrics_push::__private::armed(
        {
            static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                ::metrics_push::__private::Site::new(
                    "serve",
                    ::core::module_path!(),
                    "function_calls_total",
                    "Calls of functions by outcome.",
                ),
            );
            &__SITE
        }
            .start(),
    );
    {
        loop {}
    }
}
