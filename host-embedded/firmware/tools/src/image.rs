//! An image: what it takes of flash and RAM.

use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use crate::Error;

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Vectors, code, constants, and what values begin with.
    pub(crate) flash: u64,
    /// Values, those that begin with zero too; not the stack.
    pub(crate) ram: u64,
}

/// Weighs an image.
pub(crate) fn weigh(image: &[u8]) -> Result<Weight, Error> {
    let file = object::File::parse(image)?;
    let mut weight = Weight::default();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
            continue;
        }
        if section.file_range().is_some() {
            weight.flash += section.size();
        }
        if section.address() >= RAM {
            weight.ram += section.size();
        }
    }
    Ok(weight)
}

/// Where it begins on all boards.
const RAM: u64 = 0x2000_0000;
