// A chain of `async` functions whose future must be `Send`. The compiler computes the layout of the outermost one first.

fn require_send<T: Send>(_: T) {}

pub fn spawn() {
    require_send(level_14(1));
}

//@
async fn level_14(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_13(n).await? + n)
}

//@
async fn level_13(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_12(n).await? + n)
}

//@
async fn level_12(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_11(n).await? + n)
}

//@
async fn level_11(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_10(n).await? + n)
}

//@
async fn level_10(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_9(n).await? + n)
}

//@
async fn level_9(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_8(n).await? + n)
}

//@
async fn level_8(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_7(n).await? + n)
}

//@
async fn level_7(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_6(n).await? + n)
}

//@
async fn level_6(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_5(n).await? + n)
}

//@
async fn level_5(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_4(n).await? + n)
}

//@
async fn level_4(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_3(n).await? + n)
}

//@
async fn level_3(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_2(n).await? + n)
}

//@
async fn level_2(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(level_1(n).await? + n)
}

//@
async fn level_1(n: u32) -> Result<u32, std::num::ParseIntError> {
    Ok("1".parse::<u32>()? + n)
}
