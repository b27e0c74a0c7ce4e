/* Storage among the others: claims, volumes and pods that clients ask for, and what must hold of them behind every
 * transaction:
 *
 *  1. A volume is one claim's, and both sides say so: a claim that is bound names a volume that names it with its uid,
 *     as long as there is that volume, and no volume that names a claim with its uid is named by another one.
 *  2. A claim that was bound once never changes its volume.
 *  3. The volumes of the local provisioner never have more of a node than it offers.
 *  4. A volume of the local provisioner is not let go (no finalizer but that of its directory) while its claim is
 *     there, or while an agent runs a pod with it that nobody has removed by force.
 *  5. A pod that is bound to a node finds its claims bound, to volumes that the node reaches; ReadWriteOncePod is one
 *     pod's, ReadWriteOnce one node's.
 * At rest nothing waits that could go on: no volume for a claim that does not wait for a pod, no phase that is wrong.
 *
 * Readers of the state are written anew here: nothing is asked of controllers/storage and of the scheduler. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "proto/facts/node_match.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"
#include "proto/model/quantity.h"
#include "tests/sim/cluster.h"

#define SALT    (UINT64_C(77041) << 32) /* such that the seeds that were kept before have no storage */
#define CLAIMS  6u
#define VOLUMES 5u
#define PODS    8u
#define OFFERED "3Gi"

void storage_draw(struct cluster *c)
{
    c->storing = rng_apart(c->seed, SALT);
    c->swarm.storage = rng_below(&c->storing, 2) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool storage_next(struct cluster *c)
{
    return c->swarm.storage && rng_below(&c->storing, 6) == 0;
}

void storage_first(struct txn *t)
{
    static const char *const classes[] = {
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: local}, provisioner: reeve.io/local, "
        "volumeBindingMode: WaitForFirstConsumer, reclaimPolicy: Delete, allowVolumeExpansion: true}",
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: disks}, provisioner: "
        "kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer, reclaimPolicy: Delete}",
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: quick}, provisioner: "
        "kubernetes.io/no-provisioner, volumeBindingMode: Immediate, reclaimPolicy: Delete}"};
    for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
        txn_create(t, yaml_object(classes[i]));
    }
}

void storage_of_node(const struct cluster *c, const char *name, char *out, size_t size)
{
    snprintf(out, size,
             !c->swarm.storage ? "%.0s"
                               : ", labels: {kubernetes.io/hostname: %s}, annotations: "
                                 "{reeve.io/local-volumes-root: /volumes}",
             name);
}

const char *storage_of_status(const struct cluster *c)
{
    return c->swarm.storage ? ", reeve.io/local-storage: " OFFERED : "";
}

/* ---- What clients ask for ---- */

static int make_claim(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    static const char *const classes[] = {"local", "local", "local", "disks", "quick", "quick"};
    static const char *const modes[] = {"ReadWriteOnce", "ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"};
    unsigned n = (unsigned)rng_below(r, CLAIMS);
    const char *class = classes[rng_below(r, ARRAY_SIZE(classes))], *mode = modes[rng_below(r, ARRAY_SIZE(modes))];
    const char *wish =
        rng_below(r, 8) > 0 ? "" : arena_printf(a, ", volumeName: v-%u", (unsigned)rng_below(r, VOLUMES));
    return op_make(
        tip,
        arena_printf(a,
                     "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c-%u, namespace: " NAMESPACE
                     "}, spec: {accessModes: [%s], storageClassName: %s, resources: {requests: {storage: "
                     "%uGi}}%s}}",
                     n, mode, class, 1 + (unsigned)rng_below(r, 3), wish),
        t, err);
}

