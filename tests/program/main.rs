//! Tests of programs as a language and as data: their text, how they are generated and shrunk, and that they end. None
//! of these tests runs a program on a subject; the tests of the engines do.

mod data;
mod decoded;
mod ends;
mod generate;
mod patterns;
mod plainer;
mod seeds;
mod shrink;
mod text;
