// #[counted]
// fn serve() -> ! { loop {} }

fn serve() -> ! {
    let _call = ::metrics_push::__private::armed(
        {
            static __SITE: ::metrics_push::__private::SharedCountedSite = ::metrics_push::__private::SharedCountedSite::new();
            &__SITE
        }
            .start("serve", ::core::module_path!()),
    );
    {
        loop {}
    }
}
