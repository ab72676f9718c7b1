//! pmcd's metrics as a page.
#![allow(dead_code, reason = "its parts are being put together")]

mod catalog;
mod families;
mod page;
