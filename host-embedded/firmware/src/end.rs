//! How it ends: with a status under QEMU, by a reset else.

/// The status of a panic.
const PANIC: i32 = 101;
/// The status of a fault.
const FAULT: i32 = 103;

/// Ends with a status that QEMU hands on.
pub fn end(status: i32) -> ! {
    #[cfg(feature = "qemu")]
    semihosting::process::exit(status);
    #[cfg(not(feature = "qemu"))]
    {
        let _ = status;
        cortex_m::peripheral::SCB::sys_reset()
    }
}

/// Ends after a fault, of which the log could not tell: its own code may be what is broken.
pub fn fault() -> ! {
    end(FAULT)
}

/// Nobody who can tell a panic's place from its words stands beside a chip: without them the image holds neither the
/// words nor what would format them, which is 10 KB.
#[cfg(not(feature = "locations"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("panic");
    end(PANIC)
}

/// Says where it was, too.
#[cfg(feature = "locations")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Some(location) = info.location() {
        defmt::error!("panic at {=str}:{=u32}", location.file(), location.line());
    }
    end(PANIC)
}
