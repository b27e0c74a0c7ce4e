# What the benchmark scripts share: a cluster of three masters, or MASTERS, on free loopback ports with its data on disk. Sourced by bash.
# shellcheck shell=bash disable=SC2034
#
# work     directory of this run, removed at the end with all that runs
# config   client configuration of the cluster
# settings lines for master.yaml of each master that is made from here on
# ports    of the masters, pids of their processes, by index from 0 on

BUILD=${BUILD:-build}
MASTERS=3
settings=
pids=()
ports=()
others=() # processes besides the masters

die() {
    echo "bench: $*" >&2
    exit 1
}
note() { echo "# $*" >&2; }

# make_work: a directory on a disk (a flush to tmpfs would cost nothing), removed by cleanup, which also ends what was started.
make_work() {
    local base=${BENCH_DIR:-/var/tmp}
    case $(stat -f -c %T "$base") in
    tmpfs | ramfs) die "$base is in memory; set BENCH_DIR to a directory on a disk" ;;
    esac
    work=$(mktemp -d "$base/reeve-bench.XXXXXX") || die "no directory in $base"
    config=$work/config
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
}

cleanup() {
    trap - EXIT
    end_all
    [ ! -d "$work/up" ] || "$BUILD/rctl" down --dir "$work/up" >/dev/null 2>&1
    rm -rf "$work"
}

# end_all: the processes started here, by their ids.
end_all() {
    local pid
    for pid in "${others[@]}" "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done
    for pid in "${others[@]}" "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    done
    others=()
    pids=()
}

# Of the parts in PARTS.
wants() { [[ " $PARTS " == *" $1 "* ]]; }
wants_any() { local p; for p; do wants "$p" && return; done; return 1; }

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports N: prints N ports in a row that nobody listens on.
free_ports() {
    local try port i
    for try in {1..50}; do
        port=$((20000 + RANDOM % 10000))
        for ((i = 0; i < $1; i++)); do
            port_is_free $((port + i)) || continue 2
        done
        seq $port $((port + $1 - 1))
        return
    done
    die "no $1 free ports in a row"
}

# wait_for SECONDS WHAT COMMAND...: until it succeeds.
wait_for() {
    local limit=$1 what=$2 end=$((SECONDS + $1 + 1))
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || die "$what: not within $limit s; logs: $(tail -qn 2 "$work"/*.log 2>/dev/null)"
        sleep 0.05
    done
}

rctl() { "$BUILD/rctl" --config "$config" "$@"; }
voters() { rctl cluster status 2>/dev/null | grep -cE '(leader|voter) +up'; }
voters_are() { [ "$(voters)" = "$1" ]; }

# A master ends with this shell, also when that is killed.
start_master() { # index
    setpriv --pdeathsig KILL "$BUILD/reeve-master" run --dir "$work/m$1" >>"$work/m$1.log" 2>&1 &
    pids[$1]=$!
    disown "$!"
}

set_up() { [ -z "$settings" ] || printf '%s\n' "$settings" >>"$work/m$1/master.yaml"; } # index

# init_master [OPTION...]: the first of a cluster, not started; with options of init. The CA's key, which no master has on its disk once it has run,
# is kept in $work/ca.
init_master() {
    mapfile -t ports < <(free_ports "$MASTERS")
    [ ${#ports[@]} = "$MASTERS" ] || exit 1
    "$BUILD/reeve-master" init --dir "$work/m0" --listen "127.0.0.1:${ports[0]}" "$@" >"$work/m0.log" 2>&1 || die "init: $(cat "$work/m0.log")"
    set_up 0
    mkdir -p -m 700 "$work/ca"
    cp "$work/m0/ca.crt" "$work/m0/ca.key" "$work/ca/"
}

start_masters() { # [OPTION...] of init
    local i token others_too
    init_master "$@"
    others_too=$(printf '\\n\\1- "127.0.0.1:%s"' "${ports[@]:1}")
    sed "s/^\( *\)- \"127.0.0.1:${ports[0]}\"/&$others_too/" "$work/m0/admin.config" >"$config"
    start_master 0
    wait_for 10 "the first master" voters_are 1
    for ((i = 1; i < MASTERS; i++)); do
        token=$(rctl token create --role master 2>/dev/null | head -n 1) || die "no token"
        "$BUILD/reeve-master" join --dir "$work/m$i" --listen "127.0.0.1:${ports[$i]}" --token "$token" \
            "127.0.0.1:${ports[0]}" >"$work/m$i.log" 2>&1 || die "join: $(cat "$work/m$i.log")"
        set_up $i
        start_master $i
        wait_for 20 "master $((i + 1)) as voter" voters_are $((i + 1))
    done
}

# start_hollow N: N nodes in one process whose containers are only pretended.
start_hollow() {
    local token
    token=$(rctl token create --role node --uses "$1" 2>/dev/null | head -n 1) || die "no token"
    "$BUILD/reeve-agent" join --dir "$work/hollow" --name hollow --token "$token" --hollow-nodes "$1" \
        "127.0.0.1:${ports[0]}" >"$work/hollow.log" 2>&1 || die "hollow nodes: $(cat "$work/hollow.log")"
    "$BUILD/reeve-agent" run --dir "$work/hollow" --runtime hollow --hollow-nodes "$1" >>"$work/hollow.log" 2>&1 &
    others+=($!)
    disown "$!"
    wait_for 20 "$1 nodes" nodes_are "$1"
}
nodes_are() { [ "$(rctl get nodes 2>/dev/null | grep -cw Ready)" = "$1" ]; }

# find_leader: sets leader_at, the index of the master that leads. 1 if there is none now.
find_leader() {
    local port
    port=$(rctl cluster status 2>/dev/null | awk '$3 == "leader" && $4 == "up" {sub(".*:", "", $2); print $2}')
    for ((leader_at = 0; leader_at < MASTERS; leader_at++)); do
        [ "${ports[$leader_at]}" != "$port" ] || return 0
    done
    return 1
}

# cluster_load WHAT N: one figure or more of bench_cluster, SECONDS_EACH long.
SECONDS_EACH=${SECONDS_EACH:-5}
cluster_load() {
    timeout 900 "$BUILD/tests/bench/bench_cluster" --config "$config" --seconds "$SECONDS_EACH" "$@" ||
        die "bench_cluster $* failed; what the masters said last: $(tail -n 3 "$work"/m?.log)"
}

line() { printf 'bench %s %s %s\n' "$1" "$2" "$3"; }
# median: of the numbers on stdin.
median() { sort -g | awk '{v[NR] = $1} END {if (NR == 0) exit 1; print v[int((NR + 1) / 2)]}'; }

machine_note() {
    note "$(nproc) cores, $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), load $(cut -d' ' -f1-3 /proc/loadavg), data in $work"
}
