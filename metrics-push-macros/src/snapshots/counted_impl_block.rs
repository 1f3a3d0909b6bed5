// #[counted(name = "store_calls_total")]
// /// A store.
// impl<T: Clone> Store<T> where T: Send { #![allow(unused)] const MAX: Limit = Limit { of: 1 }; type Item = T; pub fn flush(&self) { work() } #[counted(labels(full = "yes"))] #[inline] async fn sync(self) { self.work().await } #[metrics_push::counted(skip)] const fn len(&self) -> usize { 0 } }

/// A store.
impl<T: Clone> Store<T>
where
    T: Send,
{
    #![allow(unused)]
    const MAX: Limit = Limit { of: 1 };
    type Item = T;
    pub fn flush(&self) {
        ::metrics_push::__private::call(
                {
                    static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                            "Store::flush",
                            ::core::module_path!(),
                        )
                        .metric(
                            &const {
                                ::metrics_push::__private::SiteMetric::new(
                                    "store_calls_total",
                                    "A store.",
                                )
                            },
                        );
                    &__SITE
                }
                    .enter(&[]),
                || -> () { work() },
            )
            .finish()
    }
    #[inline]
    async fn sync(self) {
        ::metrics_push::__private::call_async(
                {
                    static __SITE: ::metrics_push::__private::CountedSite = ::metrics_push::__private::CountedSite::new(
                            "Store::sync",
                            ::core::module_path!(),
                        )
                        .metric(
                            &const {
                                ::metrics_push::__private::SiteMetric::new(
                                        "store_calls_total",
                                        "A store.",
                                    )
                                    .fixed_labels(&[("full", "yes")])
                            },
                        );
                    &__SITE
                }
                    .enter(&[]),
                async move {
                    #[allow(unreachable_code)]
                    if false {
                        return;
                    }
                    let _ = &self;
                    {
                        self.work().await
                    }
                },
            )
            .await
            .finish()
    }
    const fn len(&self) -> usize {
        0
    }
}
