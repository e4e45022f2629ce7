#!/usr/bin/env python3
"""hold.py FILE OVERLAY: what must hold of the objects in FILE and is in no schema. Says what does not, and fails.

Each container is bound as the restricted Pod Security asks, and says how much memory it may have; what a pod names is there; every
selector finds a pod; a budget and a spread speak of pods that exist.
"""

import sys
from pathlib import Path

import yaml

FILE, OVERLAY = sys.argv[1:]
OPTIONAL = {"peal-ca"}  # an operator's own


def pods(objects):
    """The pods that the objects make, with what is said of each."""
    for one in objects:
        if one["kind"] in ("StatefulSet", "Deployment", "Job"):
            yield one, one["spec"]["template"]["metadata"]["labels"], one["spec"]["template"]["spec"]
        elif one["kind"] == "Pod":
            yield one, one["metadata"]["labels"], one["spec"]


def unbound(container, pod):
    """What the restricted Pod Security would find."""
    own = container.get("securityContext", {})
    both = {**pod.get("securityContext", {}), **own}
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    if own.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "has capabilities"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if both.get("runAsNonRoot") is not True:
        yield "may be root"
    if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if "memory" not in container.get("resources", {}).get("requests", {}):
        yield "does not say how much memory it needs"


def named(pod):
    """The ConfigMaps and Secrets that a pod names."""
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
    for container in pod.get("initContainers", []) + pod["containers"]:
        for source in container.get("envFrom", []):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if key in source:
                    yield kind, source[key]["name"]


def finds(selector, labels):
    """Whether a selector finds a pod with these labels."""
    # Kubernetes adds the name of a pod of a StatefulSet by itself.
    own = {key: value for key, value in selector.items() if key != "statefulset.kubernetes.io/pod-name"}
    return own.items() <= labels.items()


def faults(objects):
    """Everything that does not hold."""
    known = {(one["kind"], one["metadata"]["name"]) for one in objects}
    labels = [found for _, found, _ in pods(objects)]
    for one, _, pod in pods(objects):
        name = f"{one['kind']} {one['metadata']['name']}"
        for container in pod.get("initContainers", []) + pod["containers"]:
            yield from (f"{name}: {container['name']} {what}" for what in unbound(container, pod))
        for kind, wanted in named(pod):
            if (kind, wanted) not in known and wanted not in OPTIONAL:
                yield f"{name}: there is no {kind} {wanted}"
        account = pod.get("serviceAccountName")
        if account and ("ServiceAccount", account) not in known:
            yield f"{name}: there is no ServiceAccount {account}"
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        selector = one.get("spec", {}).get("selector", {})
        if one["kind"] in ("PodDisruptionBudget", "StatefulSet", "Deployment"):
            selector = selector.get("matchLabels", {})
        if one["kind"] in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment") and selector:
            if not any(finds(selector, found) for found in labels):
                yield f"{name}: finds no pod"
        if one["kind"] == "Ingress":
            for rule in one["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]["name"]
                    if ("Service", service) not in known:
                        yield f"{name}: there is no Service {service}"


def main():
    objects = [one for one in yaml.safe_load_all(Path(FILE).read_text()) if one]
    found = list(faults(objects))
    for fault in found:
        print(f"{OVERLAY}: {fault}", file=sys.stderr)
    sys.exit(bool(found))


main()