static int make_volume(struct cluster *c, const struct view *tip, struct rng *r, struct arena *a, struct txn *t,
                       struct error *err)
{
    unsigned node = 1 + (unsigned)rng_below(r, c->swarm.agents);
    const char *on = rng_below(r, 2) == 0 ? ""
                                          : arena_printf(a,
                                                         ", nodeAffinity: {required: {nodeSelectorTerms: "
                                                         "[{matchFields: [{key: metadata.name, operator: In, values: "
                                                         "[n%u]}]}]}}",
                                                         node);
    const char *own = rng_below(r, 6) > 0 ? ""
                                          : arena_printf(a, ", claimRef: {namespace: " NAMESPACE ", name: c-%u}",
                                                         (unsigned)rng_below(r, CLAIMS));
    return op_make(tip,
                   arena_printf(a,
                                "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v-%u}, spec: {capacity: "
                                "{storage: %uGi}, accessModes: [ReadWriteOnce, ReadWriteMany], hostPath: {path: /v}, "
                                "storageClassName: %s, persistentVolumeReclaimPolicy: %s%s%s}}",
                                (unsigned)rng_below(r, VOLUMES), 1 + (unsigned)rng_below(r, 4),
                                rng_below(r, 2) == 0 ? "disks" : "quick", rng_below(r, 2) == 0 ? "Retain" : "Delete",
                                on, own),
                   t, err);
}

static int make_pod(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    unsigned one = (unsigned)rng_below(r, CLAIMS), two = (unsigned)rng_below(r, CLAIMS);
    const char *more = rng_below(r, 3) > 0 || two == one
                           ? ""
                           : arena_printf(a, ", {name: w, persistentVolumeClaim: {claimName: c-%u}}", two);
    unsigned number = (unsigned)rng_below(r, PODS);
    if (number % 4 == 0) {
        more = ", {name: w, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], storageClassName: "
               "local, resources: {requests: {storage: 1Gi}}}}}}";
    }
    return op_make(
        tip,
        arena_printf(a,
                     "{apiVersion: v1, kind: Pod, metadata: {name: sp-%u, namespace: " NAMESPACE
                     "}, spec: {containers: [{name: c, image: i}], terminationGracePeriodSeconds: 2, tolerations: "
                     "[{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, "
                     "tolerationSeconds: 2}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: "
                     "NoExecute, tolerationSeconds: 2}], volumes: "
                     "[{name: v, persistentVolumeClaim: {claimName: c-%u}}%s]}}",
                     number, one, more),
        t, err);
}

static int remove_one(struct life *life, enum kind_id kind, const char *name, bool force, struct txn *t,
                      struct error *err)
{
    CLEANUP_ARENA struct arena a;
    const struct object *o =
        view_get(store_tip(replica_store(life->replica)), kind_by_id(kind), STR(NAMESPACE), str_of(name));
    arena_init(&a);
    if (o == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s not found", name);
    }
    if (kind == KIND_POD) {
        strmap_set(&life->c->killed, o->uid, life->c);
        return pod_delete(t, &a, o, force ? 0 : -1, env_wall_ms(&life->env), err);
    }
    const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    return deletion_request(t, &a, o, &options, env_wall_ms(&life->env), err);
}

/* The nth object of a kind. */
static const struct object *nth(const struct view *v, enum kind_id kind, uint64_t n)
{
    const struct object *found = NULL;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(kind), STR_NONE);
    VIEW_FOR(o, &it)
    {
        found = found == NULL || n-- > 0 ? o : found;
    }
    return found;
}

/* A bound claim asks for more; a released volume is given free by a person. */
static int change_one(const struct view *tip, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    bool grows = rng_below(r, 2) == 0;
    const struct object *o =
        nth(tip, grows ? KIND_PERSISTENTVOLUMECLAIM : KIND_PERSISTENTVOLUME, rng_below(r, CLAIMS + VOLUMES));
    arena_init(&a);
    if (o == NULL || !str_is(storage_phase(o), grows ? "Bound" : "Released") || (!grows && storage_node(o).n > 0)) {
        return error_set(err, ERR_NOT_FOUND, "nothing to change");
    }
    struct value *doc = object_to_value(&a, o), *spec = value_get(doc, "spec");
    if (grows) {
        char text[QUANTITY_SIZE];
        quantity_format_bytes(storage_bytes(o) + (1 << 30), text);
        value_set(&a, value_path(spec, "resources.requests"), "storage", value_cstr(&a, text));
    } else {
        value_remove(spec, "claimRef");
    }
    return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
}

