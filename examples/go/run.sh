#!/bin/sh
# Generates the stubs, builds lease.go with Debian's Go packages and runs it; all in a temporary directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/credentialsfetcher"
protoc -I "$here/../../proto" --go_out="plugins=grpc,Mcredentialsfetcher.proto=credentialsfetcher:$work/src" credentialsfetcher.proto
find "$work/src" -name '*.pb.go' -not -path '*/credentialsfetcher/*' -exec mv {} "$work/src/credentialsfetcher/" \;
GO111MODULE=off GOPATH="$work:/usr/share/gocode" GOFLAGS= GOCACHE="${GOCACHE:-$work/cache}" go build -o "$work/lease" "$here/lease.go"
"$work/lease" "$@"
