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

trait WithoutBody {
    #[counted]
    fn serve(&self);
}

#[counted]
mod module {}

#[counted]
static STATIC: u32 = constant();

#[counted(skip)]
fn skipped() {}

fn every_item_is_emitted(_: Structure, _: &dyn Service, _: &dyn WithoutBody) -> u32 {
    skipped();
    STATIC
}

fn main() {}
