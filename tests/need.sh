# For scripts to source: what they need is installed where that is allowed, else named. `install=no` allows nothing.

say() { printf '\n== %s\n' "$*"; }

# Debian's packages of PCP call systemctl as they are set up, which fails where no systemd runs. There, and for this
# one command, one that says yes stands in front of it. apt gives dpkg a PATH of its own.
apt_install() {
    local d status
    if [ -d /run/systemd/system ]; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"
        return
    fi
    d=$(mktemp -d)
    printf '#!/bin/sh\nexit 0\n' >"$d/systemctl"
    chmod +x "$d/systemctl"
    DEBIAN_FRONTEND=noninteractive PATH="$d:$PATH" \
        apt-get -o DPkg::Path="$d:/usr/sbin:/usr/bin:/sbin:/bin" install -y "$@"
    status=$?
    rm -rf "$d"
    return $status
}

may_install() {
    [ "${install:-yes}" = yes ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

# need PACKAGE...: installs, or says what to install.
need() {
    local log
    if ! may_install; then
        echo "to install: apt-get install $*"
        return 1
    fi
    say "installing $*"
    log=$(mktemp)
    apt_install "$@" >"$log" 2>&1 ||
        { apt-get update >/dev/null 2>&1; apt_install "$@" >"$log" 2>&1; } ||
        { tail -5 "$log"; echo "could not install: $*"; rm -f "$log"; return 1; }
    rm -f "$log"
}

# The Cortex-M toolchain: rustup's target where it can be had, else Debian's compiler, which builds core itself.

target=thumbv7m-none-eabi
embedded=()
linker=

has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; }

# find_target: `embedded` becomes the cargo that builds for the target, `linker` what it links with.
find_target() {
    if has_target || { command -v rustup >/dev/null && rustup target add $target >/dev/null 2>&1 && has_target; }; then
        embedded=(env cargo) linker=rust-lld
        return 0
    fi
    if [ ! -x /usr/bin/rustc ] || [ ! -x /usr/bin/cargo ] || [ ! -x /usr/bin/ld.lld ]; then
        need rustc-web cargo-web rust-web-src lld || return 1
    fi
    embedded=(env RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core
        CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER=ld.lld /usr/bin/cargo)
    linker=ld.lld
}
