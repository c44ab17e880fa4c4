//! The tests of programs, as a language and as data: their text, how they are generated and shrunk, and that they end. None
//! of them runs a program on a subject; the engines' tests do.

mod ends;
mod generate;
mod shrink;
mod text;
