#!/bin/sh
# Exits with 0 when the body on stdin was signed with SECRET: ID, TIMESTAMP and SIGNATURE are its webhook-… headers.
# For a look by hand. It does not ask how old the request is, and `ps` can see the key while it runs.
set -eu
key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
expected=$({ printf '%s.%s.' "$ID" "$TIMESTAMP"; cat; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
case " $SIGNATURE " in
  *" v1,$expected "*) exit 0 ;;
  *) exit 1 ;;
esac
