//! What Fluent Bit does, through the C interface.

use super::*;
use std::io::{Read as _, Write as _};

#[test]
fn nulls_and_missing_settings_are_refused() {
    // SAFETY: null is what is tried; the interface looks for it.
    unsafe {
        assert_eq!(FLBPluginRegister(std::ptr::null_mut()), -1);
        assert_eq!(FLBPluginInit(std::ptr::null_mut()), -1);
        let null = std::ptr::null_mut();
        assert_eq!(FLBPluginFlushCtx(null, null, 0, c"t".as_ptr()), FLB_ERROR);
    }
    assert!(Hand::new("").is_err_and(|told| told.contains("set `to`")));
}

/// What the plugin answers for a chunk, to a peer that answers what `answer` makes of the chunk's id, or hangs up.
fn flushed(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> c_int {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hand = Hand::new(&listener.local_addr().unwrap().to_string()).unwrap();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; 1 + 6 + 5 + 3 + 7 + 1 + 16];
        stream.read_exact(&mut message).unwrap();
        // In pieces, as a network may deliver it.
        for byte in answer(&message[message.len() - 16..]) {
            // The plugin hangs up on what it does not understand.
            let _gone = stream.write_all(&[byte]);
        }
        message
    });
    let context = (&raw const hand).cast_mut().cast();
    // SAFETY: the context lives on this stack, the data has three bytes, the tag is a C string.
    let answer = unsafe { FLBPluginFlushCtx(context, b"abc".as_ptr().cast(), 3, c"t".as_ptr()) };
    assert!(peer.join().unwrap().starts_with(b"\x93\xdb\0\0\0\x01t\xc6\0\0\0\x03abc\x81\xa5chunk\xb0"));
    answer
}

#[test]
fn a_chunk_is_ok_only_when_its_own_id_is_acknowledged() {
    for head in [&b"\x81\xa3ack\xb0"[..], b"\x81\xa3ack\xd9\x10", b"\x81\xa3ack\xda\0\x10"] {
        assert_eq!(flushed(move |id| [head, id].concat()), FLB_OK, "{head:x?}");
    }
    for head in [&b"\x81\xa3nak\xb0"[..], b"\x81\xa3ack\xc0", b"\x81\xa3ack\xd9\x11", b"HTTP/1.1 400 "] {
        assert_eq!(flushed(move |id| [head, id].concat()), FLB_RETRY, "{head:x?}");
    }
    assert_eq!(flushed(|_| Vec::new()), FLB_RETRY);
    assert_eq!(flushed(|id| [b"\x81\xa3ack\xb0", &id[..15]].concat()), FLB_RETRY);
    assert_eq!(flushed(|_| b"\x81\xa3ack\xb00123456789abcdef".to_vec()), FLB_RETRY);
}

#[test]
fn what_registering_took_is_freed_once() {
    let null = std::ptr::null_mut();
    let mut definition = Definition { kind: 0, proxy: 0, flags: 9, name: null, description: null };
    // SAFETY: the definition is alive; the interface frees what it took, and looks for null.
    unsafe {
        assert_eq!(FLBPluginRegister(&raw mut definition), 0);
        assert_eq!(CStr::from_ptr(definition.name), c"logbraid");
        assert_eq!((definition.kind, definition.proxy, definition.flags), (2, 11, 0));
        FLBPluginUnregister(&raw mut definition);
        assert!(definition.name.is_null() && definition.description.is_null());
        FLBPluginUnregister(&raw mut definition);
    }
}
