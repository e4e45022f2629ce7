#!/usr/bin/env bash
# Makes all images of the test as archives in target/images: Peal's own, twice, as one version and the next; Kafka, Redis, the witness.
set -euo pipefail
cd "$(dirname "$0")/../.."
source services/settings.sh
source k8s/images/engine.sh

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
OUT=$TARGET_DIR/images
TREES=$TARGET_DIR/images-test
# What Kafka and Log4j load; java.desktop for the java.beans in it.
MODULES=java.base,java.desktop,java.logging,java.management,java.naming,java.rmi,java.security.jgss,java.security.sasl,java.sql
MODULES=$MODULES,java.xml,jdk.management,jdk.unsupported

command -v jlink > /dev/null || fail "jlink is missing; a Java runtime is made with it. On Debian: apt-get install openjdk-17-jdk-headless."
command -v mvn > /dev/null || fail "Maven is missing. On Debian: apt-get install maven."
command -v redis-server > /dev/null || fail "redis-server is missing. On Debian: apt-get install redis-server."

# with_libraries <tree> <file…>: copies what they are linked to to where they look for it.
with_libraries() {
    local tree=$1 library
    shift
    ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $2 ~ /^\(/ { print $1 }' | sort -u | while read -r library; do
        [[ $library == "$tree"* ]] || install -D "$(realpath "$library")" "$tree$library"
    done
}

TAG=test k8s/images/build.sh
choose_engine
for name in peal-node peal-publisher peal; do
    # The next version: the same program, known by another name.
    make_image "$OUT/files" k8s/images/Containerfile "$name" "localhost/$name:next"
    save_image "localhost/$name:next" "$OUT/$name-next.tar"
done

rm -rf "$TREES"
mkdir -p "$TREES/kafka/opt/kafka"
java=$TREES/kafka/opt/java
jlink --add-modules "$MODULES" --strip-debug --no-header-files --no-man-pages --output "$java"
with_libraries "$TREES/kafka" "$java/bin/java" "$java"/lib/server/libjvm.so "$java"/lib/lib{java,net,nio,zip}.so
fetch_jars services/pom.xml "$TARGET_DIR/images-jars"
cp -r "$TARGET_DIR/images-jars" "$TREES/kafka/opt/kafka/libs"

install -D "$(command -v redis-server)" "$TREES/redis/usr/bin/redis-server"
with_libraries "$TREES/redis" "$(command -v redis-server)"

# The packages and features of all other tests, so that nothing is compiled again.
cargo build --workspace --features peal-store/embedded,peal-store/conformance \
    --features peal-node/bin,peal-publisher/bin,peal-cluster/services --example witness
mkdir -p "$TREES/witness"
strip -o "$TREES/witness/witness" "$TARGET_DIR/debug/examples/witness"
with_libraries "$TREES/witness" "$TARGET_DIR/debug/examples/witness"

for name in kafka redis witness; do
    make_image "$TREES" k8s/test/Containerfile "$name" "localhost/$name:test"
    save_image "localhost/$name:test" "$OUT/$name.tar"
    echo "localhost/$name:test  $(($(stat --format %s "$OUT/$name.tar") / 1024 / 1024)) MiB  $OUT/$name.tar"
done
