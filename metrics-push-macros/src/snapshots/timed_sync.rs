// #[timed]
// #[inline] fn load(path: &str) -> u32 { #![allow(unused)] 1 }

#[inline]
fn load(path: &str) -> u32 {
    #![allow(unused)]
    let _call = {
        static __SITE: ::metrics_push::__private::SharedTimedSite = ::metrics_push::__private::SharedTimedSite::new();
        &__SITE
    }
        .start("load", ::core::module_path!());
    {
        1
    }
}
