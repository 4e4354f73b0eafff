#!/bin/sh
# Exits with 0 if the body on stdin is signed with SECRET. ID, TIMESTAMP and SIGNATURE are its webhook-… headers.
# For manual checks only: it does not check the timestamp, and the key is visible in `ps` while it runs.
set -eu
key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
expected=$({ printf '%s.%s.' "$ID" "$TIMESTAMP"; cat; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
case " $SIGNATURE " in
  *" v1,$expected "*) exit 0 ;;
  *) exit 1 ;;
esac
