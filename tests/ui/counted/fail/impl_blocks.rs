use metrics_push::counted;

struct Store;

#[counted(nmae = "a_total", name = "loads")]
impl Store {
    fn first(&self) {}

    fn second(&self) {}

    const fn third(&self) {}

    #[counted(skip)]
    const fn fourth(&self) {}

    #[counted(max_series = 0)]
    fn fifth(&self) {}
}

#[counted(skip)]
impl Store {
    fn sixth(&self) {}
}

fn each_method_is_still_there(store: &Store) {
    store.first();
    store.second();
    store.third();
    store.fourth();
    store.fifth();
    store.sixth();
}

fn main() {}
