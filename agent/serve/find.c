/* What a call is about. */
#include "agent/serve/serve.h"

struct agent_pod *serve_find_pod(struct agent *a, struct mp params, struct error *err)
{
    struct str ns = mp_str(mp_get(params, "namespace")), name = mp_str(mp_get(params, "name"));
    struct agent_pod *ap = pods_find(a, ns, name);
    if (ap == NULL && !a->synced) {
        error_set(err, ERR_BUSY, "node %s has just started and does not know all of its pods yet; try again", a->name);
        err->retry_after_ms = 200;
        return NULL;
    }
    if (ap == NULL || ap->gone) {
        error_set(err, ERR_NOT_FOUND, "pod \"%.*s\" is not on node %s", STR_ARG(name), a->name);
        return NULL;
    }
    return ap;
}

/* The container named, or the one the pod declares as default, or the first one. */
struct container *serve_find_container(struct agent_pod *ap, struct mp params, struct error *err)
{
    struct str name = mp_str(mp_get(params, "container"));
    if (str_empty(name)) {
        name = object_annotation(ap->latest, "kubectl.kubernetes.io/default-container");
    }
    if (str_empty(name)) {
        return ap->pod->containers[ap->pod->spec->init_count];
    }
    struct container *c = pod_find(ap->pod, name);
    if (c == NULL) {
        CLEANUP_BUF struct buf names = BUF_INIT;
        for (unsigned i = 0; i < ap->pod->spec->count; i++) {
            buf_printf(&names, "%s%s", i == 0 ? "" : ", ", ap->pod->spec->containers[i].name);
        }
        error_set(err, ERR_NOT_FOUND, "container %.*s is not valid for pod %s (it has: %s)", STR_ARG(name), ap->name,
                  buf_cstr(&names));
    }
    return c;
}
