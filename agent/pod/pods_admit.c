/* Admission of pods that are ordered anew (admit.h). A pod that was here before has been admitted. What the node's
 * labels or taints forbid is asked of the leader once more before it is refused: both change without our being told,
 * and the order may be newer than what we know. */
#include <stdlib.h>

#include "agent/node.h"
#include "agent/pod/admit.h"
#include "agent/pod/pods.h"

struct ask {
    struct agent *agent;
    char uid[64];
};

void pods_set_node(struct agent *a, struct mp object)
{
    struct object *o;
    if (object_from_wire(object, &o, NULL) != 0 || o->kind->id != KIND_NODE) {
        return;
    }
    object_unref(a->node);
    a->node = o;
}

/* One that was preempted has its room until its processes have ended: that is what is waited for. */
static bool holds_room(const struct agent_pod *ap)
{
    return ap->admitted && !ap->gone && !ap->pod->removed && (!ap->pod->failed || ap->pod->preempted) &&
           !ap->pod->status_frozen && ap->pod->state < POD_CLEANING;
}

/* Those that hold room beside the pod. */
struct beside {
    struct agent_pod **pods;
    const struct podspec **specs;
    unsigned count;
};

static void beside_read(struct beside *n, const struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    const struct strmap_entry *e;
    n->pods = xcalloc(a->pods.count + 1, sizeof(struct agent_pod *));
    n->specs = xcalloc(a->pods.count + 1, sizeof *n->specs);
    n->count = 0;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *other = e->value;
        if (other != ap && holds_room(other)) {
            n->pods[n->count] = other;
            n->specs[n->count++] = other->pod->spec;
        }
    }
}

static void beside_close(struct beside *n)
{
    free(n->pods);
    free(n->specs);
}

static struct admit_node node_of(struct agent *a)
{
    struct admit_node node = {.name = a->name,
                              .cpu_milli = a->facts.cpu_milli,
                              .memory_bytes = node_memory_for_pods(a),
                              .ephemeral_bytes = a->facts.disk_bytes,
                              .pods = a->facts.pods,
                              .known = a->node != NULL,
                              .no_user_namespaces = a->no_user_namespaces,
                              .unsafe_sysctls = a->unsafe_sysctls};
    if (a->node != NULL) {
        node.labels = mp_path(object_mp(a->node), "metadata.labels");
        node.taints = mp_path(object_mp(a->node), "spec.taints");
    }
    return node;
}

/* A pod of the system that has no room takes it from others; it waits meanwhile (true). One at a time does so. */
static bool preempt(struct agent_pod *ap, const struct beside *n, const struct admit_node *node,
                    const struct admit_refusal *why)
{
    bool waits = false;
    if (!admit_is_critical(ap->pod->spec) || strncmp(why->reason, "OutOf", 5) != 0) {
        return false;
    }
    bool *may_go = xcalloc(n->count + 1, sizeof *may_go), *goes = xcalloc(n->count + 1, sizeof *goes);
    for (unsigned i = 0; i < n->count; i++) {
        const struct pod *p = n->pods[i]->pod;
        waits = waits || p->preempted;
        may_go[i] = !p->failed && (p->state == POD_INIT || p->state == POD_RUNNING);
    }
    if (!waits && admit_victims(ap->pod->spec, node, n->specs, may_go, n->count, goes)) {
        waits = true;
        for (unsigned i = 0; i < n->count; i++) {
            const struct pod *p = n->pods[i]->pod;
            if (goes[i] && !p->failed && (p->state == POD_INIT || p->state == POD_RUNNING)) {
                log_warn(ap->agent->log, "pods", "pod %s/%s (%s) goes: the critical pod %s/%s needs its room",
                         n->pods[i]->ns, n->pods[i]->name, n->pods[i]->uid, ap->ns, ap->name);
                pod_preempt(n->pods[i]->pod);
            }
        }
    }
    free(may_go);
    free(goes);
    return waits;
}

static void decide(struct agent_pod *ap, bool node_is_fresh);

static void on_node(const struct rpc_result *r, void *data)
{
    struct ask *k = data;
    struct agent *a = k->agent;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(k->uid));
    a->pending--;
    if (ap != NULL) {
        ap->asking = false;
    }
    if (r->error == NULL && !a->stopping) {
        pods_set_node(a, mp_get(r->result, "object"));
        if (ap != NULL && ap->pod->state == POD_PENDING && !ap->gone) {
            decide(ap, true);
        }
    } /* else: again with the next list or the next look at what waits */
    free(k);
}

void pods_ask_for_node(struct agent_pod *ap)
{
    struct agent *a = ap->agent;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (ap->asking) {
        return;
    }
    struct ask *k = xcalloc(1, sizeof *k);
    k->agent = a;
    snprintf(k->uid, sizeof k->uid, "%s", ap->uid);
    ap->asking = true;
    a->pending++;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "kind", STR("Node"));
    mp_write_key_str(&b, "name", str_of(a->name));
    session_call(a->session, "get", buf_str(&b), on_node, k);
}

static void decide(struct agent_pod *ap, bool node_is_fresh)
{
    struct admit_refusal why;
    struct beside n;
    struct admit_node node = node_of(ap->agent);
    beside_read(&n, ap);
    bool fits = admit_pod(ap->pod->spec, &node, n.specs, n.count, &why);
    bool waits = !fits && preempt(ap, &n, &node, &why);
    beside_close(&n);
    if (fits) {
        ap->admitted = true;
        pods_keep(ap);
        pod_go(ap->pod);
    } else if (waits) {
        log_info(ap->agent->log, "pods", "pod %s/%s (%s) waits until others have gone", ap->ns, ap->name, ap->uid);
    } else if (why.by_node && !node_is_fresh) {
        pods_ask_for_node(ap);
    } else {
        log_info(ap->agent->log, "pods", "pod %s/%s (%s) is refused: %s: %s", ap->ns, ap->name, ap->uid, why.reason,
                 why.message);
        pod_reject(ap->pod, why.reason, why.message);
    }
}

void pods_admit(struct agent_pod *ap)
{
    if (ap->admitted || ap->pod->deleting || ap->pod->spec->deleting) {
        pod_go(ap->pod);
    } else if (!ap->agent->in_list && ap->pod->state == POD_PENDING) {
        decide(ap, false);
    }
}

static int by_age(const void *x, const void *y)
{
    const struct agent_pod *a = *(struct agent_pod *const *)x, *b = *(struct agent_pod *const *)y;
    int64_t t = object_created_ms(a->latest), u = object_created_ms(b->latest);
    return t != u ? (t < u ? -1 : 1) : strcmp(a->uid, b->uid);
}

void pods_admit_waiting(struct agent *a)
{
    const struct strmap_entry *e;
    struct agent_pod **list = NULL;
    unsigned count = 0;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        if (!ap->admitted && !ap->gone && ap->pod->state == POD_PENDING) {
            list = xrealloc(list, (count + 1) * sizeof(struct agent_pod *));
            list[count++] = ap;
        }
    }
    if (count > 0) {
        qsort(list, count, sizeof(struct agent_pod *), by_age);
    }
    for (unsigned i = 0; i < count; i++) {
        pods_admit(list[i]);
    }
    free(list);
}
