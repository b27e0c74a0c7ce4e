/* Simulated agents. Each asks the master that it takes for the leader for its pods (which is its heartbeat, too),
 * compares them with what it runs, and reports back. Everything is level-triggered: what gets lost is said again the
 * next time.
 *
 *      ordered            started            ready
 *   ----------> STARTING --------> RUNNING <------> (flaps)     pods that are deleted stop within their grace, then are
 *   reported gone
 *
 * An agent that hears nothing keeps its pods running. Its journal is kept (c->ran): no pod may ever run on two agents,
 * or be started twice by one, and none may be stopped that nobody deleted. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/timefmt.h"
#include "controllers/deletion.h"
#include "controllers/util.h"
#include "tests/sim/cluster.h"

#define SYNC_MS 400

struct run_record {
    struct list link;
    char uid[48], name[80];
    char volumes[2][STORAGE_NAME_SIZE]; /* that it has mounted; "": none */
    int64_t ready_ms;                   /* from when on it serves; INT64_MAX: never */
    int64_t stop_ms;                    /* when it will have stopped; INT64_MAX: nobody asked for it */
    int64_t unready_until_ms;
    int64_t end_ms; /* when it comes to an end by itself; INT64_MAX: never */
    bool ends_well, has_ended;
    bool seen; /* in the list of pods just looked at */
};

/* What travels to the agent and back: pods (a ref each) and what is said about them. */
enum report { REPORT_NOTHING, REPORT_STATUS, REPORT_GONE, REPORT_SUCCEEDED, REPORT_FAILED };
struct sheet {
    struct agent *agent;
    struct object **pods;
    enum report *reports;
    bool *ready;
    unsigned count;
    bool known, healthy; /* the Node is there, and Ready */
    uint64_t master, leader, revision;
};

static void sheet_free(void *arg)
{
    struct sheet *s = arg;
    for (unsigned i = 0; i < s->count; i++) {
        object_unref(s->pods[i]);
    }
    free(s->pods);
    free(s->reports);
    free(s->ready);
    free(s);
}

/* ---- On the agent ---- */

static struct run_record *record_find(struct agent *a, struct str uid)
{
    LIST_FOR(it, &a->pods)
    {
        struct run_record *r = LIST_ENTRY(it, struct run_record, link);
        if (str_is(uid, r->uid)) {
            return r;
        }
    }
    return NULL;
}

const char *agent_uses(const struct agent *a, struct str volume)
{
    LIST_FOR(it, &a->pods)
    {
        const struct run_record *r = LIST_ENTRY(it, struct run_record, link);
        if (str_is(volume, r->volumes[0]) || str_is(volume, r->volumes[1])) {
            return r->uid;
        }
    }
    return NULL;
}

const char *agent_runs_name(const struct agent *a, struct str name, struct str but_uid)
{
    LIST_FOR(it, &a->pods)
    {
        const struct run_record *r = LIST_ENTRY(it, struct run_record, link);
        if (str_is(name, r->name) && !str_is(but_uid, r->uid) && r->stop_ms > a->c->sim.now_ms) {
            return r->uid;
        }
    }
    return NULL;
}

static bool image_bad(const struct object *pod)
{
    struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.containers"));
    return mp_next(&it) && str_is(mp_str(mp_get(it.value, "image")), "bad");
}

static struct run_record *record_new(struct agent *a, const struct object *pod)
{
    struct cluster *c = a->c;
    struct run_record *r = xcalloc(1, sizeof *r);
    snprintf(r->uid, sizeof r->uid, "%.*s", STR_ARG(pod->uid));
    snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(pod->name));
    r->ready_ms = image_bad(pod) ? INT64_MAX : c->sim.now_ms + cluster_between(c, 50, 1500);
    r->stop_ms = r->end_ms = INT64_MAX;
    if (sets_ends(pod)) {
        r->end_ms = c->sim.now_ms + cluster_between(c, 100, 3000);
        r->ends_well = cluster_chance(c, 2);
    }
    sets_started(a, pod);
    storage_started(c, pod, r->volumes);
    list_push_back(&a->pods, &r->link);
    struct agent *other = strmap_set(&c->ran, pod->uid, a);
    cluster_trace(c, "agent %s runs %.*s", a->name, STR_ARG(pod->name));
    if (other != NULL) {
        cluster_violate(c, other == a ? "pod %.*s was started twice, on %s and on %s" : "pod %.*s ran on %s and on %s",
                        STR_ARG(pod->name), other->name, a->name);
    }
    return r;
}

/* It is not in the list any more: it must be gone for everybody. */
static void judge_stop(struct agent *a, const struct run_record *r)
{
    const struct object *pod = view_get(a->c->ledger.model, kind_by_id(KIND_POD), STR(NAMESPACE), str_of(r->name));
    if (pod != NULL && str_is(pod->uid, r->uid)) {
        cluster_violate(a->c, "agent %s was told to stop pod %s, which nobody deleted", a->name, r->name);
    }
}

static void record_drop(struct run_record *r)
{
    list_remove(&r->link);
    free(r);
}

