#!/bin/sh
# Makes an authority and two certificates of its own into a folder; for trying things out, not for the world.
set -eu
folder=${1:-certificates}
mkdir -p "$folder"
cd "$folder"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null; }
new -x509 -days 30 -keyout ca.key -out ca.pem -subj "/CN=Example authority"
for name in localhost api.test; do
  new -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
  printf 'subjectAltName=DNS:%s,IP:127.0.0.1\n' "$name" > "$name.ext"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$name.ext" -out "$name.pem" 2>/dev/null
  rm "$name.csr" "$name.ext"
done
