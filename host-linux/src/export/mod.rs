//! pmcd's metrics as a page.
#![allow(dead_code, reason = "its parts are being put together")]

mod address;
mod catalog;
mod gather;
mod labels;
mod pmcd;
mod selection;
#[cfg(test)]
mod tests;
