#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh [BUILD]: start a daemon of its own, show what it does with real files, and check what it says.
# BUILD is a build directory (default: $FUTURED_BUILD, else build/release of the tree). Needs no privileges and
# leaves nothing behind. Exit status 0: all was as it should be.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../..
build=$(readlink -f -- "${1:-${FUTURED_BUILD:-$root/build/release}}")
files_wanted=300
checked_wanted=10
daemon=

bin=$build/bin
hash_files=$build/client/examples/hash-files
for program in "$bin/futured" "$bin/futured-worker" "$bin/futurectl" "$hash_files"; do
    [ -x "$program" ] || {
        echo "demo: there is no $program; build it first (./dev build release)" >&2
        exit 1
    }
done

dir=$(mktemp -d -t futured-demo-XXXXXX)

cleanup()
{
    local status=$?

    if [ -n "$daemon" ]; then
        kill -KILL "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "demo: the daemon's log:" >&2
        tail -n 30 -- "$dir/log" >&2
    fi
    rm -rf -- "$dir"
}
trap cleanup EXIT

title()
{
    if [ -t 1 ]; then
        printf '\n\033[1m%s\033[0m\n' "$1"
    else
        printf '\n== %s\n' "$1"
    fi
}

die()
{
    echo "demo: $*" >&2
    exit 1
}

# The command $2... must end with exit status $1.
expect_status()
{
    local expected=$1 status=0

    shift
    "$@" || status=$?
    [ "$status" -eq "$expected" ] || die "exit status $status instead of $expected: $*"
}

title "A daemon with a pool of workers, the shipped functions, and two commands"
cat >"$dir/futured.conf" <<END
[futured]
listen = unix:$dir/futured.sock
store = none

[function.word-count]
command = wc -w
doc = How many words the argument has.

[function.crash]
command = kill -SEGV \$\$
shell = yes
doc = Dies of a segmentation fault.
END
cat -- "$dir/futured.conf"
export FUTURED_ADDRESS=unix:$dir/futured.sock
futurectl=$bin/futurectl

"$bin/futured" --config "$dir/futured.conf" --state-directory "$dir/state" 2>"$dir/log" &
daemon=$!
echo
"$futurectl" ping --wait 20s
"$futurectl" functions

title "One task: the result, and nothing else, on standard output"
digest=$("$futurectl" run sha256 - <"$BASH")
echo "$digest"
[ "$digest" = "$(sha256sum <"$BASH" | cut -d' ' -f1)" ] || die "sha256sum says otherwise"
[ "$("$futurectl" run word-count 'eight words are quite enough to count here' | tr -d ' \n')" = 8 ] ||
    die "word-count cannot count"

title "Hundreds of files at a time: each result says which task it belongs to"
mapfile -t files < <(find -L /usr/share -xdev -type f -readable -size +0 -size -1024k 2>/dev/null |
    LC_ALL=C grep -x '[ -~]*' | LC_ALL=C sort | awk -v n="$files_wanted" '{ line[NR] = $0 }
        END { step = NR > n ? NR / n : 1; for (i = 1; i <= NR && k < n; i += step) { print line[int(i)]; k++ } }')
[ ${#files[@]} -gt 0 ] || die "no files under /usr/share"
began=$(date +%s%N)
"$hash_files" "${files[@]}" >"$dir/results"
took=$((($(date +%s%N) - began) / 1000000))
cat -- "$dir/results"
[ "$(wc -l <"$dir/results")" -eq ${#files[@]} ] || die "$(wc -l <"$dir/results") results of ${#files[@]} files"
[ "$(cut -d' ' -f1 <"$dir/results" | sort -u | wc -l)" -eq ${#files[@]} ] || die "an ID came twice"

title "A few of them, compared with sha256sum"
checked=0
step=$((${#files[@]} / checked_wanted + 1))
for ((i = 0; i < ${#files[@]}; i += step)); do
    file=${files[i]}
    line=$(grep -F -- " sha256($file) = " "$dir/results") || die "no result for $file"
    [ "${line##* = }" = "$(sha256sum <"$file" | cut -d' ' -f1)" ] || die "wrong digest of $file: $line"
    echo "ok $file"
    checked=$((checked + 1))
done

title "One of those futures, whole: it has not forgotten its task"
id=$(tail -n 1 -- "$dir/results" | cut -d' ' -f1)
"$futurectl" get "$id" | tee "$dir/future"
grep -q '^function *sha256$' "$dir/future" || die "the record has no function"
grep -qF "file=$(sed -n '$ s/.* sha256(\(.*\)) = .*/\1/p' "$dir/results")" "$dir/future" || die "the record has another file"

title "A task that fails and one that crashes, beside healthy ones"
ids=()
for n in 1 2 3; do
    ids+=("$("$futurectl" submit sha256 "healthy $n" --label "n=$n" --group mixed)")
done
failing=$("$futurectl" submit fail 'out of cheese' --group mixed)
crashing=$("$futurectl" submit crash --label why=demo --group mixed)
for n in 4 5 6; do
    ids+=("$("$futurectl" submit sha256 "healthy $n" --label "n=$n" --group mixed)")
done
expect_status 1 "$futurectl" wait "${ids[@]}" "$failing" "$crashing" --timeout 60s
for n in 1 2 3 4 5 6; do
    digest=$("$futurectl" result "${ids[n - 1]}")
    [ "$digest" = "$(printf 'healthy %s' "$n" | sha256sum | cut -d' ' -f1)" ] || die "wrong digest of healthy $n"
done
echo
"$futurectl" get "$crashing" | tee "$dir/crashed"
grep -q '^state *FAILED' "$dir/crashed" || die "the crash is not FAILED"
grep -q 'SIGSEGV' "$dir/crashed" || die "the record does not name the signal"
expect_status 1 "$futurectl" result "$failing"
expect_status 4 "$futurectl" get 00000000-0000-7000-8000-000000000000

title "The daemon after all that"
"$futurectl" ping
"$futurectl" functions
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
[ "$status" -eq 0 ] || die "the daemon ended with exit status $status"

title "Summary"
echo "${#files[@]} files hashed in $took ms, each result with its task; $checked digests compared with sha256sum;"
echo "1 task failed and 1 crashed as they should, beside 6 that did not notice; the daemon stopped in order."