int storage_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 21)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    switch (rng_below(&r, 12)) {
    case 0:
    case 1:
    case 2:
        return make_claim(tip, &r, &a, t, err);
    case 3:
    case 4:
    case 5:
        return make_pod(tip, &r, &a, t, err);
    case 6:
    case 7:
        return make_volume(life->c, tip, &r, &a, t, err);
    case 8:
        return remove_one(life, KIND_PERSISTENTVOLUMECLAIM, arena_printf(&a, "c-%u", (unsigned)rng_below(&r, CLAIMS)),
                          false, t, err);
    case 9:
        return remove_one(life, KIND_POD, arena_printf(&a, "sp-%u", (unsigned)rng_below(&r, PODS)),
                          rng_below(&r, 4) == 0, t, err);
    case 10: {
        const struct object *volume = nth(tip, KIND_PERSISTENTVOLUME, rng_below(&r, 2 * VOLUMES));
        return volume == NULL ? error_set(err, ERR_NOT_FOUND, "no volumes")
                              : remove_one(life, KIND_PERSISTENTVOLUME,
                                           arena_strndup(&a, volume->name.p, volume->name.n), false, t, err);
    }
    default:
        return change_one(tip, &r, t, err);
    }
}

/* ---- Agents ---- */

static bool is_let_go(const struct object *volume)
{
    return volume->deleting && storage_has_finalizer(volume, STORAGE_LOCAL_DIRECTORY) &&
           !storage_has_finalizer(volume, STORAGE_PROTECT_VOLUME);
}

static const struct object *claim_of_volume(const struct view *v, const struct object *volume)
{
    struct mp ref = mp_get(object_spec(volume), "claimRef");
    const struct object *claim = view_get(v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), mp_str(mp_get(ref, "namespace")),
                                          mp_str(mp_get(ref, "name")));
    return claim != NULL && str_eq(claim->uid, mp_str(mp_get(ref, "uid"))) ? claim : NULL;
}

/* The claim of a pod's volume, by name; buf: for one that is the pod's own. Empty: none. */
static struct str claim_name(const struct object *pod, struct mp volume, char buf[STORAGE_NAME_SIZE])
{
    if (mp_type(mp_get(volume, "ephemeral")) != MP_MAP) {
        return mp_str(mp_path(volume, "persistentVolumeClaim.claimName"));
    }
    snprintf(buf, STORAGE_NAME_SIZE, "%.*s-%.*s", STR_ARG(pod->name), STR_ARG(mp_str(mp_get(volume, "name"))));
    return str_of(buf);
}

static bool pod_names(const struct object *pod, struct str claim)
{
    char buf[STORAGE_NAME_SIZE];
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        if (str_eq(claim_name(pod, it.value, buf), claim)) {
            return true;
        }
    }
    return false;
}

void storage_started(struct cluster *c, const struct object *pod, char volumes[2][STORAGE_NAME_SIZE])
{
    unsigned n = 0;
    char buf[STORAGE_NAME_SIZE];
    volumes[0][0] = volumes[1][0] = '\0';
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it) && n < 2;) {
        struct str name = claim_name(pod, it.value, buf);
        const struct object *claim =
            view_get(c->ledger.model, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), STR(NAMESPACE), name);
        if (claim != NULL) {
            snprintf(volumes[n++], STORAGE_NAME_SIZE, "%.*s", STR_ARG(storage_volume_name(claim)));
        }
    }
}

void storage_report(struct life *life, struct agent *agent, struct txn *t)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct view_iter it;
    arena_init(&a);
    index_volume_node_key(&key, str_of(agent->name));
    view_iter_index(&it, store_tip(replica_store(life->replica)), VIEW_BY_VOLUME, buf_str(&key),
                    kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(volume, &it)
    {
        if (is_let_go(volume) && !agent_uses(agent, volume->name)) {
            struct value *doc = object_to_value(&a, volume);
            value_remove(value_get(doc, "metadata"), "finalizers");
            txn_update_value(t, volume->kind, doc, TXN_PART_ALL, volume->revision, NULL);
        }
    }
}

