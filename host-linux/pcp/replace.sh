# Taking the place of PCP's openmetrics PMDA and giving it back, for Install and Remove, which have read pcp.env.
#
# What changes is one line of pmcd.conf; all other bytes of the file stay. The line goes away first, so that the PMDA
# before has ended and its tables of ids are whole when the other one reads them; a comment keeps the place.

conf=$(readlink -f "$PCP_PMCDCONF_PATH")
# The line of the stock PMDA while pmbridge is in its place.
saved=replaced-line
mark="# pmbridge keeps this place for the line of openmetrics: run Install or Remove again"
gave=false

say_and_exit() {
    echo "$@" >&2
    exit 1
}

# A directory for this run. Who goes on with pmdaproc.sh, which has a trap of its own, removes it before.
work=$(mktemp -d "$PCP_TMPFILE_DIR/pmbridge.XXXXXX") || exit
trap 'rm -rf "$work"' 0
trap 'exit 1' 1 2 15

need_root() {
    [ -f "$conf" ] || say_and_exit "$PCP_PMCDCONF_PATH: there is no such file, is PCP installed?"
    [ -w "$conf" ] && [ "$(id -u)" = 0 ] || say_and_exit "$conf: only root may change it"
}

# Makes the link that pmcd.conf names. Its name begins with pmda, so that what it calls is `pmbridge pmda`.
link_binary() {
    binary=${PMBRIDGE:-$(PATH=$PATH:/usr/local/bin:/usr/bin command -v pmbridge || readlink pmdapmbridge)}
    case $binary in
        /*) ;;
        *) say_and_exit "pmbridge is not in PATH: copy it to /usr/local/bin, or set PMBRIDGE to its absolute path" ;;
    esac
    "$binary" --version >/dev/null || say_and_exit "$binary: cannot be run; PMBRIDGE must be the path of pmbridge"
    ln -sf "$binary" pmdapmbridge || exit
}

# --- pmcd.conf

# The first and the last line that the agent's entry takes, above [access]; a backslash at the end continues a line.
where() {
    $PCP_AWK_PROG -v agent="$1" -v mark="$mark" '
        !more && tolower($0) ~ /^[ \t]*\[[ \t]*access[ \t]*\]/ { exit }
        !more { first = NR; ours = $1 == agent || (agent == "openmetrics" && $0 == mark) }
        { more = $1 !~ /^#/ && /\\$/ }
        ours && !more { print first, NR; ours = 0; exit }
        END { if (ours) print first, NR }' "$conf"
}

has_line() {
    [ -n "$(where "$1")" ]
}

# The lines of an entry, as they stand in the file.
entry() {
    set -- $(where openmetrics)
    [ $# = 2 ] && sed -n "$1,$2p" "$conf"
}

# Puts a file in the place of the entry. The new pmcd.conf is there as a whole, or not at all.
put() {
    text=$1
    set -- $(where openmetrics)
    new=$(mktemp "$conf.XXXXXX") && cp -p "$conf" "$new" &&
        { head -n "$(($1 - 1))" "$conf" && cat "$text" && tail -n "+$(($2 + 1))" "$conf"; } >"$new" &&
        mv "$new" "$conf" && return
    rm -f "$new"
    say_and_exit "$conf: cannot be written"
}

# Splits an entry, on stdin: label, domain, and what its command is: stock, ours or other, with the options behind it.
read_entry() {
    label='' domain='' kind=other options=''
    set -f
    set -- $(sed 's/\\$//')
    set +f
    label=${1-} domain=${2-} ipc=${3-}
    while [ $# -gt 0 ]; do
        word=$1
        shift
        case $word in
            pmdaopenmetrics | */pmdaopenmetrics | *pmdaopenmetrics.py | *pmdaopenmetrics.python) kind=stock ;;
            pmdapmbridge | */pmdapmbridge) kind=ours ;;
            pmbridge | */pmbridge) [ "${1-}" = pmda ] && kind=ours && shift ;;
        esac
        [ $kind != other ] && options=$* && break
    done
    [ "$ipc" = pipe ] || [ $kind = ours ] || kind=other
}

