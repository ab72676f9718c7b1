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

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    if let Some(location) = info.location() {
        defmt::error!("panic at {=str}:{=u32}", location.file(), location.line());
    }
    #[cfg(not(feature = "defmt"))]
    let _ = info;
    end(PANIC)
}