/* ---- What must hold ---- */

static void judge_claim(struct cluster *c, const struct view *v, const struct object *old, const struct object *now)
{
    bool was = old != NULL && str_is(object_annotation(old, STORAGE_BIND_COMPLETED), "yes");
    bool is = now != NULL && str_is(object_annotation(now, STORAGE_BIND_COMPLETED), "yes");
    if (was && now != NULL && str_eq(old->uid, now->uid) &&
        !str_eq(storage_volume_name(old), storage_volume_name(now))) {
        cluster_violate(c, "claim %.*s was bound to volume %.*s and is now to %.*s", STR_ARG(now->name),
                        STR_ARG(storage_volume_name(old)), STR_ARG(storage_volume_name(now)));
    }
    if (!is) {
        return;
    }
    const struct object *volume = view_get(v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, storage_volume_name(now));
    if (!was && volume == NULL) {
        cluster_violate(c, "claim %.*s is bound to a volume that is not there", STR_ARG(now->name));
    } else if (volume != NULL && str_is(storage_phase(now), "Bound") && claim_of_volume(v, volume) != now) {
        cluster_violate(c, "claim %.*s is bound to volume %.*s, which does not say so", STR_ARG(now->name),
                        STR_ARG(volume->name));
    }
}

static int64_t kib_of(const struct object *volume)
{
    int64_t bytes = 0;
    quantity_units(mp_str(mp_path(object_spec(volume), "capacity.storage")), &bytes);
    return bytes / 1024;
}

static void judge_room(struct cluster *c, const struct view *v, struct str node)
{
    int64_t sum = 0, offered = 0;
    struct view_iter it;
    quantity_units(STR(OFFERED), &offered);
    view_iter(&it, v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(o, &it)
    {
        sum += str_eq(object_label(o, STORAGE_LABEL_NODE), node) ? kib_of(o) : 0;
    }
    if (sum > offered / 1024) {
        cluster_violate(c, "the volumes of node %.*s have %lld KiB of %lld", STR_ARG(node), (long long)sum,
                        (long long)offered / 1024);
    }
}

static void judge_volume(struct cluster *c, const struct view *v, const struct object *old, const struct object *now)
{
    const struct object *claim = claim_of_volume(v, now);
    struct str other = claim == NULL ? STR_NONE : storage_volume_name(claim);
    if (claim != NULL && !str_eq(other, now->name)) {
        cluster_violate(c, "volume %.*s says that claim %.*s has it, which has %.*s", STR_ARG(now->name),
                        STR_ARG(claim->name), STR_ARG(other.n > 0 ? other : STR("none")));
    }
    struct str node = object_label(now, STORAGE_LABEL_NODE);
    if (node.n > 0 && (old == NULL || kib_of(old) != kib_of(now))) {
        judge_room(c, v, node);
    }
    if (!is_let_go(now) || (old != NULL && is_let_go(old))) {
        return;
    }
    if (claim != NULL) {
        cluster_violate(c, "volume %.*s is let go while claim %.*s has it", STR_ARG(now->name), STR_ARG(claim->name));
    }
    for (unsigned i = 0; i < c->swarm.agents; i++) {
        const char *uid = agent_uses(&c->agents[i], now->name);
        const struct object *pod = NULL;
        struct view_iter it;
        view_iter(&it, v, kind_by_id(KIND_POD), STR(NAMESPACE));
        VIEW_FOR(o, &it)
        {
            pod = uid != NULL && str_is(o->uid, uid) ? o : pod;
        }
        if (pod != NULL) {
            cluster_violate(c, "volume %.*s is let go while pod %.*s uses it on %s", STR_ARG(now->name),
                            STR_ARG(pod->name), c->agents[i].name);
        }
    }
}

/* Pods that hold a claim: bound to a node, and not finished. */
static void judge_modes(struct cluster *c, const struct view *v, const struct object *claim)
{
    bool one_pod = storage_has_mode(claim, "ReadWriteOncePod"), one_node = storage_has_mode(claim, "ReadWriteOnce");
    const struct object *first = NULL;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        if (str_empty(pod_node(pod)) || pod_finished(pod) || !pod_names(pod, claim->name)) {
            continue;
        }
        if (first != NULL && (one_pod || (one_node && !str_eq(pod_node(pod), pod_node(first))))) {
            cluster_violate(c, "pods %.*s and %.*s have claim %.*s at once", STR_ARG(first->name), STR_ARG(pod->name),
                            STR_ARG(claim->name));
        }
        first = first == NULL ? pod : first;
    }
}

