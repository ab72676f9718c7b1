//! pmcd's metrics as a page.
#![allow(dead_code, reason = "its parts are being put together")]

mod address;
mod catalog;
mod families;
mod gather;
mod labels;
mod own;
mod page;
mod pmcd;
mod selection;
#[cfg(test)]
mod tests;
