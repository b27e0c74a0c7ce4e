/* What is where: pods, classes, owners' groups and nodes follow the tip's changes. */
#include "scheduler/core.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/facts/cluster.h"
#include "proto/facts/gang.h"
#include "proto/facts/pod_state.h"

#define KEY_MAX 600u /* of a pod: namespace/name */

/* ---- Groups and classes ---- */

/* What stands in front of a NUL: names and uids are kept as C strings here, and those that were checked have none. */
static struct str before_nul(struct str s)
{
    return str_empty(s) ? s : (struct str){s.p, strnlen(s.p, s.n)};
}

static struct group *group_get(struct scheduler *s, struct str uid)
{
    uid = before_nul(uid);
    struct group *g = strmap_get(&s->groups, uid);
    if (g == NULL) {
        g = xcalloc(1, sizeof *g);
        g->uid = xstrndup(uid.p, uid.n);
        strmap_set(&s->groups, uid, g);
    }
    g->refs++;
    return g;
}

static void group_unref(struct scheduler *s, struct group *g)
{
    if (--g->refs == 0) {
        strmap_remove(&s->groups, str_of(g->uid));
        free(g->cells);
        free(g->uid);
        free(g);
    }
}

struct sched_class *class_get(struct scheduler *s, const struct object *pod)
{
    uint8_t id[16], shape[16];
    class_identify(pod, s->places.individual, id, shape);
    struct str key = {(const char *)id, sizeof id};
    struct sched_class *c = strmap_get(&s->classes, key);
    if (c == NULL) {
        c = xmalloc(sizeof *c);
        class_init(c, pod);
        c->node_name = STR_NONE; /* the sample may be bound already; the class is not */
        memcpy(c->id, id, sizeof id);
        memcpy(c->shape, shape, sizeof shape);
        if (!str_empty(pod->owner_uid)) {
            c->group = group_get(s, pod->owner_uid);
        }
        strmap_set(&s->classes, key, c);
        lane_enter(s, c);
        places_attach(s, c);
    }
    c->refs++;
    return c;
}

void class_unref(struct scheduler *s, struct sched_class *c)
{
    assert(c->refs > 0);
    if (--c->refs > 0) {
        return;
    }
    assert(c->active_count == 0 && c->parked_count == 0 && c->nominated_count == 0 && c->queued.at == UINT32_MAX);
    table_drop(s, c);
    places_detach(s, c);
    if (c->group != NULL) {
        group_unref(s, c->group);
    }
    strmap_remove(&s->classes, (struct str){(const char *)c->id, sizeof c->id});
    lane_leave(s, c);
    class_close(c);
    free(c);
}

/* ---- Nodes ---- */

void sched_node_changed(struct scheduler *s, struct sched_node *n, bool fixed, bool helpful)
{
    s->changes++;
    s->ring[s->changes % CHANGES_MAX] = n->slot;
    s->slot_changed[n->slot] = s->changes;
    if (!n->nominees_stale && !s->places.trial) {
        n->nominees_stale = true;
        if (n->nominees_count > 0) { /* to those in front, which are looked at */
            list_remove(&n->nominated_link);
            list_push_front(&s->nominated_nodes, &n->nominated_link);
        }
    }
    if (fixed) {
        s->slot_fixed[n->slot] = s->changes;
        s->nodes_moved = true;
    }
    if (helpful) {
        s->helpful++;
        s->helpful_ring[s->helpful % CHANGES_MAX] = n->slot;
        s->slot_helpful[n->slot] = s->helpful;
    }
}

static unsigned slot_take(struct scheduler *s)
{
    for (unsigned i = s->slots_count - MIN(s->slots_count, 64u); i < s->slots_count; i++) {
        if (s->slots[i] == NULL) {
            return i;
        }
    }
    if (s->slots_count == s->slots_cap) {
        unsigned from = s->slots_cap;
        s->slots_cap = s->slots_cap == 0 ? 64 : s->slots_cap * 2;
        s->slots = xrealloc(s->slots, s->slots_cap * sizeof(struct sched_node *));
        s->slot_changed = xrealloc(s->slot_changed, s->slots_cap * sizeof *s->slot_changed);
        s->slot_fixed = xrealloc(s->slot_fixed, s->slots_cap * sizeof *s->slot_fixed);
        s->slot_helpful = xrealloc(s->slot_helpful, s->slots_cap * sizeof *s->slot_helpful);
        places_slots_grow(s, from);
    }
    s->slot_changed[s->slots_count] = s->slot_fixed[s->slots_count] = s->slot_helpful[s->slots_count] = 0;
    return s->slots_count++;
}

