//! What a failed load says, and what it passes on: the loader's own error is the source of ours.

use latecall_bundled::emitter::{Api, LoadError};
use std::error::Error;
use std::path::Path;

#[test]
fn an_object_that_cannot_be_opened_has_the_loaders_error_as_its_source() {
    let error = Api::load(Path::new("no/such/libemitter.so")).unwrap_err();
    assert!(matches!(error, LoadError::Open { .. }), "{error:?}");
    let source = error.source().expect("the loader's error");
    assert!(source.is::<libloading::Error>(), "{source:?}");
    let reason = source.source().expect("what the loader said").to_string();
    assert!(reason.contains("No such file"), "{reason}");
    assert!(error.to_string().contains(&reason), "{error}: no word of {reason}");
}

#[test]
fn an_object_that_is_another_library_has_no_source() {
    let error = Api::load(Path::new("libm.so.6")).unwrap_err();
    assert!(matches!(error, LoadError::Foreign { .. }), "{error:?}");
    assert!(error.source().is_none(), "{error:?}");
}