static bool serves(struct agent *a, struct run_record *r)
{
    struct cluster *c = a->c;
    int64_t now_ms = c->sim.now_ms;
    if (c->phase == PHASE_LOAD && c->swarm.flaps && r->unready_until_ms <= now_ms && cluster_chance(c, 40)) {
        r->unready_until_ms = now_ms + cluster_between(c, 100, 3000);
    }
    return r->ready_ms <= now_ms && r->unready_until_ms <= now_ms;
}

static void pod_look(struct agent *a, struct sheet *s, unsigned i)
{
    const struct object *pod = s->pods[i];
    struct cluster *c = a->c;
    struct run_record *r = record_find(a, pod->uid);
    if (pod->deleting) {
        if (r != NULL && r->stop_ms == INT64_MAX) {
            r->stop_ms = c->sim.now_ms + cluster_between(c, 20, 1000);
        }
        if (r == NULL || r->stop_ms <= c->sim.now_ms) {
            s->reports[i] = REPORT_GONE;
        }
        if (r != NULL) {
            r->seen = true;
        }
        return;
    }
    if (r == NULL) {
        r = record_new(a, pod);
    }
    r->seen = true;
    if (r->end_ms <= c->sim.now_ms) {
        r->has_ended = true;
        s->reports[i] = pod_finished(pod) ? REPORT_NOTHING : r->ends_well ? REPORT_SUCCEEDED : REPORT_FAILED;
        return;
    }
    s->ready[i] = serves(a, r);
    bool running = str_is(pod_phase(pod), "Running");
    if (s->ready[i] != pod_ready(pod, NULL) || (s->ready[i] && !running)) {
        s->reports[i] = REPORT_STATUS;
    }
}

static void sheet_report(struct life *life, void *arg);

/* The list is there. A master that did not lead only said who does. */
static void sheet_arrives(void *arg)
{
    struct sheet *s = arg;
    struct agent *a = s->agent;
    struct cluster *c = a->c;
    if (c->phase == PHASE_END || a->silent || s->pods == NULL || s->revision < a->revision) {
        a->guess = s->leader != 0 ? s->leader : masters_any(c);
        sheet_free(s);
        return;
    }
    a->revision = s->revision;
    for (unsigned i = 0; i < s->count; i++) {
        pod_look(a, s, i);
    }
    LIST_FOR_SAFE(it, &a->pods)
    {
        struct run_record *r = LIST_ENTRY(it, struct run_record, link);
        if (!r->seen) {
            judge_stop(a, r);
            record_drop(r); /* removed by force */
        } else {
            r->seen = false;
        }
    }
    masters_call(c, DOOR_AGENTS, s->master, sheet_report, sheet_free, s);
}

/* ---- On the master ---- */

static struct object *node_object(struct agent *a)
{
    char text[800], own[200], now[TIMEFMT_SIZE];
    storage_of_node(a->c, a->name, own, sizeof own);
    timefmt_rfc3339(env_wall_ms(&a->c->sim.env), now);
    snprintf(
        text, sizeof text,
        "{apiVersion: v1, kind: Node, metadata: {name: %s%s}, status: {allocatable: {cpu: %um, memory: 8Gi, pods: '%u'"
        "%s}, conditions: [{type: Ready, status: 'True', reason: AgentReady, lastTransitionTime: '%s'}]}}",
        a->name, own, a->c->swarm.node_cpu_milli, 20, storage_of_status(a->c), now);
    return yaml_object(text);
}

static struct object *status_object(struct life *life, const struct object *pod, bool ready, const char *phase)
{
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *doc = object_to_value(&arena, pod), *status = value_ensure_map(&arena, doc, "status");
    struct error err = {0};
    struct object *o = NULL;
    value_set(&arena, status, "phase", value_cstr(&arena, phase));
    if (life->c->swarm.services) {
        uint64_t h = XXH3_64bits(pod->uid.p, pod->uid.n);
        value_set(&arena, status, "podIP",
                  value_strf(&arena, "10.244.%u.%u", (unsigned)(h >> 8 & 255), (unsigned)(h & 255)));
    }
    condition_set(&arena, status, "Ready", ready ? "True" : "False", "Agent", "", env_wall_ms(&life->env), false);
    if (object_from_value(pod->kind, doc, 0, &o, &err) != 0) {
        cluster_violate(life->c, "a status cannot be written: %s", err.message);
    }
    return o;
}

static void txn_report(struct life *life, struct sheet *s, unsigned i, struct txn *t)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    const struct object *pod = view_get(tip, s->pods[i]->kind, s->pods[i]->ns, s->pods[i]->name);
    if (pod == NULL || !str_eq(pod->uid, s->pods[i]->uid) || s->reports[i] == REPORT_NOTHING) {
        return;
    }
    if (s->reports[i] != REPORT_GONE) {
        static const char *const phases[] = {
            [REPORT_STATUS] = "Running", [REPORT_SUCCEEDED] = "Succeeded", [REPORT_FAILED] = "Failed"};
        struct object *o = status_object(life, pod, s->ready[i], phases[s->reports[i]]);
        if (o != NULL) {
            txn_update(t, o, TXN_PART_STATUS, 0);
        }
    } else if (pod->deleting) {
        const struct deletion_options now = {.grace_s = 0, .policy = DELETION_BACKGROUND};
        struct error err = {0};
        CLEANUP_ARENA struct arena arena;
        arena_init(&arena);
        deletion_request(t, &arena, pod, &now, env_wall_ms(&life->env), &err);
    }
}

