// C returns a struct in memory whose address it passes as an argument that the declaration does not show.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Point {
    x: f64,
    y: f64,
}

latecall::signature! {
    extern "C" fn MakePoint() -> Point;
    late = Point { x: 0.0, y: 0.0 };
    panic = Late;
}

fn main() {}
