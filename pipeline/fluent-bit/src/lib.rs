//! A native output plugin of Fluent Bit: hands each chunk to the `forward` source of a running logbraid, and answers
//! once it is durable there. It has no threads, no state of the process and no engine.
#![expect(unsafe_code, reason = "Fluent Bit calls plugins through a C interface")]
#![expect(
    clippy::missing_safety_doc,
    reason = "Fluent Bit is the only caller, and its interface is the contract"
)]

mod hand;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hand::{Hand, Outcome};

const FLB_ERROR: c_int = 0;
const FLB_OK: c_int = 1;
const FLB_RETRY: c_int = 2;

/// What a plugin tells of itself.
#[repr(C)]
pub struct Definition {
    kind: c_int,
    proxy: c_int,
    flags: c_int,
    name: *mut c_char,
    description: *mut c_char,
}
/// The place in Fluent Bit for what an instance keeps.
#[repr(C)]
pub struct Context {
    remote: *mut c_void,
}
/// An `[OUTPUT]` section.
#[repr(C)]
pub struct Instance {
    name: *mut c_char,
    api: *const Api,
    section: *mut c_void,
    context: *mut Context,
}
/// The beginning of Fluent Bit's table of functions.
#[repr(C)]
pub struct Api {
    setting: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char>,
}

unsafe extern "C" {
    fn strdup(text: *const c_char) -> *mut c_char;
    fn free(memory: *mut c_void);
}

/// Tells people, on the standard error as Fluent Bit does; it may be closed, and then nobody is told.
fn tell(message: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "[logbraid] {message}");
}

/// Runs `call`; a panic is told and becomes `otherwise`, so that none crosses into C.
fn guarded(otherwise: c_int, call: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        tell("a fault in the plugin; please report it");
        otherwise
    })
}

/// Tells Fluent Bit what this is: an output (2) of the proxy kind 11.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginRegister(definition: *mut Definition) -> c_int {
    // SAFETY: Fluent Bit passes its own definition, aligned and not used by others meanwhile; null is looked for.
    let Some(definition) = (unsafe { definition.as_mut() }) else { return -1 };
    (definition.kind, definition.proxy, definition.flags) = (2, 11, 0);
    // SAFETY: both are C strings; the copies are freed in `FLBPluginUnregister`.
    unsafe {
        definition.name = strdup(c"logbraid".as_ptr());
        definition.description =
            strdup(c"hands chunks to logbraid, and waits until they are durable".as_ptr());
    }
    if definition.name.is_null() || definition.description.is_null() { -1 } else { 0 }
}

/// Frees what registering took.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginUnregister(definition: *mut Definition) {
    // SAFETY: as in `FLBPluginRegister`.
    let Some(definition) = (unsafe { definition.as_mut() }) else { return };
    for text in [&mut definition.name, &mut definition.description] {
        // SAFETY: it is null, or what `strdup` gave; afterwards it is null and cannot be freed twice.
        unsafe { free(std::mem::replace(text, std::ptr::null_mut()).cast()) };
    }
}

/// Reads the setting `to` of an `[OUTPUT]` section; 1, or -1 after telling what is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInit(instance: *mut Instance) -> c_int {
    guarded(-1, || {
        // SAFETY: Fluent Bit passes its own instance, table and context, alive during the call; null is looked for.
        let parts = unsafe {
            instance
                .as_ref()
                .and_then(|it| Some((it.section, it.api.as_ref()?.setting?, it.context.as_mut()?)))
        };
        let Some((section, setting, context)) = parts else { return -1 };
        // SAFETY: the first function of the table takes a name and the section, and answers a C string or null.
        let to = unsafe { setting(c"to".as_ptr(), section) };
        let to = if to.is_null() {
            String::new()
        } else {
            // SAFETY: not null, so a C string that lives as long as the section; it is copied at once.
            unsafe { CStr::from_ptr(to) }.to_string_lossy().into_owned()
        };
        match Hand::new(&to) {
            Ok(hand) => {
                context.remote = Box::into_raw(Box::new(hand)).cast();
                FLB_OK
            }
            Err(error) => {
                tell(&error);
                -1
            }
        }
    })
}

/// Hands a chunk over: `FLB_OK` (1) when it is durable, `FLB_RETRY` (2) when that is not known, `FLB_ERROR` (0) for
/// null and for what is too long. Several threads may call it at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginFlushCtx(
    context: *mut c_void,
    data: *const c_void,
    length: usize,
    tag: *const c_char,
) -> c_int {
    guarded(FLB_ERROR, || {
        if context.is_null() || tag.is_null() || (data.is_null() && length > 0) {
            return FLB_ERROR;
        }
        if length == 0 {
            return FLB_OK;
        }
        // SAFETY: none is null. The context is `FLBPluginInit`'s, only shared until `FLBPluginExitCtx`; the tag is a C
        // string and the data has `length` bytes, both until this returns.
        let (hand, tag, data) = unsafe {
            let hand = &*context.cast::<Hand>();
            (hand, CStr::from_ptr(tag).to_bytes(), std::slice::from_raw_parts(data.cast::<u8>(), length))
        };
        match hand.over(tag, data) {
            Ok(Outcome::Durable) => FLB_OK,
            Ok(Outcome::TooLong) => {
                tell(&format!("a chunk of {length} bytes is too long for the protocol, and is left out"));
                FLB_ERROR
            }
            Err(error) => {
                tell(&format!("a chunk was not acknowledged, and is sent again: {error}"));
                FLB_RETRY
            }
        }
    })
}

/// Ends an instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginExitCtx(context: *mut c_void) -> c_int {
    if !context.is_null() {
        // SAFETY: it is `FLBPluginInit`'s box, and Fluent Bit ends each instance once, after its last flush.
        drop(unsafe { Box::from_raw(context.cast::<Hand>()) });
    }
    FLB_OK
}
