//! What needs more than one crate: the layer test and the end-to-end tests in `tests/`, fuzz targets in `fuzz/`.
