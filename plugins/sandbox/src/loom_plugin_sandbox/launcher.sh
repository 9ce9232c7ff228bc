# Run as a program of its own, before a confined one: what has to be done from the inside.
#
# sh launcher.sh CGROUP PROCESSES FILTER PROGRAM ARGUMENT...
#
# It joins a group of at most PROCESSES processes below CGROUP, if that is not empty; opens the
# file FILTER, if there is one, and tells PROGRAM its descriptor by `--seccomp N`, before all other
# arguments; and becomes PROGRAM. It is on the way of every program: an interpreter that does more
# takes ten times as long to start.

# A whole process is moved under a lock of all forks, for which the system may have to wait 20 ms.
# A thread that moves itself needs none, and this shell has one; but only the first version of
# control groups lets threads go on their own (see cgroup-v2's `favordynmods`).
join() {
    command -p rmdir "$1"/loom-*  # those whose processes ended; the others refuse
    for attempt in 1 2 3 4 5 6 7 8 9; do
        group=$1/loom-$$-$attempt
        command -p mkdir -m 700 "$group" || continue
        members=$group/tasks
        [ -e "$members" ] || members=$group/cgroup.procs
        # Another launcher may have found the group empty, and removed it.
        echo "$2" > "$group/pids.max" && echo 0 > "$members" && return
    done
    return 1
}

fail() {
    echo "$1" >&2
    exit 1
}

cgroup=$1 processes=$2 filter=$3 program=$4
shift 4
if [ -n "$cgroup" ]; then
    join "$cgroup" "$processes" 2> /dev/null || fail "the number of processes cannot be limited"
fi
if [ -n "$filter" ]; then
    free=3  # below it may be what whoever started us hands to PROGRAM
    while [ -e "/proc/self/fd/$free" ]; do free=$((free + 1)); done
    [ "$free" -le 9 ] || fail "the filter of system calls has no descriptor left"
    eval "exec $free< \"\$filter\""
    set -- --seccomp "$free" "$@"
fi
exec "$program" "$@"
