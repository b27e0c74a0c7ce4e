"""What people do with Debian's python3-kubernetes, told line by line: "ok TEXT" or "FAIL TEXT: WHY".

usage: KUBECONFIG=FILE library.py NAMESPACE"""
import sys
import time
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

namespace = sys.argv[1]
config.load_kube_config()
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()


def check(text, wanted, got):
    print(f"ok {text}" if wanted == got else f"FAIL {text}: not {wanted!r}, but {got!r}", flush=True)


def refused(text, code, reason, what):
    try:
        what()
        print(f"FAIL {text}: it was done")
    except ApiException as e:
        check(text, (code, reason), (e.status, reason if f'"reason":"{reason}"' in e.body else e.body))


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"by": "python"}), data=data)


check("the version", "1", client.VersionApi().get_code().major)
check("groups", True, "apps" in [g.name for g in client.ApisApi().get_api_versions().groups])
check("nodes", 3, len(core.list_node().items))
made = core.create_namespaced_config_map(namespace, config_map("py-0", v="1"))
check("an object is made", ("py-0", "1"), (made.metadata.name, made.data["v"]))
refused("and not twice", 409, "AlreadyExists", lambda: core.create_namespaced_config_map(namespace, config_map("py-0")))
refused("what is not there", 404, "NotFound", lambda: core.read_namespaced_config_map("none", namespace))
refused("what is invalid", 422, "Invalid", lambda: core.create_namespaced_config_map(namespace, config_map("A_b")))
made.data["v"] = "2"
check("is replaced", "2", core.replace_namespaced_config_map("py-0", namespace, made).data["v"])
refused("and not by who has an old one", 409, "Conflict",
        lambda: core.replace_namespaced_config_map("py-0", namespace, made))
check("is patched", {"v": "2", "w": "3"}, core.patch_namespaced_config_map("py-0", namespace, {"data": {"w": "3"}}).data)
for i in range(1, 6):
    core.create_namespaced_config_map(namespace, config_map(f"py-{i}", v=str(i)))
names, token = [], None
while token is None or token:
    page = core.list_namespaced_config_map(namespace, label_selector="by=python", limit=2, _continue=token)
    names += [o.metadata.name for o in page.items]
    token = page.metadata._continue or ""
check("pages", [f"py-{i}" for i in range(6)], names)

# A watch behind a list, which ends by its timeout.
version = core.list_namespaced_config_map(namespace).metadata.resource_version
core.patch_namespaced_config_map("py-1", namespace, {"data": {"v": "changed"}})
core.delete_namespaced_config_map("py-2", namespace)
seen = [(e["type"], e["object"].metadata.name) for e in watch.Watch().stream(
    core.list_namespaced_config_map, namespace, label_selector="by=python", resource_version=version, timeout_seconds=10)]
check("a watch", [("MODIFIED", "py-1"), ("DELETED", "py-2")], seen)

# A Deployment out of a file's text, its scale, its pods and what they say.
utils.create_from_dict(client.ApiClient(), {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "py", "namespace": namespace},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "py"}}, "template": {
        "metadata": {"labels": {"app": "py"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main", "image": "busybox:1.35", "command": ["busybox", "sh", "-c", "echo said; exec busybox sleep 9999"]}]}}}})
check("a scale", 1, apps.read_namespaced_deployment_scale("py", namespace).spec.replicas)
apps.patch_namespaced_deployment_scale("py", namespace, {"spec": {"replicas": 2}})
ready = watch.Watch()
for event in ready.stream(apps.list_namespaced_deployment, namespace, timeout_seconds=180):
    if event["object"].metadata.name == "py" and (event["object"].status.ready_replicas or 0) == 2:
        ready.stop()
check("it is scaled", 2, apps.read_namespaced_deployment("py", namespace).status.ready_replicas)
pods = core.list_namespaced_pod(namespace, label_selector="app=py", field_selector="status.phase=Running").items
check("its pods run", 2, len(pods))
said, end = "", time.monotonic() + 180
while not said and time.monotonic() < end:  # it runs before it has said something
    said = core.read_namespaced_pod_log(pods[0].metadata.name, namespace)
check("what one said", "said\n", said)
dry = core.create_namespaced_config_map(namespace, config_map("py-dry"), dry_run="All")
check("a dry run", "py-dry", dry.metadata.name)
refused("makes nothing", 404, "NotFound", lambda: core.read_namespaced_config_map("py-dry", namespace))

# By discovery.
maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
check("the dynamic client", "2", maps.get(name="py-0", namespace=namespace).data.v)
maps.patch(body={"metadata": {"labels": {"dynamic": "yes"}}}, name="py-0", namespace=namespace,
           content_type="application/merge-patch+json")
check("patches", 1, len(maps.get(namespace=namespace, label_selector="dynamic=yes").items))

core.delete_collection_namespaced_config_map(namespace, label_selector="by=python")
check("all are deleted", 0, len(core.list_namespaced_config_map(namespace, label_selector="by=python").items))
gone = apps.delete_namespaced_deployment("py", namespace, propagation_policy="Foreground")
check("a deletion", True, gone is not None)
print("end")
