#!/bin/sh
# A lease from a shell script: lease.sh SOCKET CREDSPEC.json USER DOMAIN, the password on standard input.
set -eu
socket=$1 credspec=$2 user=$3 domain=$4
credentials_fetcher=${CREDENTIALS_FETCHER:-credentials-fetcher}
password=$(cat)
ask() { printf %s "$password" | $credentials_fetcher "$@"; }

lease=$(ask add --socket "$socket" --username "$user" --domain "$domain" --password-file - "$credspec")
id=$(printf '%s\n' "$lease" | head -n 1)
printf '%s\n' "$lease" | tail -n +2 | while read -r directory; do
  echo "ticket: KRB5CCNAME=$directory/krb5cc"
done
echo "renewed: $(ask renew --socket "$socket" --username "$user" --domain "$domain" --password-file - | wc -l)"
echo "deleted: $(ask delete --socket "$socket" "$id" | wc -l)"
