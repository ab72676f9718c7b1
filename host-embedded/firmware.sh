#!/usr/bin/env bash
# The firmware: builds it, runs it under QEMU, weighs it. BOARD is lm3s6965evb, unless it is said, or mps2-an385.
#
#   firmware.sh build [BOARD]             builds the image and prints where it is
#   firmware.sh run [BOARD] [SETTING...]  boots it; `PORT 44321 -> 127.0.0.1:N` says where it is reached, its log follows
#   firmware.sh size [BOARD]              prints bytes of flash, RAM and stack, and fails where it is too many
#   firmware.sh size --features           prints what each part of it takes, as a table
#   firmware.sh panics [BOARD]            lists the panics that are left and whose they are, and fails where one is ours
#   firmware.sh image [BOARD]             prints where the image is, and builds nothing
#
# SETTINGs: `dhcp`, or `ip=A.B.C.D/BITS` and behind it `gateway=A.B.C.D`; `scrape=NAME@A.B.C.D:PORT/PATH` (the host is 10.0.2.2), behind
# it `include=GLOB`, then `exclude=GLOB`; `run=MS`; `wall=SECONDS`. Before them may stand `--nic NIC`, a network as QEMU's -nic has it,
# `--capture FILE` of what goes over it, `--serial` for a terminal at the end of its serial line, and, first of all, `--built`, which builds
# nothing. `--bin NAME` behind BOARD is another program than the appliance.
#
# As root on Debian it installs what is missing, else it says what to install.
set -u
from=$PWD
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 2
. "$here/../tests/need.sh"
cd "$here/firmware" || exit 2

usage() {
    sed -n '2,/^set -u/s/^# \{0,1\}//p' "$here/firmware.sh"
    exit 2
}

command=${1:-}
[ $# -gt 0 ] && shift
board=lm3s6965evb bin=appliance
case ${1:-} in
    lm3s6965evb | mps2-an385) board=$1; shift ;;
esac
if [ "${1:-}" = --bin ]; then
    bin=${2:?which program?}
    shift 2
fi
# Only who boots it has more to say.
case $command:$* in
    run:* | size:--features | *:) ;;
    *) usage ;;
esac

out=$(cargo metadata --manifest-path "$here/../Cargo.toml" --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/firmware || exit 2
image=$out/$board-$bin.elf
tools=$out/firmware-tools
all=collector,exporter,scraper,dhcp,serial,qemu,defmt

# build FEATURES IMAGE: an image that others may be running is replaced, not written over.
build() {
    "${embedded[@]}" build --quiet --locked --release --target $target --target-dir "$out" --bin "$bin" \
        --no-default-features --features "$1" &&
        cp "$out/$target/release/$bin" "$2.$$" && mv "$2.$$" "$2"
}

build_tools() {
    cargo build --quiet --locked -p firmware-tools --target-dir "$out" &&
        cp "$out/debug/firmware-tools" "$tools.$$" && mv "$tools.$$" "$tools"
}

toolchain() {
    find_target || { echo "no compiler for $target"; exit 1; }
}

build_all() {
    toolchain
    build "$board,$all" "$image" && build_tools || exit 1
}

qemu() {
    [ -x /usr/bin/qemu-system-arm ] || need qemu-system-arm || exit 1
}

# The linker and its version: what it makes differs by a few percent from what another makes.
name_linker() {
    local path=$linker
    [ "$linker" = rust-lld ] && path=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/host: //p')/bin/rust-lld
    printf 'linked by %s: %s\n' "$linker" "$("$path" -flavor gnu --version 2>/dev/null || "$path" --version)"
}

# One row for each part, on top of those before it.
table() {
    local so_far=$board flash=0 f r part
    echo '| with | flash | RAM | adds |'
    echo '|---|---|---|---|'
    for part in board collector exporter scraper dhcp serial qemu defmt; do
        [ $part = board ] || so_far=$so_far,$part
        build "$so_far" "$out/part.elf" || return 1
        read -r _ f _ r < <("$tools" weigh "$out/part.elf")
        echo "| ${part/#board/board, TCP\/IP, store} | $f | $r | $((f - flash)) |"
        flash=$f
    done
}

case $command in
    build)
        build_all
        echo "$image"
        ;;
    run)
        qemu
        # Whoever has built it may spare the time.
        [ "${1:-}" = --built ] && shift || build_all
        # Files are named from where it was called.
        cd "$from" && exec "$tools" run --board "$board" "$image" "$@"
        ;;
    size)
        if [ "${1:-}" = --features ]; then
            toolchain
            build_tools && name_linker && table
            exit
        fi
        qemu
        build_all
        name_linker
        "$tools" size --board "$board" "$image"
        ;;
    panics)
        toolchain
        build "$board,$all,locations" "$out/panics.elf" && build_tools && "$tools" panics "$out/panics.elf"
        ;;
    image) echo "$image" ;;
    *) usage ;;
esac
