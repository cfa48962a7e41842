//! Fluent Bit's native plugin, loaded as Fluent Bit loads it, with the real program behind it.
#![expect(unsafe_code, reason = "a plugin is loaded, and called through its C interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use libloading::{Library, Symbol};

use super::world::World;

const OK: c_int = 1;
const RETRY: c_int = 2;
/// Chunks of a storm.
const CHUNKS: u32 = 120;

/// `struct flb_plugin_proxy_def`, as far as a plugin writes it.
#[repr(C)]
struct Definition {
    kind: c_int,
    proxy: c_int,
    flags: c_int,
    name: *mut c_char,
    description: *mut c_char,
    event_type: c_int,
    settings: *mut c_void,
}

/// `struct flbgo_output_plugin`, as far as a plugin reads it.
#[repr(C)]
struct Instance {
    name: *mut c_char,
    api: *const Api,
    section: *mut c_void,
    context: *mut *mut c_void,
}

/// The table of functions, of which the first answers settings.
#[repr(C)]
struct Api {
    setting: extern "C" fn(*const c_char, *mut c_void) -> *const c_char,
}

/// The setting `to` of the section, which is the text itself.
extern "C" fn setting(name: *const c_char, section: *mut c_void) -> *const c_char {
    // SAFETY: a plugin asks with a C string.
    let known = unsafe { CStr::from_ptr(name) } == c"to";
    if known { section.cast() } else { std::ptr::null() }
}

type Flush = unsafe extern "C" fn(*mut c_void, *const c_void, usize, *const c_char) -> c_int;

/// Fluent Bit with the plugin and an `[OUTPUT]` section.
struct Host {
    library: Library,
    /// What the plugin keeps for the section; held as a number, for threads share it as Fluent Bit's do.
    context: usize,
}

impl Host {
    fn load() -> Library {
        // The plugin is built beside the tests.
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let places: [PathBuf; 2] = [folder.join("libout_logbraid.so"), folder.join("../libout_logbraid.so")];
        let path = places.iter().find(|path| path.exists()).expect("the plugin is built with the tests");
        // SAFETY: loading it runs nothing of its own.
        unsafe { Library::new(path) }.unwrap()
    }

    /// Registers and begins with `to`; the error is what `FLBPluginInit` answered.
    fn start(to: Option<&str>) -> Result<Self, c_int> {
        let library = Self::load();
        let null = std::ptr::null_mut();
        let mut definition = Definition {
            kind: 0,
            proxy: 0,
            flags: 0,
            name: null,
            description: null,
            event_type: 77,
            settings: null.cast(),
        };
        let to = to.map(|to| CString::new(to).unwrap());
        let api = Api { setting };
        let mut context: *mut c_void = null.cast();
        let section = to.as_ref().map_or(null.cast(), |to| to.as_ptr().cast_mut().cast());
        let mut instance = Instance { name: null, api: &raw const api, section, context: &raw mut context };
        // SAFETY: the types are those of the interface, and everything that is passed outlives the calls.
        let answer = unsafe {
            let register: Symbol<'_, unsafe extern "C" fn(*mut Definition) -> c_int> =
                library.get(b"FLBPluginRegister").unwrap();
            let unregister: Symbol<'_, unsafe extern "C" fn(*mut Definition)> =
                library.get(b"FLBPluginUnregister").unwrap();
            let init: Symbol<'_, unsafe extern "C" fn(*mut Instance) -> c_int> =
                library.get(b"FLBPluginInit").unwrap();
            assert_eq!(register(&raw mut definition), 0);
            assert_eq!((definition.kind, definition.proxy, definition.event_type), (2, 11, 77));
            assert_eq!(CStr::from_ptr(definition.name), c"logbraid");
            unregister(&raw mut definition);
            init(&raw mut instance)
        };
        if answer > 0 { Ok(Self { library, context: context.expose_provenance() }) } else { Err(answer) }
    }

