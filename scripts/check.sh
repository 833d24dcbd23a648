#!/usr/bin/env bash
# All static checks; every one runs, and the exit code is 1 if any complained.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

failed=()
check() {
  local name="$1"
  shift
  printf -- '--- %s\n' "$name"
  "$@" || failed+=("$name")
}

mapfile -t shell < <(git ls-files --cached --others --exclude-standard '*.sh' scripts/gopub .ci/run | sort)
mapfile -t lua < <(git ls-files --cached --others --exclude-standard '*.lua' | sort)

check "ruff check" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check "mypy" mypy
check "import-linter" lint-imports
check "shellcheck" shellcheck --external-sources "${shell[@]}"
check "luacheck" luacheck --quiet "${lua[@]}"

[[ ${#failed[@]} -eq 0 ]] || die "these checks failed: ${failed[*]}"
echo "all checks passed"