static struct sched_node *node_get(struct scheduler *s, struct str name)
{
    name = before_nul(name);
    struct sched_node *n = strmap_get(&s->nodes, name);
    if (n == NULL) {
        n = xcalloc(1, sizeof *n);
        sched_node_init(n, &s->policy);
        n->name = xstrndup(name.p, name.n);
        n->slot = slot_take(s);
        s->slots[n->slot] = n;
        strmap_set(&s->nodes, name, n);
    }
    return n;
}

void node_drop_if_unused(struct scheduler *s, struct sched_node *n)
{
    if (n->obj != NULL || n->pods_used > 0 || n->volumes > 0 || n->nominees_count > 0) {
        return;
    }
    sched_node_changed(s, n, true, false);
    s->slots[n->slot] = NULL;
    strmap_remove(&s->nodes, str_of(n->name));
    sched_node_close(n);
    free(n);
}

static bool mp_same(struct mp a, struct mp b)
{
    size_t n = (size_t)(a.end - a.p);
    return n == (size_t)(b.end - b.p) && (n == 0 || memcmp(a.p, b.p, n) == 0);
}

/* Nothing that filters or scores read: heartbeats of conditions, addresses. */
static bool node_same_for_us(const struct object *a, const struct object *b)
{
    static const char *const read[] = {"metadata.labels",    "spec.taints",     "spec.unschedulable",
                                       "status.allocatable", "status.capacity", "status.images"};
    for (unsigned i = 0; i < ARRAY_SIZE(read); i++) {
        if (!mp_same(mp_path(object_mp(a), read[i]), mp_path(object_mp(b), read[i]))) {
            return false;
        }
    }
    return str_eq(object_annotation(a, STORAGE_LOCAL_ROOT), object_annotation(b, STORAGE_LOCAL_ROOT));
}

/* Nothing of where it is and whom it lets in: labels, taints, a cordon. */
static bool node_same_place(const struct object *a, const struct object *b)
{
    static const char *const read[] = {"metadata.labels", "spec.taints", "spec.unschedulable"};
    for (unsigned i = 0; i < ARRAY_SIZE(read); i++) {
        if (!mp_same(mp_path(object_mp(a), read[i]), mp_path(object_mp(b), read[i]))) {
            return false;
        }
    }
    return true;
}

static void observe_node(struct scheduler *s, const struct object *old, const struct object *now)
{
    struct sched_node *n = node_get(s, now != NULL ? now->name : old->name);
    bool was_present = n->obj != NULL;
    bool same = was_present && now != NULL && node_same_for_us(n->obj, now);
    bool moves = !same && !(was_present && now != NULL && node_same_place(n->obj, now));
    if (moves) {
        places_node_out(s, n);
    }
    sched_node_set_object(n, now);
    if (moves) {
        places_node_in(s, n);
    }
    s->nodes_present += (unsigned)(now != NULL) - (unsigned)was_present;
    s->storage_changes += now == NULL; /* a claim may have waited for it (STORAGE_SELECTED_NODE) */
    if (!same) {
        sched_node_changed(s, n, true, now != NULL);
    }
    node_drop_if_unused(s, n);
}

/* ---- Pods ---- */

/* Names are not looked into here: what the log holds may have any bytes. */
static size_t key_write(char *key, struct str ns, struct str name)
{
    memcpy(key, ns.n > 0 ? ns.p : "", ns.n);
    key[ns.n] = '/';
    memcpy(key + ns.n + 1, name.p, name.n);
    return ns.n + 1 + name.n;
}

