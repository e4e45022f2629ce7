#!/usr/bin/env bash
# Makes the images of node, publisher and `peal`, as archives in target/images too, and what each is made of (CycloneDX).
#   TAG=…  the tag of the images      FEATURES=…  without kafka-tls, OpenSSL is not needed, and Kafka is reached in the clear
set -euo pipefail
cd "$(dirname "$0")/../.."
source k8s/images/engine.sh

TAG=${TAG:-$(awk -F '"' '/^version/ { print $2; exit }' Cargo.toml)}
FEATURES=${FEATURES:-peal-node/kafka-tls,peal-publisher/kafka-tls,peal-cluster/kafka-tls}
TARGET_DIR=${CARGO_TARGET_DIR:-target}
OUT=$TARGET_DIR/images
CERTIFICATES=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
IMAGE_BYTES_MAX=$((40 * 1024 * 1024))

choose_engine
[ -f "$CERTIFICATES" ] || fail "$CERTIFICATES is missing: the authorities that images trust. On Debian: apt-get install ca-certificates."
if [[ $FEATURES == *kafka-tls* ]]; then
    pkg-config --exists openssl 2> /dev/null || fail "The headers of OpenSSL are missing: TLS for Kafka is linked in. On Debian:" \
        "apt-get install libssl-dev pkg-config; or FEATURES=peal-node/bin,peal-publisher/bin,peal-cluster/services without it."
fi

# With glibc in it a program needs nothing of its image; a target that is named keeps that from build scripts and macros.
host=$(rustc --print host-tuple)
rustflags=CARGO_TARGET_$(tr a-z- A-Z_ <<< "$host")_RUSTFLAGS
env "$rustflags=-C target-feature=+crt-static" OPENSSL_STATIC=1 cargo build --release --target "$host" \
    --package peal-node --package peal-publisher --package peal-cluster --bins --features "$FEATURES"

rm -rf "$OUT"
mkdir -p "$OUT/files"
cp "$CERTIFICATES" "$OUT/files/ca-certificates.crt"
for name in peal-node peal-publisher peal; do
    # What names the lines of a backtrace is half of a program; the names of functions stay.
    strip --strip-debug -o "$OUT/files/$name" "$TARGET_DIR/$host/release/$name"
done
for name in peal-node peal-publisher peal; do
    make_image "$OUT/files" k8s/images/Containerfile "$name" "localhost/$name:$TAG"
    save_image "localhost/$name:$TAG" "$OUT/$name.tar"
    bytes=$(stat --format %s "$OUT/$name.tar")
    [ "$bytes" -lt "$IMAGE_BYTES_MAX" ] || fail "localhost/$name:$TAG has $bytes bytes, more than $IMAGE_BYTES_MAX"
    package=$name
    [ "$name" = peal ] && package=peal-cluster
    python3 k8s/images/sbom.py "$package" "$FEATURES" "$host" > "$OUT/$name.cdx.json"
    echo "localhost/$name:$TAG  $((bytes / 1024 / 1024)) MiB  $OUT/$name.tar  $OUT/$name.cdx.json"
done
