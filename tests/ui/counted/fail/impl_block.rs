use metrics_push::counted;

struct Store;

#[counted(nmae = "a_total", name = "loads")]
impl Store {
    fn first(&self) {}

    fn second(&self) {}

    const fn const_method(&self) {}

    #[counted(skip)]
    const fn skipped_const_method(&self) {}

    #[counted(max_series = 0)]
    fn with_own_error(&self) {}
}

#[counted(skip)]
impl Store {
    fn in_skipped_block(&self) {}
}

fn every_method_is_emitted(store: &Store) {
    store.first();
    store.second();
    store.const_method();
    store.skipped_const_method();
    store.with_own_error();
    store.in_skipped_block();
}

fn main() {}
