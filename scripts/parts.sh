#!/usr/bin/env bash
# Runs the parts of `make test` beside each other, and what failed there once more, alone.
#
#   parts.sh run FOLDER PART COMMAND ...   one part: a call of pytest. FOLLOW=1 shows it as it goes, else its report
#                                          comes in one piece. Always well: `end` says what becomes of the whole.
#   parts.sh end FOLDER PART ...           once all have ended
#
# Real servers on a busy machine fail by chance. At most MOST tests in all are run again, one part after the other, on
# the machine that is quiet by then. What passes is told as UNSTEADY, loudly: a defect, but none that hides the rest.
# Whatever else went wrong (a crash, nothing collected, a run that was interrupted) fails at once.

set -euo pipefail

readonly MOST=5

# names FOLDER: the tests that failed, as pytest's own cache has them, one a line.
names() {
  local kept="$1/cache/v/cache/lastfailed"
  [[ -r "$kept" ]] || return 0
  sed -n 's/^ *"\(.*\)": true,\{0,1\}$/\1/p' "$kept"
}

count() { names "$1" | wc -l; }

# closing REPORT: pytest's last line, which counts what came of the tests.
closing() { grep -E '^(=+ )?[0-9]+ [a-z]+.* in [0-9.]+s' "$1" | tail -n 1; }

run_part() {
  local folder="$1/$2" code=0
  shift 2
  mkdir "$folder"
  printf '%s\0' "$@" >"$folder/command"
  if [[ -n "${FOLLOW:-}" ]]; then
    "$@" -o cache_dir="$folder/cache" 2>&1 | tee "$folder/report" || code="${PIPESTATUS[0]}"
  else
    "$@" -o cache_dir="$folder/cache" >"$folder/report" 2>&1 || code=$?
    printf '\n'
    cat "$folder/report"
  fi
  printf '%s' "$code" >"$folder/code"
}

# again FOLDER: run what failed once more; well only if each of these tests was there and passed.
again() {
  local folder="$1" wanted code=0 command=()
  wanted="$(count "$folder")"
  mapfile -d '' -t command <"$folder/command"
  "${command[@]}" -o cache_dir="$folder/cache" --last-failed --last-failed-no-failures=none >"$folder/again" 2>&1 ||
    code=$?
  [[ "$code" == 0 && "$(count "$folder")" == 0 && "$(closing "$folder/again")" =~ ^(=+\ )?$wanted\ passed ]]
}

end() {
  local folder="$1" part code total=0 broken=() second=() tests=() unsteady=() failed=() last=""
  shift
  for part in "$@"; do
    code="$(cat "$folder/$part/code" 2>/dev/null || echo none)"
    [[ "$code" == 0 ]] && continue
    if [[ "$code" == 1 && "$(count "$folder/$part")" -gt 0 ]]; then
      second+=("$part")
      total=$((total + $(count "$folder/$part")))
    else
      broken+=("$part: it ended with code $code, and not because tests failed")
    fi
  done
  if ((${#broken[@]})); then
    printf '\nFAILED: %s\n' "${broken[@]}"
    exit 1
  fi
  if ((total > MOST)); then
    printf '\nFAILED: %s tests; more than %s are not run again.\n' "$total" "$MOST"
    exit 1
  fi
  for part in "${second[@]}"; do
    printf '\nAgain, alone: what failed in the part %s.\n' "$part"
    mapfile -t tests < <(names "$folder/$part")
    if again "$folder/$part"; then unsteady+=("${tests[@]}"); else failed+=("$part"); fi
    last="$(closing "$folder/$part/again")"
    grep -vxF -- "$last" "$folder/$part/again" || true
    [[ "$part" == "${second[-1]}" ]] || printf '%s\n' "$last"
  done
  if ((${#unsteady[@]})); then
    printf '\n%s\n' "################################################################################"
    printf 'UNSTEADY: failed beside the others and passed alone:\n'
    printf '  %s\n' "${unsteady[@]}"
    printf 'Each is a defect to be mended, see CONTRIBUTING.md; how it failed is told above.\n'
    printf '%s\n' "################################################################################"
  fi
  if ((${#failed[@]})); then
    printf '\nFAILED: again, alone, in %s.\n' "${failed[*]}"
  fi
  [[ -z "$last" ]] || printf '%s\n' "$last"
  ((${#failed[@]} == 0))
}

what="${1:?run or end}"
shift
case "$what" in
  run) run_part "$@" ;;
  end) end "$@" ;;
  *) exit 2 ;;
esac
