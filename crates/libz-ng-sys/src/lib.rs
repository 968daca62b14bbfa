//! Stands in for `libz-ng-sys`, whose build needs CMake, on a machine that has only a Rust toolchain.
//!
//! pingora asks flate2 for its zlib-ng backend. The functions here have zlib's C interface and are carried out by
//! zlib-rs, which is pure Rust. Invariant: [`z_stream`] has the layout of zlib's `z_stream` (zlib.h, "z_stream_s"), so
//! a pointer to it is a pointer to the one of `libz_rs_sys`.

#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_ulong};

pub use libz_rs_sys::{
    Bytef, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH, Z_MEM_ERROR,
    Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR, Z_SYNC_FLUSH, alloc_func, free_func,
    internal_state, uInt, uLong, voidpf, zlibVersion,
};

/// zlib's stream, with allocators that are never absent (flate2 always gives its own).
#[repr(C)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: c_ulong,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: c_ulong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: voidpf,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: uLong,
}

const _: () = assert!(size_of::<z_stream>() == size_of::<libz_rs_sys::z_stream>());

macro_rules! forward {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: *mut z_stream $(, $arg: $kind)*) -> c_int {
            // SAFETY: the caller keeps zlib's contract, and the two stream types have one layout.
            unsafe { libz_rs_sys::$name(stream.cast() $(, $arg)*) }
        }
    )*};
}

forward! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, mem_level: c_int, strategy: c_int,
                  version: *const c_char, stream_size: c_int);
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const Bytef, length: uInt);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset2(window_bits: c_int);
    inflateInit2_(window_bits: c_int, version: *const c_char, stream_size: c_int);
    inflateSetDictionary(dictionary: *const Bytef, length: uInt);
}
