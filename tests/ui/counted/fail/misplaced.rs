use metrics_push::counted;

#[counted]
const fn constant() -> u32 {
    1
}

#[counted]
struct Structure;

#[counted]
trait Service {
    fn serve(&self);
}

trait Bodiless {
    #[counted]
    fn serve(&self);
}

#[counted]
mod module {}

#[counted]
static STATIC: u32 = constant();

#[counted(skip)]
fn skipped() {}

// Each item is still there.
fn uses_them(_: Structure, _: &dyn Service, _: &dyn Bodiless) -> u32 {
    skipped();
    STATIC
}

fn main() {}
