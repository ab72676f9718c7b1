//! pmcd's metrics as a page.
#![allow(dead_code, reason = "its parts are being put together")]

mod address;
mod catalog;
#[cfg(test)]
mod drive;
mod gather;
mod labels;
mod pmcd;
mod selection;