    /// What the plugin answers for a chunk.
    fn flush(&self, chunk: &[u8]) -> c_int {
        let context = std::ptr::with_exposed_provenance_mut(self.context);
        // SAFETY: the type is that of the interface; the context is alive until `exit`, the rest during the call.
        unsafe {
            let flush: Symbol<'_, Flush> = self.library.get(b"FLBPluginFlushCtx").unwrap();
            flush(context, chunk.as_ptr().cast(), chunk.len(), c"app.web".as_ptr())
        }
    }

    fn exit(self) -> c_int {
        // SAFETY: the context is the plugin's own, and nobody uses it afterwards.
        unsafe {
            let exit: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> c_int> =
                self.library.get(b"FLBPluginExitCtx").unwrap();
            exit(std::ptr::with_exposed_provenance_mut(self.context))
        }
    }
}

/// Ten entries with their numbers, as Fluent Bit writes a chunk: time and metadata, then the record.
fn chunk(number: u32) -> Vec<u8> {
    let entry = |at: u32| {
        let time = [&[0xd7, 0][..], &1_705_312_800_u32.to_be_bytes(), &at.to_be_bytes()].concat();
        let message = format!("m{number:05}-{at}");
        let length = u8::try_from(message.len()).unwrap();
        [b"\x92\x92", &time[..], b"\x80\x81\xa7message\xd9", &[length], message.as_bytes()].concat()
    };
    (0..10).flat_map(entry).collect()
}

#[test]
fn what_was_ok_is_written_whenever_the_program_is_killed() {
    // The program must come back where the plugin was told that it is.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::start(&format!("forward: {{ listen: '{address}' }}"));
    let host = Host::start(Some(&address.to_string())).unwrap();
    let (next, done) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CHUNKS {
                        return;
                    }
                    let chunk = chunk(number);
                    // As often as Fluent Bit is patient.
                    let answers = std::iter::repeat_with(|| {
                        let answer = host.flush(&chunk);
                        if answer == RETRY {
                            std::thread::sleep(std::time::Duration::from_millis(20));
                        }
                        answer
                    });
                    let answer = answers.take(3000).find(|answer| *answer != RETRY);
                    assert_eq!(answer, Some(OK), "chunk {number}");
                    done.lock().unwrap().push(number);
                }
            });
        }
        for kill in 1..=2 {
            while done.lock().unwrap().len() < 40 * kill {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            world.kill();
            world.run();
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_unstable();
    assert_eq!(done, (0..CHUNKS).collect::<Vec<_>>());
    // The same chunk again is the same lines, once more: its sender was told, so it means it.
    assert_eq!(host.flush(&chunk(0)), OK);
    assert_eq!(host.exit(), OK);
    let expected: Vec<String> =
        (0..CHUNKS).flat_map(|number| (0..10).map(move |at| format!("m{number:05}-{at}"))).collect();
    assert_eq!(world.messages(expected.len()), expected);
}

#[test]
fn what_cannot_be_taken_is_to_be_tried_again_and_settings_that_are_wrong_are_refused() {
    for wrong in [None, Some(""), Some("nowhere"), Some("127.0.0.1:99999")] {
        assert_eq!(Host::start(wrong).err(), Some(-1), "{wrong:?}");
    }
    let world = World::start("forward: { listen: '127.0.0.1:0' }");
    let host = Host::start(Some(&world.address("").to_string())).unwrap();
    assert_eq!(host.flush(b"\xc1\xc1 no chunk"), RETRY);
    assert_eq!(host.flush(b""), OK);
    assert_eq!(host.flush(&chunk(1)), OK);
    assert_eq!(world.messages(10).len(), 10);
    assert!(world.metric("received_refused_total", 1.0) >= 1.0);
    drop(world);
    // Nobody listens any more.
    assert_eq!(host.flush(&chunk(2)), RETRY);
    assert_eq!(host.exit(), OK);
}