struct sched_pod *pod_find(const struct scheduler *s, struct str ns, struct str name)
{
    char key[KEY_MAX];
    if (ns.n + name.n >= sizeof key) {
        return NULL; /* no pod of ours: pod_add took none with such a name */
    }
    return strmap_get(&s->pods, (struct str){key, key_write(key, ns, name)});
}

static void pod_obj_set(struct sched_pod *p, const struct object *o)
{
    struct object *former = p->obj;
    p->obj = o == NULL ? NULL : object_ref(o);
    object_unref(former);
}

static struct levels *levels_of(const struct sched_pod *p)
{
    return p->leaving ? &p->node->leaving : &p->node->levels;
}

void pod_set_leaving(struct scheduler *s, struct sched_pod *p, bool leaving)
{
    assert(p->state == POD_ASSUMED || p->state == POD_BOUND);
    if (p->leaving == leaving) {
        return;
    }
    gang_count(s, p, leaving ? -1 : 1);
    levels_account(levels_of(p), p->class, -1);
    p->leaving = leaving;
    levels_account(levels_of(p), p->class, 1);
    if (leaving) {
        places_leaving(s, p->class, p->node);
    } else {
        places_account(s, p->class, p->node, -1, false);
        places_account(s, p->class, p->node, 1, true);
    }
    sched_node_changed(s, p->node, false, leaving); /* who wants to be apart may have room, and who pushes out */
}

static void pod_leave_node(struct scheduler *s, struct sched_pod *p)
{
    gang_count(s, p, p->leaving ? 0 : -1);
    levels_account(levels_of(p), p->class, -1);
    levels_account(&s->bound, p->class, -1);
    list_remove(&p->on_node);
    list_remove(&p->link);
    struct sched_node *n = TAKE_PTR(p->node);
    sched_node_account(n, p->class, -1);
    places_account(s, p->class, n, -1, !p->leaving);
    p->leaving = false;
    s->storage_changes += p->class->claims != NULL;
    sched_node_changed(s, n, false, true);
    node_drop_if_unused(s, n);
}

static void pod_enter_node(struct scheduler *s, struct sched_pod *p, struct sched_node *n)
{
    assert(p->node == NULL);
    p->node = n;
    list_push_back(&p->class->placed, &p->link);
    list_push_back(&n->pods, &p->on_node);
    gang_count(s, p, p->leaving ? 0 : 1);
    levels_account(levels_of(p), p->class, 1);
    levels_account(&s->bound, p->class, 1);
    sched_node_account(n, p->class, 1);
    places_account(s, p->class, n, 1, !p->leaving);
    s->storage_changes += p->class->claims != NULL;
    sched_node_changed(s, n, false, false);
}

void pod_wait(struct scheduler *s, struct sched_pod *p)
{
    if (p->gang != NULL) {
        gang_wait(s, p);
    } else {
        queue_add(s, p);
    }
}

void pod_unwait(struct scheduler *s, struct sched_pod *p)
{
    if (p->gang != NULL) {
        gang_unwait(s, p);
    }
    if (p->state == POD_ACTIVE || p->state == POD_PARKED) {
        queue_remove(s, p);
    }
}

void pod_assume(struct scheduler *s, struct sched_pod *p, struct sched_node *n)
{
    assert(p->state == POD_ACTIVE || p->state == POD_GANGED);
    pod_unwait(s, p);
    nominee_drop(s, p);
    p->state = POD_ASSUMED;
    pod_enter_node(s, p, n);
}

void pod_unassume(struct scheduler *s, struct sched_pod *p)
{
    assert(p->state == POD_ASSUMED);
    pod_leave_node(s, p);
    pod_wait(s, p);
    nominee_read(s, p);
}

static void pod_drop(struct scheduler *s, struct sched_pod *p)
{
    if (p->state == POD_ASSUMED || p->state == POD_BOUND) {
        pod_leave_node(s, p);
    } else {
        pod_unwait(s, p);
        nominee_drop(s, p);
        queue_wake_more(s, p->class); /* who was woken and goes leaves its turn to the next */
    }
    if (p->gang != NULL) {
        gang_unref(s, TAKE_PTR(p->gang));
    }
    strmap_remove(&s->pods, (struct str){p->key, p->key_size});
    pod_obj_set(p, NULL);
    class_unref(s, p->class);
    free(p);
}