static void judge_pod(struct cluster *c, const struct view *v, const struct object *pod)
{
    const struct object *node = view_get(v, kind_by_id(KIND_NODE), STR_NONE, pod_node(pod));
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        char buf[STORAGE_NAME_SIZE];
        struct str name = claim_name(pod, it.value, buf);
        if (name.n == 0) {
            continue;
        }
        const struct object *claim = view_get(v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), pod->ns, name);
        if (claim != NULL && name.p == buf && !str_eq(claim->owner_uid, pod->uid)) {
            cluster_violate(c, "pod %.*s has claim %.*s, which was not made for it", STR_ARG(pod->name), STR_ARG(name));
            return;
        }
        const struct object *volume =
            claim == NULL ? NULL : view_get(v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, storage_volume_name(claim));
        if (volume == NULL || claim_of_volume(v, volume) != claim) {
            cluster_violate(c, "pod %.*s is bound to a node without the volume of its claim %.*s", STR_ARG(pod->name),
                            STR_ARG(name));
            return;
        }
        struct mp wanted = mp_path(object_spec(volume), "nodeAffinity.required");
        if (mp_type(wanted) == MP_MAP && node != NULL &&
            !node_match_selector(wanted, object_labels(node), node->name)) {
            cluster_violate(c, "pod %.*s is bound to node %.*s, which does not reach volume %.*s", STR_ARG(pod->name),
                            STR_ARG(node->name), STR_ARG(volume->name));
        }
        judge_modes(c, v, claim);
    }
}

void storage_judge(struct cluster *c, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.storage; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        const struct object *o = now != NULL ? now : old;
        if (o->kind->id == KIND_PERSISTENTVOLUMECLAIM) {
            judge_claim(c, after, old, now);
        } else if (o->kind->id == KIND_PERSISTENTVOLUME && now != NULL) {
            judge_volume(c, after, old, now);
        } else if (o->kind->id == KIND_PERSISTENTVOLUME && claim_of_volume(after, old) != NULL &&
                   !str_empty(storage_node(old))) {
            cluster_violate(c, "volume %.*s is gone, and its claim is there", STR_ARG(old->name));
        } else if (o->kind->id == KIND_POD && now != NULL && !str_empty(pod_node(now)) &&
                   (old == NULL || str_empty(pod_node(old)))) {
            judge_pod(c, after, now);
        }
    }
}

/* ---- The end ---- */

uint64_t storage_pods(const struct cluster *c, bool bound)
{
    uint64_t n = 0;
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_by_id(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        bool dead = c->swarm.dead && pod->deleting && str_is(pod_node(pod), c->agents[0].name);
        n += str_starts(pod->name, STR("sp-")) && !dead && str_empty(pod_node(pod)) != bound;
    }
    return n;
}

/* A claim whose class does not wait could have this volume. */
static bool could_have(const struct object *claim, const struct object *volume)
{
    struct mp has = mp_get(object_spec(volume), "accessModes");
    struct mp_iter mode = mp_iter(mp_get(object_spec(claim), "accessModes"));
    bool found = false;
    mp_next(&mode);
    for (struct mp_iter it = mp_iter(has); mp_next(&it);) {
        found |= str_eq(mp_str(it.value), mp_str(mode.value));
    }
    return found && !volume->deleting && mp_type(mp_get(object_spec(volume), "claimRef")) != MP_MAP &&
           str_eq(storage_class_of(volume), storage_class_of(claim)) && storage_bytes(claim) <= storage_bytes(volume);
}

