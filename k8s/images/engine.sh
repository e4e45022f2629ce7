# Which program makes images here, and how it is called. Sourced, not run.

fail() {
    echo "$*" >&2
    exit 1
}

choose_engine() {
    if docker info > /dev/null 2>&1; then
        ENGINE=docker
    elif podman info > /dev/null 2>&1; then
        ENGINE=podman
    elif command -v buildah > /dev/null; then
        ENGINE=buildah
    else
        fail "There is nothing to make images with: docker, podman or buildah. On Debian: apt-get install buildah."
    fi
}

# make_image <directory> <Containerfile> <target> <reference>: from nothing but what is in the directory, so no registry is asked.
make_image() {
    local directory=$1 file=$2 target=$3 reference=$4
    local words=(--quiet --file "$file" --target "$target" --tag "$reference" "$directory")
    case $ENGINE in
        docker) docker build "${words[@]}" ;;
        podman) podman build "${words[@]}" ;;
        buildah) buildah bud --isolation chroot "${words[@]}" ;;
    esac > /dev/null
}

# save_image <reference> <archive>: for `kind load image-archive`, `minikube image load` and `ctr images import`.
save_image() {
    local reference=$1 archive=$2
    rm -f "$archive"
    case $ENGINE in
        docker | podman) "$ENGINE" save --output "$archive" "$reference" ;;
        buildah) buildah push --quiet "$reference" "docker-archive:$archive:$reference" ;;
    esac
}
