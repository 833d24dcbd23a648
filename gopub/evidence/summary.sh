#!/bin/sh
# Check an admission with sh and openssl: summary.sh FILE KEY. Prints its lines when they are signed by KEY (PEM).
# What is signed is not these lines: it is the JSON statement that they stand for, put together here once more.
set -eu
LC_ALL=C
export LC_ALL
refuse() {
    printf 'refused: %s\n' "$1" >&2
    exit 1
}
digest() {
    case $2 in *[!0-9a-f]*) refuse "$1 is no digest" ;; esac
    [ ${#2} -eq 64 ] || refuse "$1 is no digest"
}
[ $# -eq 2 ] || refuse "usage: summary.sh FILE KEY"
# shellcheck disable=SC2094 # both read it
tr -d '\000' <"$1" | cmp -s - "$1" || refuse "it holds bytes that are no text" # which read would leave out
key=$2 said='' next='' serial=''
exec <"$1"
for name in app env target release archive binary policy serial verified expires level verifier; do
    line=$next next=''
    [ -n "$line" ] || IFS= read -r line || refuse "it ends before $name"
    case $name:$line in serial:) refuse "where $name is due there is something else" ;;
    serial:serial=*) ;;
    serial:*) # older versions stated none
        next=$line
        continue
        ;;
    esac
    value=${line#"$name="}
    [ "$name=$value" = "$line" ] || refuse "where $name is due there is something else"
    case $value in '' | *[!A-Za-z0-9._:/@+-]*) refuse "$name is not of the letters that are allowed" ;; esac
    eval "$name=\$value"
    said="$said$line
"
done
# shellcheck disable=SC2154 # set by the eval above, from the names of the loop
for name in release archive binary policy; do eval "digest $name \"\$$name\""; done
case $serial in '') ;;
0?* | *[!0-9]* | ?????????????????*) refuse "serial is no whole number of at most 16 digits" ;;
*)
    [ "$serial" -lt 2000000000000000 ] || refuse "serial is too large"
    serial=',"serial":'$serial
    ;;
esac
IFS= read -r line || refuse "it ends before the signature"
[ -z "$line" ] || refuse "no empty line before the signature"
IFS= read -r signature || refuse "it ends before the signature"
if IFS= read -r line || [ -n "$line" ]; then refuse "there is something after the signature"; fi
case $signature in '' | *[!A-Za-z0-9+/=]*) refuse "the signature is not Base64" ;; esac
# shellcheck disable=SC2154
statement='{"_type":"https://in-toto.io/Statement/v1","predicate":{"expires":"'$expires'","policy":{"digest":{"sha256":"'$policy\
'"}},"resourceUri":"gopub:'$app/$env/$target'"'$serial',"timeVerified":"'$verified'","verificationResult":"PASSED","verifiedLevels":["'$level\
'"],"verifier":{"id":"'$verifier'"}},"predicateType":"https://slsa.dev/verification_summary/v1","subject":['\
'{"digest":{"sha256":"'$release'"},"name":"release.json"},{"digest":{"sha256":"'$archive'"},"name":"archive"},'\
'{"digest":{"sha256":"'$binary'"},"name":"binary"}]}'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'DSSEv1 28 application/vnd.in-toto+json %d %s' ${#statement} "$statement" >"$work/signed"
printf '%s' "$signature" | openssl base64 -d -A >"$work/signature"
openssl dgst -sha256 -verify "$key" -signature "$work/signature" "$work/signed" >"$work/said" 2>&1 ||
    refuse "the signature is not one of this key over this"
printf '%s' "$said"