static bool volume_settled(const struct cluster *c, const struct view *v, const struct object *volume, char why[256])
{
    const struct object *claim = claim_of_volume(v, volume);
    struct mp ref = mp_get(object_spec(volume), "claimRef");
    bool named = mp_str(mp_get(ref, "uid")).n > 0, kept = storage_node(volume).n == 0;
    bool failed = str_is(mp_str(mp_get(object_spec(volume), "persistentVolumeReclaimPolicy")), "Delete") && kept;
    const char *phase = claim != NULL ? "Bound" : !named ? "Available" : failed ? "Failed" : "Released";
    bool dead = c->swarm.dead && str_is(storage_node(volume), c->agents[0].name); /* nobody removes its directory */
    if (volume->deleting && claim == NULL && !dead && !c->swarm.dead) {
        snprintf(why, 256, "volume %.*s should be gone", STR_ARG(volume->name));
        return false;
    }
    if (!volume->deleting && !str_is(storage_phase(volume), phase)) {
        snprintf(why, 256, "volume %.*s is %.*s, and should be %s", STR_ARG(volume->name),
                 STR_ARG(storage_phase(volume)), phase);
        return false;
    }
    return true;
}

/* One that was made for a pod is there as long as that is. */
static bool has_owner(const struct view *v, const struct object *claim)
{
    struct view_iter it;
    bool found = claim->owner_uid.n == 0;
    view_iter(&it, v, kind_by_id(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        found |= str_eq(pod->uid, claim->owner_uid);
    }
    return found;
}

/* A pod that waits for a node has the claims that are its own. */
static bool pod_settled(const struct view *v, const struct object *pod, char why[256])
{
    char buf[STORAGE_NAME_SIZE];
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        struct str name = claim_name(pod, it.value, buf);
        if (name.p == buf && !pod->deleting && !pod_finished(pod) &&
            view_get(v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), pod->ns, name) == NULL) {
            snprintf(why, 256, "pod %.*s lacks its claim %.*s", STR_ARG(pod->name), STR_ARG(name));
            return false;
        }
    }
    return true;
}

static bool claim_settled(const struct view *v, const struct object *claim, char why[256])
{
    struct view_iter it;
    if (!claim->deleting && !has_owner(v, claim)) {
        snprintf(why, 256, "claim %.*s was made for a pod that is gone", STR_ARG(claim->name));
        return false;
    }
    if (claim->deleting) {
        bool used = false;
        view_iter(&it, v, kind_by_id(KIND_POD), STR(NAMESPACE));
        VIEW_FOR(pod, &it)
        {
            used |= !str_empty(pod_node(pod)) && pod_names(pod, claim->name);
        }
        snprintf(why, 256, "claim %.*s should be gone", STR_ARG(claim->name));
        return used;
    }
    if (!str_is(storage_phase(claim), "Pending") || !str_is(storage_class_of(claim), "quick") ||
        storage_volume_name(claim).n > 0) {
        return true;
    }
    view_iter(&it, v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(volume, &it)
    {
        if (could_have(claim, volume)) {
            snprintf(why, 256, "claim %.*s could have volume %.*s", STR_ARG(claim->name), STR_ARG(volume->name));
            return false;
        }
    }
    return true;
}

bool storage_settled(struct cluster *c, char why[256])
{
    const struct view *v = c->ledger.model;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(volume, &it)
    {
        if (!volume_settled(c, v, volume, why)) {
            return false;
        }
    }
    view_iter(&it, v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), STR_NONE);
    VIEW_FOR(claim, &it)
    {
        if (!claim_settled(v, claim, why)) {
            return false;
        }
    }
    view_iter(&it, v, kind_by_id(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        if (!pod_settled(v, pod, why)) {
            return false;
        }
    }
    return true;
}
