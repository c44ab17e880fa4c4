// A code page and a pool's function pass on what registers hold. C passes a struct by rules that depend on its fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Point {
    x: f64,
    y: f64,
}

latecall::signature! {
    extern "C" fn OnPoint(point: Point) -> i32;
    late = 0;
    panic = Late;
}

fn main() {}