# --- pmcd

pmcd_value() {
    pmprobe -v "$1" 2>/dev/null | $PCP_AWK_PROG '$2 == 1 { print $3; found = 1 } END { exit !found }'
}

# Makes pmcd read its configuration. Where none runs there is nothing to tell.
tell_pmcd() {
    pid=$(pmcd_value pmcd.pid) || return 0
    before=$(pmcd_value pmcd.sighups) && kill -HUP "$pid" || say_and_exit "pmcd ($pid) cannot be signalled"
    for _ in $(seq 100); do
        "$PCP_BINADM_DIR/pmsleep" 0.1
        now=$(pmcd_value pmcd.sighups) && [ "$now" -gt "$before" ] && return
    done
    say_and_exit "pmcd ($pid) does not answer; see $PCP_LOG_DIR/pmcd/pmcd.log"
}

# The processes that pmcd, or its helper pmdaroot, runs with these words in their command.
agents() {
    pid=$(pmcd_value pmcd.pid) || return
    for parent in $pid $(pgrep -P "$pid"); do
        pgrep -P "$parent" -f "$1"
    done
}

# Whether these processes have gone, within so many tenths of a second.
have_gone() {
    tenths=$1
    shift
    for _ in $(seq "$tenths"); do
        kill -0 "$@" 2>/dev/null || return 0
        "$PCP_BINADM_DIR/pmsleep" 0.1
    done
    return 1
}

# Takes the entry out and waits until the PMDA, whose command has these words, has ended.
take_out() {
    running=$(agents "$1")
    printf '%s\n' "$mark" >"$work/mark"
    put "$work/mark"
    tell_pmcd
    for one in $running; do
        have_gone 100 "$one" || { kill -TERM "$one"; have_gone 30 "$one"; } || kill -KILL "$one"
    done
}

# Puts an entry in, and waits until its PMDA answers pmcd.
put_in() {
    put "$1"
    tell_pmcd
    if ! pmcd_value pmcd.pid >/dev/null; then
        echo "pmcd does not run: the change holds from its next start on"
        return 0
    fi
    for _ in $(seq 60); do
        "$PCP_BINADM_DIR/pmsleep" 0.5
        status=$(pminfo -f pmcd.agent.status | sed -n 's/.* or "openmetrics"\] value //p')
        [ "$status" = 0 ] && pminfo openmetrics >/dev/null 2>&1 && return 0
        [ "${status:-0}" = 0 ] || return 1
    done
    # No names yet, but it runs: a site without sources.
    [ "$status" = 0 ]
}

# --- what Install and Remove do

take_over() {
    stock=$PCP_PMDAS_DIR/openmetrics
    entry >"$work/old" || say_and_exit "$conf has no line for openmetrics, so there is nothing to replace.
To install PCP's PMDA first: cd $stock && ./Install
To install pmbridge by itself, under the name pmbridge: ./Install"
    # An earlier run was interrupted.
    if [ "$(cat "$work/old")" = "$mark" ] && [ -f $saved ]; then
        cp -p $saved "$work/old"
    fi
    read_entry <"$work/old"
    if [ $kind = ours ]; then
        echo "pmbridge is in the place of openmetrics already"
        return
    fi
    line="openmetrics	$domain	pipe	binary notready	$PWD/pmdapmbridge -d $domain"
    [ $kind = stock ] || say_and_exit "$conf: the line of openmetrics is not one that PCP's Install writes, so it is left as it is.
To go on, make it this one by hand, with the options you want, and then: pmsignal -a -s HUP pmcd
$line"
    # The options have the last word: they are the site's.
    ./pmdapmbridge -d "$domain" $options --help >/dev/null || say_and_exit "$conf: the line of openmetrics has an option that pmbridge does not know; nothing was changed"
    printf '%s\n' "$line${options:+ $options}" >"$work/new"
    warn_of_unreadable

    # Before pmcd.conf changes, so that there is a way back at any time.
    cp "$work/old" $saved.new && mv $saved.new $saved || exit
    take_out pmdaopenmetrics
    log=$PCP_LOG_DIR/pmcd/openmetrics.log
    [ ! -f "$log" ] || mv -f "$log" "$log.prev"
    if ! put_in "$work/new"; then
        put "$work/old"
        tell_pmcd
        rm -f $saved
        say_and_exit "pmbridge does not run under pmcd, so PCP's PMDA is back in its place. See $log and $PCP_LOG_DIR/pmcd/pmcd.log"
    fi
    echo "pmbridge is in the place of openmetrics; ./Remove gives it back"
}

