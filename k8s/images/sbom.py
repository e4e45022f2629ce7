#!/usr/bin/env python3
"""sbom.py PACKAGE FEATURES TARGET: what a program of the workspace is made of, as CycloneDX 1.5 on stdout.

Everything that `cargo metadata` says is linked in or used to build it on that target, at the versions and checksums of
Cargo.lock; what only tests use is left out. And what of the system is linked in: glibc, and OpenSSL where it is asked for.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

PACKAGE, FEATURES, TARGET = sys.argv[1:]


def metadata():
    """Of the workspace with these features."""
    words = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET, "--features", FEATURES]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def is_built(dependency):
    """Whether it is more than a dependency of tests."""
    return any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])


def reached(nodes, root):
    """All packages that are built for `root`, and what each is built on."""
    on, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package not in on:
            on[package] = sorted(found["pkg"] for found in nodes[package]["deps"] if is_built(found))
            waiting += on[package]
    return on


def purl(package):
    """The package's name all over the world."""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    """One package."""
    kind = "application" if package["name"] == PACKAGE else "library"
    described = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"]}
    if package.get("license"):
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["source"]:
        described["purl"] = purl(package)
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return described


def of_the_system(names):
    """Libraries that no Cargo.lock knows of."""
    linked = {"glibc": os.confstr("CS_GNU_LIBC_VERSION").split()[1]}
    if "openssl-sys" in names:
        asked = subprocess.run(["pkg-config", "--modversion", "openssl"], check=True, stdout=subprocess.PIPE, text=True)
        linked["openssl"] = asked.stdout.strip()
    for name, version in linked.items():
        ref = f"pkg:generic/{name}@{version}"
        yield {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}


def main():
    found = metadata()
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    root = next(package for package in packages.values() if package["name"] == PACKAGE and not package["source"])
    on = reached(nodes, root["id"])
    lock = tomllib.loads(Path(found["workspace_root"], "Cargo.lock").read_text())
    checksums = {(locked["name"], locked["version"]): locked.get("checksum") for locked in lock["package"]}
    others = sorted((packages[package] for package in on if package != root["id"]), key=purl)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, checksums)},
        "components": [component(package, checksums) for package in others]
        + list(of_the_system({package["name"] for package in others})),
        "dependencies": [
            {"ref": purl(packages[package]), "dependsOn": [purl(packages[other]) for other in on[package]]}
            for package in sorted(on, key=lambda package: purl(packages[package]))
        ],
    }
    json.dump(bom, sys.stdout, indent=1)
    print()


main()