enum pod_wish { WISH_NOTHING, WISH_NODE, WISH_BOUND };
static enum pod_wish pod_wish(const struct object *pod)
{
    if (pod_finished(pod)) {
        return WISH_NOTHING;
    }
    if (pod_state_of(pod).bound) {
        return WISH_BOUND;
    }
    bool ours = true, gated = false;
    for (struct mp_iter it = mp_iter(object_spec(pod)); mp_next(&it);) { /* once through it: both come behind much */
        if (str_is(it.key, "schedulerName")) {
            struct str scheduler = mp_str(it.value);
            ours = str_empty(scheduler) || str_is(scheduler, SCHEDULER_NAME);
        } else if (str_is(it.key, "schedulingGates")) {
            gated = mp_count(it.value) > 0;
        }
    }
    return ours && !pod->deleting && !gated ? WISH_NODE : WISH_NOTHING;
}

static void pod_add(struct scheduler *s, const struct object *o, enum pod_wish wish)
{
    if (o->ns.n + o->name.n >= KEY_MAX) {
        return; /* a name that no API lets in: such a pod is not placed, and no node's room is counted for it */
    }
    struct sched_pod *p = xcalloc(1, sizeof *p + o->ns.n + 1 + o->name.n + 1);
    p->key_size = (uint16_t)key_write(p->key, o->ns, o->name);
    p->class = class_get(s, o);
    p->leaving = o->deleting;
    list_init(&p->link);
    list_init(&p->on_node);
    list_init(&p->in_gang);
    p->gang = gang_get(s, o->ns, gang_of_pod(o));
    strmap_set(&s->pods, (struct str){p->key, p->key_size}, p);
    if (wish == WISH_BOUND) {
        p->state = POD_BOUND;
        pod_enter_node(s, p, node_get(s, pod_node(o)));
        return;
    }
    pod_obj_set(p, o);
    p->seq = ++s->seq;
    pod_wait(s, p);
    nominee_read(s, p);
}

/* True if what we know of the pod still stands, but for its body. */
static bool pod_keep(struct scheduler *s, struct sched_pod *p, const struct object *old, const struct object *now,
                     enum pod_wish wish)
{
    if (p->state == POD_BOUND || p->state == POD_ASSUMED) {
        if (wish == WISH_NODE) {
            return p->state == POD_ASSUMED; /* the binding is on its way */
        }
        const struct object *former = p->obj != NULL ? p->obj : old;
        if (wish != WISH_BOUND || !str_is(pod_node(now), p->node->name) || former == NULL ||
            !mp_same(object_labels(former), object_labels(now))) {
            return false;
        }
        p->state = POD_BOUND;
        pod_set_leaving(s, p, now->deleting);
        pod_obj_set(p, NULL);
        return true;
    }
    uint8_t id[16];
    if (wish != WISH_NODE) {
        return false;
    }
    class_identify(now, s->places.individual, id, NULL);
    if (memcmp(id, p->class->id, sizeof id) != 0 || !gang_is(p->gang, now->ns, gang_of_pod(now))) {
        return false;
    }
    pod_obj_set(p, now);
    nominee_read(s, p);
    return true;
}

/* What changes most, the status of a pod that runs, is nothing to a scheduler. */
static bool stays_bound(const struct object *old, const struct object *now)
{
    return pod_state_of(old).bound && !pod_finished(old) && !pod_finished(now) && old->deleting == now->deleting &&
           object_same_spec(old, now) && mp_same(object_labels(old), object_labels(now));
}

