#!/usr/bin/env python3
"""The manifests of envoy/kubernetes and envoy/istio, rendered by the real kustomize, against Kubernetes' schemas; and what must be so in them.

Run by tests/kubernetes.sh with the path of kubectl, in an environment that has kubernetes-validate. Kinds that are not Kubernetes' own
(Istio's) are held to their schemas by tests/e2e/tests/istio_manifests.rs.
"""

import copy
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = ROOT / "envoy" / "kubernetes"
# The newest that there are schemas for, and the oldest that a cloud still supports for long.
VERSIONS = ("1.37", "1.32")
OWN_GROUPS = ("apps/", "batch/", "policy/", "networking.k8s.io/")


def documents(text: str) -> list[dict]:
    """The YAML documents of a text."""
    return [document for document in yaml.safe_load_all(text) if document]


def render(kubectl: str, folder: Path) -> list[dict]:
    """What `kubectl apply -k` would apply."""
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder} cannot be rendered: {done.stderr}"
    return documents(done.stdout)


def mistakes(manifest: dict) -> list[str]:
    """What the schemas of each version say against it, unknown fields included."""
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version}: {manifest['kind']}: {error.message}")
    return found


def check_schemas(rendered: dict[str, list[dict]]) -> None:
    """Every manifest of Kubernetes' own kinds fits."""
    count = 0
    for place, manifests in rendered.items():
        for manifest in manifests:
            if manifest["apiVersion"] == "v1" or manifest["apiVersion"].startswith(OWN_GROUPS):
                count += 1
                found = mistakes(manifest)
                assert not found, f"{place}: {found}"
    assert count >= 9, f"where are the manifests? {count}"
    print(f"kubernetes: ok: {count} manifests fit the schemas of {' and '.join(VERSIONS)}")


def check_that_mistakes_are_found(manifests: list[dict]) -> None:
    """A slip, a wrong type and a missing field do not fit, or the check would be none."""
    deployment = of_kind(manifests, "Deployment")
    for change in (lambda one: one["spec"].update(replica=2), lambda one: one["spec"].update(replicas="two"), lambda one: one["spec"].pop("selector")):
        wrong = copy.deepcopy(deployment)
        change(wrong)
        assert len(mistakes(wrong)) == len(VERSIONS), f"nobody noticed: {wrong['spec'].keys()}"
    print("kubernetes: ok: mistakes do not fit")


def of_kind(manifests: list[dict], kind: str, name: str = "") -> dict:
    """The one manifest of this kind, and this name if one is given."""
    found = [one for one in manifests if one["kind"] == kind and (not name or one["metadata"]["name"] == name)]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def fits(selector: dict, labels: dict) -> bool:
    """Whether a label selector finds these labels."""
    simple = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions), expressions
    return all(labels.get(name) == value for name, value in simple.items()) and all(labels.get(one["key"]) in one["values"] for one in expressions)


def is_confined(pod: dict) -> bool:
    """Not root, nothing to write to, no capability, no credential of the cluster."""
    about, container = pod["securityContext"], pod["containers"][0]["securityContext"]
    return (
        about["runAsNonRoot"] and about["runAsUser"] > 0 and about["seccompProfile"]["type"] == "RuntimeDefault"
        and container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"] and container["capabilities"] == {"drop": ["ALL"]}
        and pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    )


def check_replicas(manifests: list[dict], single: list[dict], istio: list[dict]) -> None:
    """Several control planes: selectors meet, nobody makes a database but the job, no secret stands here, one image."""
    deployment, job = of_kind(manifests, "Deployment"), of_kind(manifests, "Job")
    pod, once = deployment["spec"]["template"]["spec"], job["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 2
    services = [of_kind(manifests, "Service", name) for name in ("flamegate-control", "flamegate-control-pods")]
    policy, budget = of_kind(manifests, "NetworkPolicy"), of_kind(manifests, "PodDisruptionBudget")
    selectors = [deployment["spec"]["selector"], budget["spec"]["selector"], policy["spec"]["podSelector"], *(one["spec"]["selector"] for one in services)]
    assert all(fits(selector, labels) for selector in selectors), "something does not find the pods"
    assert fits(policy["spec"]["podSelector"], job["spec"]["template"]["metadata"]["labels"]), "the job must reach the database, too"
    assert not fits(services[0]["spec"]["selector"], job["spec"]["template"]["metadata"]["labels"]), "the job's pod serves nobody"
    anti = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert all(fits(one["podAffinityTerm"]["labelSelector"], labels) for one in anti) and len(anti) == 2
    serve, migrate = pod["containers"][0], once["containers"][0]
    assert serve["args"] == ["serve"] and migrate["args"] == ["database", "migrate", "--grant-to", "flamegate"]
    assert serve["image"] == migrate["image"] == of_kind(single, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert is_confined(pod) and is_confined(once)
    from_secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in serve["env"] if "valueFrom" in one}
    assert from_secrets.keys() == {"FLAMEGATE_DATABASE", "FLAMEGATE_ADMIN_TOKEN", "FLAMEGATE_SYNC_TOKEN"}
    owner = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in migrate["env"]}
    assert owner["FLAMEGATE_DATABASE"] != from_secrets["FLAMEGATE_DATABASE"], "who serves must not be who owns the tables"
    port = serve["ports"][0]
    assert serve["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    assert serve["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert all(one["spec"]["ports"][0]["targetPort"] == port["containerPort"] for one in services)
    assert [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]] == [port["containerPort"]]
    # Where a mesh's manifests are applied beside them, the Service is the same one.
    assert services[0]["spec"] == of_kind(istio, "Service")["spec"]
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > int(serve["lifecycle"]["preStop"]["exec"]["command"][1]) + 10
    print("kubernetes: ok: the replicas' manifests fit together")


def check_tls(manifests: list[dict], plain: list[dict]) -> None:
    """With TLS: the files are where the variables say, probes speak it, and nothing else differs."""
    deployment = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    serve = pod["containers"][0]
    mount = next(one for one in serve["volumeMounts"] if one["name"] == "tls")
    files = {one["value"] for one in serve["env"] if one["name"] in ("FLAMEGATE_TLS_CERT", "FLAMEGATE_TLS_KEY")}
    assert files == {f"{mount['mountPath']}/tls.{end}" for end in ("crt", "key")}, files
    # The program refuses a key that everybody may read, and is in the group that has it.
    secret = next(one for one in pod["volumes"] if one["name"] == "tls")["secret"]
    assert secret["defaultMode"] == 0o440 and pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert all(serve[probe]["httpGet"]["scheme"] == "HTTPS" for probe in ("readinessProbe", "livenessProbe"))
    others = [one for one in manifests if one != deployment]
    assert others == [one for one in plain if one["kind"] != "Deployment"]
    print("kubernetes: ok: the replicas with TLS fit together")


def main(kubectl: str) -> None:
    """All checks."""
    rendered = {name: render(kubectl, MANIFESTS / name) for name in ("replicas", "replicas-tls")}
    rendered |= {name: render(kubectl, ROOT / "envoy" / "istio" / name) for name in ("control-plane", "gateway", "sidecar")}
    rendered["single"] = [one for file in sorted(MANIFESTS.glob("*.yaml")) for one in documents(file.read_text())]
    check_schemas(rendered)
    check_that_mistakes_are_found(rendered["replicas"])
    check_replicas(rendered["replicas"], rendered["single"], rendered["control-plane"])
    check_tls(rendered["replicas-tls"], rendered["replicas"])


if __name__ == "__main__":
    main(sys.argv[1])
