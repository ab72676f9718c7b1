#!/usr/bin/env bash
# The firmware: builds it, runs it under QEMU, weighs it. BOARD is lm3s6965evb, unless it is said, or mps2-an385.
#
#   firmware.sh build [BOARD]             builds the image and prints where it is
#   firmware.sh run [BOARD] [SETTING...]  boots it; `PORT 44321 -> 127.0.0.1:N` says where it is reached, its log follows
#   firmware.sh image [BOARD]             prints where the image is, and builds nothing
#
# As root on Debian it installs what is missing, else it says what to install.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 2
. "$here/../tests/need.sh"
cd "$here/firmware" || exit 2

usage() {
    sed -n '2,/^set -u/s/^# \{0,1\}//p' "$here/firmware.sh"
    exit 2
}

command=${1:-}
[ $# -gt 0 ] && shift
board=lm3s6965evb
case ${1:-} in
    lm3s6965evb | mps2-an385) board=$1; shift ;;
esac

out=$(cargo metadata --manifest-path "$here/../Cargo.toml" --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/firmware || exit 2
image=$out/$board.elf
tools=$out/firmware-tools
all=collector,exporter,scraper,dhcp,qemu,defmt

# build FEATURES IMAGE: an image that others may be running is replaced, not written over.
build() {
    "${embedded[@]}" build --quiet --release --target $target --target-dir "$out" --no-default-features --features "$1" &&
        cp "$out/$target/release/appliance" "$2.$$" && mv "$2.$$" "$2"
}

build_tools() {
    cargo build --quiet --locked -p firmware-tools --target-dir "$out" &&
        cp "$out/debug/firmware-tools" "$tools.$$" && mv "$tools.$$" "$tools"
}

build_all() {
    find_target || { echo "no compiler for $target"; exit 1; }
    build "$board,$all" "$image" && build_tools || exit 1
}

case $command in
    build)
        build_all
        echo "$image"
        ;;
    run)
        [ -x /usr/bin/qemu-system-arm ] || need qemu-system-arm || exit 1
        # Whoever has built it may spare the time.
        [ "${1:-}" = --built ] && shift || build_all
        exec "$tools" run --board "$board" "$image" "$@"
        ;;
    image) echo "$image" ;;
    *) usage ;;
esac