static void observe_pod(struct scheduler *s, const struct object *old, const struct object *now)
{
    if (old != NULL && now != NULL && stays_bound(old, now)) {
        return;
    }
    gangs_observe_end(s, old, now);
    const struct object *o = now != NULL ? now : old;
    struct sched_pod *p = pod_find(s, o->ns, o->name);
    enum pod_wish wish = now == NULL ? WISH_NOTHING : pod_wish(now);
    if (p != NULL && now != NULL && pod_keep(s, p, old, now, wish)) {
        return;
    }
    if (p != NULL) {
        pod_drop(s, p);
    } else if (s->build.going && wish == WISH_NODE) {
        build_wait(s, now);
        return;
    }
    if (wish != WISH_NOTHING) {
        pod_add(s, now, wish);
    }
}

void pod_come(struct scheduler *s, const struct object *pod)
{
    if (pod != NULL && pod_wish(pod) == WISH_NODE && pod_find(s, pod->ns, pod->name) == NULL) {
        pod_add(s, pod, WISH_NODE);
    }
}

/* ---- Storage ---- */

/* A volume comes to the node of its label (sign 1) or leaves it (-1). */
static void volume_account(struct scheduler *s, const struct object *volume, int sign)
{
    struct str name = volume == NULL ? STR_NONE : storage_node(volume);
    if (str_empty(name)) {
        return;
    }
    struct sched_node *n = node_get(s, name);
    n->local_used_kib += sign * ((storage_bytes(volume) + 1023) / 1024);
    n->volumes += (unsigned)sign;
    sched_node_changed(s, n, false, sign < 0);
    node_drop_if_unused(s, n);
}

static void observe_volume(struct scheduler *s, const struct object *old, const struct object *now)
{
    bool same = old != NULL && now != NULL && str_eq(storage_node(old), storage_node(now)) &&
                storage_bytes(old) == storage_bytes(now);
    if (!same) {
        volume_account(s, now, 1);
        volume_account(s, old, -1);
    }
    s->storage_changes += old == NULL || now == NULL || !object_same_but_status(now, old);
}

static void tables_end(struct scheduler *s)
{
    while (!list_empty(&s->tables)) {
        table_end(s, LIST_ENTRY(s->tables.next, struct sched_table, lru));
    }
}

/* Whatever was scored is scored anew. */
static void observe_config(struct scheduler *s, const struct object *config)
{
    struct cluster_config c;
    cluster_config_read(config, &c);
    if (sched_policy_read(&s->policy, &c)) {
        tables_end(s);
    }
}

bool class_resolve(struct scheduler *s, struct sched_class *c, const struct view *tip)
{
    if (c->claims == NULL || c->claims->seen == s->storage_changes + 1) {
        return false;
    }
    c->claims->seen = s->storage_changes + 1;
    if (!claims_resolve(c->claims, c->sample, tip)) {
        return false;
    }
    table_drop(s, c);
    free(TAKE_PTR(c->reasons));
    return true;
}

void scheduler_see(struct scheduler *s, const struct object *old, const struct object *now)
{
    unsigned kind = (now != NULL ? now : old)->kind->id;
    if (kind == KIND_POD) {
        observe_pod(s, old, now);
    } else if (kind == KIND_NODE) {
        observe_node(s, old, now);
    } else if (kind == KIND_PERSISTENTVOLUME) {
        observe_volume(s, old, now);
    } else if (kind == KIND_PERSISTENTVOLUMECLAIM || kind == KIND_STORAGECLASS) {
        s->storage_changes++;
    } else if (kind == KIND_NAMESPACE) {
        places_observe_namespace(s, old, now);
    } else if (kind == KIND_PODGROUP) {
        gangs_observe(s, old, now);
    } else if (kind == KIND_CLUSTERCONFIGURATION) {
        observe_config(s, now);
    }
}

void scheduler_observe(struct scheduler *s, const struct change *changes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct object *old = changes[i].old, *now = changes[i].new;
        if (!s->build.going || build_has(s, now != NULL ? now : old)) {
            scheduler_see(s, old, now);
        }
    }
}

/* ---- Life ---- */