static void sheet_report(struct life *life, void *arg)
{
    struct sheet *s = arg;
    struct error err = {0};
    if (replica_leading(life->replica)) {
        const struct object *node =
            view_get(store_tip(replica_store(life->replica)), kind_by_id(KIND_NODE), STR_NONE, str_of(s->agent->name));
        struct txn t;
        txn_init(&t, "agent");
        core_heartbeat(life->core, str_of(s->agent->name));
        if (node == NULL) {
            txn_create(&t, node_object(s->agent));
        } else if (!s->healthy) {
            txn_update(&t, node_object(s->agent), TXN_PART_STATUS, 0);
        }
        for (unsigned i = 0; i < s->count; i++) {
            txn_report(life, s, i, &t);
        }
        if (life->c->swarm.storage) {
            storage_report(life, s->agent, &t);
        }
        if (t.count > 0 && replica_submit(life->replica, &t, NULL, NULL, &err) != 0) {
            cluster_trace(life->c, "report of %s refused: %s", s->agent->name, err.message);
        }
        txn_close(&t);
    }
    sheet_free(s);
}

/* "Which pods are mine?": answered from what is committed here. */
static void sheet_fill(struct life *life, void *arg)
{
    struct sheet *s = arg;
    s->leader = replica_leader(life->replica, NULL);
    s->master = life->id;
    if (replica_leading(life->replica)) {
        const struct view *v = store_committed(replica_store(life->replica));
        const struct object *node = view_get(v, kind_by_id(KIND_NODE), STR_NONE, str_of(s->agent->name));
        core_heartbeat(life->core, str_of(s->agent->name));
        if (life->c->swarm.autoscalers) {
            autoscalers_report(life, s->agent->name);
        }
        s->revision = view_revision(v);
        s->known = node != NULL;
        s->healthy = str_is(
            mp_str(mp_get(node == NULL ? (struct mp){NULL, NULL} : condition_mp(node, "Ready"), "status")), "True");
        struct view_iter it;
        view_iter_node_pods(&it, v, str_of(s->agent->name));
        s->pods = xcalloc(1, sizeof(struct object *));
        VIEW_FOR(pod, &it)
        {
            s->pods = xrealloc(s->pods, (s->count + 1) * sizeof(struct object *));
            s->pods[s->count++] = object_ref(pod);
        }
        s->reports = xcalloc(s->count + 1, sizeof *s->reports);
        s->ready = xcalloc(s->count + 1, sizeof *s->ready);
    }
    masters_reply(life, DOOR_AGENTS, sheet_arrives, sheet_free, s);
}

/* ---- Life ---- */

static void let_go(void *arg)
{
    (void)arg;
}

static void lost(void *arg)
{
    struct sheet *s = arg;
    s->agent->guess = masters_any(s->agent->c);
    sheet_free(s);
}

static void sync_tick(void *arg)
{
    struct agent *a = arg;
    struct cluster *c = a->c;
    if (c->phase == PHASE_END) {
        return;
    }
    if (!a->silent) {
        struct sheet *s = xcalloc(1, sizeof *s);
        s->agent = a;
        masters_call(c, DOOR_AGENTS, a->guess, sheet_fill, c->phase == PHASE_END ? sheet_free : lost, s);
    }
    sim_after(&c->sim, cluster_between(c, SYNC_MS / 4, SYNC_MS), sync_tick, let_go, a);
}

void agents_start(struct cluster *c)
{
    for (unsigned i = 0; i < c->swarm.agents; i++) {
        struct agent *a = &c->agents[i];
        *a = (struct agent){.c = c, .index = i, .guess = 1};
        snprintf(a->name, sizeof a->name, "n%u", i + 1);
        list_init(&a->pods);
        sim_after(&c->sim, 1 + i, sync_tick, let_go, a);
    }
}

void agents_close(struct cluster *c)
{
    for (unsigned i = 0; i < c->swarm.agents && c->agents[i].c != NULL; i++) { /* unless it ended before they began */
        LIST_FOR_SAFE(it, &c->agents[i].pods)
        {
            record_drop(LIST_ENTRY(it, struct run_record, link));
        }
    }
}

bool agents_settled(struct cluster *c, char why[256])
{
    uint64_t running = 0, pods = rollout_pods(c);
    for (unsigned i = c->swarm.dead; i < c->swarm.agents; i++) {
        LIST_FOR(it, &c->agents[i].pods)
        {
            running += !LIST_ENTRY(it, struct run_record, link)->has_ended;
        }
    }
    if (running != pods) {
        snprintf(why, 256, "%llu pods run, %llu are wanted", (unsigned long long)running, (unsigned long long)pods);
    }
    return running == pods;
}