# Files of sources that PCP's user may not read: the stock PMDA of PCP 6 is root and may.
warn_of_unreadable() {
    case " $options" in *" -u"* | *" --user"*) return ;; esac
    unreadable=$(runuser -u "$PCP_USER" -- find "$stock/config.d/" ! -name '.*' ! -readable 2>/dev/null)
    [ -z "$unreadable" ] || printf '%s\n' "Warning: pmbridge runs as $PCP_USER, which cannot read these sources (chgrp $PCP_GROUP and chmod g+r, or add -u root to the line in $conf):" "$unreadable"
}

give_back() {
    if ! entry >"$work/now"; then
        [ -f $saved ] || return 0
        echo "$conf has no line for openmetrics any more, so there is none to give back"
        rm -f $saved
        gave=true
        return
    fi
    read_entry <"$work/now"
    if [ $kind != ours ] && [ "$(cat "$work/now")" != "$mark" ]; then
        [ -f $saved ] || return 0
        echo "$conf: the line of openmetrics is not pmbridge's any more, and stays"
        rm -f $saved
        gave=true
        return
    fi
    if [ ! -f $saved ]; then
        echo "the line that was there before is not known: takes the one that PCP's Install writes"
        printf '%s\n' "openmetrics	${domain:-144}	pipe	binary notready		${PCP_PYTHON_PROG:-python3} $PCP_PMDAS_DIR/openmetrics/pmdaopenmetrics.python" >$saved
    fi
    if [ $kind = ours ]; then
        take_out "pmdapmbridge -d $domain|pmbridge pmda"
    else
        # An earlier run was interrupted.
        read_entry <$saved
        options=
    fi
    ids_to_stock
    log=$PCP_LOG_DIR/pmcd/openmetrics.log
    [ ! -f "$log" ] || mv -f "$log" "$log.prev"
    put_in $saved || echo "Warning: PCP's PMDA does not answer pmcd yet; see $log"
    rm -f $saved
    gave=true
    echo "PCP's openmetrics PMDA is back in its place"
}

# What was numbered meanwhile keeps its number. The ids then are the stock PMDA's, and the next Install takes them anew.
ids_to_stock() {
    binary=$(readlink -f pmdapmbridge)
    tables=$PCP_VAR_DIR/config/pmda
    if ! "$binary" help ids >/dev/null 2>&1; then
        echo "this pmbridge keeps no ids: PCP's PMDA goes on with its own"
        return
    fi
    ids=$(printf '%s\n' " $options" | sed -n 's/.* --ids[ =]\([^ ]*\).*/\1/p')
    ids=${ids:-$tables/$domain.pmbridge}
    [ -f "$ids" ] || return 0
    "$binary" ids -d "$domain" --ids "$ids" --to-stock "$tables"
    # 1 is that some have no place there, which was said.
    if [ $? -gt 1 ]; then
        echo "Warning: what is new since Install may get other ids now; the old ones stay in $ids"
        return
    fi
    mv -f "$ids" "$ids.prev"
    # The stock PMDA is root in PCP 6 and PCP's user in PCP 7; both may write these.
    chown "$PCP_USER:$PCP_GROUP" "$tables/$domain".*.py 2>/dev/null || :
}
