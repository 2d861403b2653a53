#!/usr/bin/env bash
# Seeds one bug after the other into a copy of the sources and expects the test that its patch names to fail. With
# arguments, only the bugs whose numbers they are. See src/manual/seeded_bugs.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
seeds=$PWD/tests/seeded
copy=$PWD/target/seeded/sources
# One build directory for all bugs, and not the project's own: cargo might take a bug that was built there for the clean
# sources.
export CARGO_TARGET_DIR=$PWD/target/seeded/build CARGO_TERM_COLOR=never RUST_BACKTRACE=0

test_of() {
    sed -n 's/^Test: //p' "$1"
}

if [ $# -gt 0 ]; then
    patches=()
    for number in "$@"; do
        patches+=("$seeds/$number"-*.patch)
    done
else
    patches=("$seeds"/*.patch)
fi

# Every file is newer than whatever was built of an earlier copy, so that no bug of an earlier run is still in there.
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- | tar -x -m -C "$copy"
cd "$copy"

# Without a bug all of them pass, or their failures below would prove nothing.
mapfile -t tests < <(for patch in "${patches[@]}"; do test_of "$patch"; done | sort -u)
cargo test --quiet --locked --lib -- --exact "${tests[@]}" | tee clean.log
grep -q "test result: ok. ${#tests[@]} passed" clean.log || { echo "some of the named tests do not exist"; exit 1; }

missed=()
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    grep -q "\`$name\`" "$seeds/../../src/manual/seeded_bugs.md" || missed+=("$name: not in the manual")
    if ! patch --quiet --strip=1 --fuzz=0 --reject-file=- <"$patch"; then
        missed+=("$name: the patch no longer applies")
        continue
    fi
    if ! cargo test --quiet --locked --lib --no-run 2>build.log; then
        missed+=("$name: it does not compile")
        tail -n 20 build.log
    elif cargo test --quiet --locked --lib -- --exact "$(test_of "$patch")" >run.log 2>&1; then
        missed+=("$name: $(test_of "$patch") passes")
    else
        grep -q 'test result: FAILED' run.log || missed+=("$name: the test did not run to its end")
        echo "$name: caught"
    fi
    patch --quiet --strip=1 --reverse <"$patch"
done

echo "${#patches[@]} bugs, ${#missed[@]} not caught"
[ ${#missed[@]} -eq 0 ] || { printf '%s\n' "${missed[@]}"; exit 1; }