static void state_open(struct scheduler *s)
{
    strmap_init(&s->pods);
    strmap_init(&s->classes);
    strmap_init(&s->lanes);
    strmap_init(&s->groups);
    strmap_init(&s->shapes);
    strmap_init(&s->kins);
    strmap_init(&s->nodes);
    list_init(&s->tables);
    list_init(&s->parked_classes);
    places_open(s);
    gangs_open(s);
    list_init(&s->nominated_nodes);
    s->ring = xcalloc(CHANGES_MAX, sizeof *s->ring);
    s->helpful_ring = xcalloc(CHANGES_MAX, sizeof *s->helpful_ring);
}

/* Pods, then nodes, so many at most. True: there are no more. The order shows nowhere: all goes. */
static bool drop_some(struct scheduler *s, size_t most)
{
    const struct strmap_entry *e;
    most -= build_drop_waiting(s, most);
    for (; most > 0 && (e = strmap_drain(&s->pods, &s->drained)) != NULL; most--) {
        pod_drop(s, e->value);
    }
    for (; most > 0 && s->slots_count > 0; most--) {
        struct sched_node *n = s->slots[--s->slots_count];
        if (n != NULL) {
            sched_node_close(n);
            free(n);
        }
    }
    return most > 0;
}

static void state_close(struct scheduler *s)
{
    while (!drop_some(s, SIZE_MAX)) {
    }
    build_end(s);
    tables_end(s);
    gangs_close(s);
    assert(s->pods.count == 0 && s->tables_count == 0);
    assert(s->classes.count == 0 && s->groups.count == 0 && s->lanes.count == 0 && s->nominees == 0);
    levels_close(&s->bound);
    places_close(s);
    strmap_close(&s->pods);
    strmap_close(&s->classes);
    strmap_close(&s->lanes);
    strmap_close(&s->groups);
    strmap_close(&s->shapes);
    strmap_close(&s->kins);
    strmap_close(&s->nodes);
    free(s->slots);
    free(s->slot_changed);
    free(s->slot_fixed);
    free(s->slot_helpful);
    free(s->ring);
    free(s->helpful_ring);
    free(s->lanes_waiting.items);
    sched_policy_close(&s->policy);
}

struct scheduler *scheduler_new(const struct scheduler_config *config)
{
    struct scheduler *s = xcalloc(1, sizeof *s);
    s->config = *config;
    s->rng.state = config->seed;
    state_open(s);
    return s;
}

void scheduler_free(struct scheduler *s)
{
    if (s != NULL) {
        state_close(s);
        free(s);
    }
}

bool scheduler_end(struct scheduler *s, unsigned most)
{
    if (!drop_some(s, most)) {
        return false;
    }
    scheduler_free(s);
    return true;
}

void scheduler_resync(struct scheduler *s, const struct view *tip)
{
    bool individual = s->places.individual || s->places.individual_due;
    struct scheduler_config config = s->config;
    struct rng rng = s->rng;
    struct scheduler_stats stats = {.bound = s->stats.bound,
                                    .unschedulable = s->stats.unschedulable,
                                    .evaluations = s->stats.evaluations,
                                    .preemptions = s->stats.preemptions,
                                    .victims = s->stats.victims,
                                    .retries = s->stats.retries,
                                    .retry_found = s->stats.retry_found,
                                    .gangs_bound = s->stats.gangs_bound,
                                    .gang_attempts = s->stats.gang_attempts,
                                    .gang_preemptions = s->stats.gang_preemptions,
                                    .violations = s->stats.violations};
    state_close(s); /* some classes may be several from now on */
    *s = (struct scheduler){.config = config, .rng = rng, .stats = stats};
    state_open(s);
    s->places.individual = individual;
    observe_config(s, view_get(tip, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)));
    build_begin(s);
    if (config.budget_ms == 0 && config.build_objects == 0) {
        while (s->build.going && build_step(s, tip, UINT_MAX)) {
        }
    }
}

void scheduler_stats(const struct scheduler *s, struct scheduler_stats *out)
{
    *out = s->stats;
    out->nodes = s->nodes_present;
    out->classes = (unsigned)s->classes.count;
    out->nominees = s->nominees;
    out->gangs = (unsigned)s->gangs.known.count;
    out->gangs_waiting = s->gangs.heap_count + s->gangs.parked_count;
    out->ganged = s->gangs.ganged;
}
