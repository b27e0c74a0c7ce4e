/* Deployments that are scaled and rolled on two hollow nodes, while watches tell what becomes of them. Claimed: never
 * more pods than replicas + maxSurge by our own doing, never fewer Ready ones than replicas - maxUnavailable, no pod
 * twice; and when all is healed it comes to what was asked for. Judged by rollout.c. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text.h"
#include "tests/fault/agents.h"
#include "tests/fault/kit.h"
#include "tests/fault/rollout.h"
#include "tests/fault/works.h"

#define NODES       2u
#define DEPLOYMENTS 2u
#define CONVERGE_MS 120000
/* names of the last of each kind begin with it: then the watches have been told everything */
#define MARKER "marker"

static const char manifest[] = "apiVersion: apps/v1\n"
                               "kind: Deployment\n"
                               "metadata: {name: %s, namespace: default}\n"
                               "spec:\n"
                               "  replicas: %u\n"
                               "  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}\n"
                               "  selector: {matchLabels: {app: %s}}\n"
                               "  template:\n"
                               "    metadata: {labels: {app: %s}}\n"
                               "    spec:\n"
                               "      terminationGracePeriodSeconds: 1\n"
                               "      containers: [{name: c, image: 'busybox:1', env: [{name: V, value: '0'}]}]\n";
static const char marker_pod[] =
    "apiVersion: v1\n"
    "kind: Pod\n"
    "metadata: {name: " MARKER ", namespace: default}\n"
    "spec: {nodeSelector: {nowhere: 'true'}, containers: [{name: c, image: 'busybox:1'}]}\n";

static const enum kind_id watched[] = {KIND_DEPLOYMENT, KIND_REPLICASET, KIND_POD};
#define KINDS ARRAY_SIZE(watched)

struct recorder {
    pthread_t thread;
    struct trial *trial;
    enum kind_id kind;
    struct rollout_events events;
    bool synced; /* atomic */
    int code;    /* of the watch's end */
    struct error error;
};
struct deploying {
    struct agents agents;
    struct recorder watches[KINDS];
};

/* ---- Watching ---- */

static bool on_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    struct recorder *r = data;
    if (type == API_SYNCED) {
        __atomic_store_n(&r->synced, true, __ATOMIC_RELEASE);
        return true;
    }
    if (str_starts(o->name, STR(MARKER))) {
        return false;
    }
    rollout_events_add(&r->events, type == API_DELETED ? revision : o->revision, type == API_DELETED, o);
    return true;
}

static void *record(void *arg)
{
    struct recorder *r = arg;
    struct api *api;
    struct api_list_query q = {.kind = kind_by_id(r->kind), .ns = "default"};
    r->code = api_new(&r->trial->cluster.target, 20000, false, &api, &r->error);
    if (r->code == 0) {
        int64_t limit_ms = r->trial->config.seconds * 1000 + 4 * CONVERGE_MS;
        r->code = api_watch(api, &q, limit_ms, on_event, r, &r->error);
        api_free(api);
    }
    return NULL;
}

static void recorder_start(struct recorder *r, struct trial *t, enum kind_id kind)
{
    *r = (struct recorder){.trial = t, .kind = kind};
    if (pthread_create(&r->thread, NULL, record, r) != 0) {
        fault_die("thread", NULL);
    }
}

static void recorder_join(struct recorder *r, struct trial *t)
{
    pthread_join(r->thread, NULL);
    if (r->code != 0) {
        trial_fail(t, "the watch of %s ended: %s", kind_by_id(r->kind)->plural, r->error.message);
    }
}

/* ---- Asking ---- */

static enum hist_outcome apply(struct client *c, const char *text)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value **docs;
    unsigned count;
    int code;
    arena_init(&a);
    if (yaml_read(&a, str_of(text), NULL, &docs, &count, &c->error) != 0) {
        fault_die("manifest", &c->error);
    }
    return client_write(c, &a, "create", client_object_params(&a, docs[0]), &reply, &code);
}

static void deployment_name(unsigned i, char out[16])
{
    snprintf(out, 16, "web-%u", i);
}

static enum hist_outcome patch(struct client *c, const char *name, const char *json)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *doc;
    int code;
    arena_init(&a);
    if (json_read(&a, str_of(json), &doc, &c->error) != 0) {
        fault_die("patch", &c->error);
    }
    struct value *params = value_map(&a);
    value_set(&a, params, "kind", value_cstr(&a, "Deployment"));
    value_set(&a, params, "namespace", value_cstr(&a, "default"));
    value_set(&a, params, "name", value_cstr(&a, name));
    value_set(&a, params, "type", value_cstr(&a, "strategic"));
    value_set(&a, params, "patch", doc);
    return client_write(c, &a, "patch", params, &reply, &code);
}

static void turn(struct client *c)
{
    char name[16], json[300];
    int64_t value = client_unique(c);
    deployment_name(c->index % DEPLOYMENTS, name);
    if (rng_below(&c->rng, 2) == 0) {
        snprintf(json, sizeof json, "{\"spec\":{\"replicas\":%u}}", 2 + (unsigned)rng_below(&c->rng, 5));
    } else {
        snprintf(json, sizeof json,
                 "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"V\","
                 "\"value\":\"%lld\"}]}]}}}}",
                 (long long)value);
    }
    size_t op = hist_write(&c->hist, c->process, name, value, fault_now_us());
    client_done(c, op, patch(c, name, json));
}

/* ---- Converging ---- */

static bool converged(const struct object *o)
{
    struct mp m = object_mp(o);
    int64_t want = mp_int(mp_path(m, "spec.replicas"), 1);
    return mp_int(mp_path(m, "status.observedGeneration"), 0) == o->generation &&
           mp_int(mp_path(m, "status.replicas"), 0) == want &&
           mp_int(mp_path(m, "status.updatedReplicas"), 0) == want &&
           mp_int(mp_path(m, "status.availableReplicas"), 0) == want;
}

static int list(struct trial *t, enum kind_id kind, struct api_list *out)
{
    struct api_list_query q = {.kind = kind_by_id(kind), .ns = "default"};
    return api_list(t->main->api, &q, out, &t->main->error);
}

/* All Deployments are as they were asked for, and no pod is left that is ending. */
static bool wait_converged(struct trial *t)
{
    int64_t end_us = fault_now_us() + CONVERGE_MS * 1000;
    for (;;) {
        CLEANUP_LIST struct api_list deployments = {0};
        CLEANUP_LIST struct api_list pods = {0};
        bool all = list(t, KIND_DEPLOYMENT, &deployments) == 0 && list(t, KIND_POD, &pods) == 0 &&
                   deployments.count == DEPLOYMENTS;
        int64_t want = 0;
        for (unsigned i = 0; i < deployments.count && all; i++) {
            all = converged(deployments.items[i]);
            want += mp_int(mp_path(object_mp(deployments.items[i]), "spec.replicas"), 1);
        }
        if (all && (int64_t)pods.count == want) {
            return true;
        }
        if (fault_now_us() > end_us) {
            trial_fail(t, "the Deployments did not come to what was asked for within %d s (%u pods, %lld wanted)",
                       CONVERGE_MS / 1000, pods.count, (long long)want);
            return false;
        }
        trial_wait(t, 50);
    }
}

/* ---- The workload ---- */

static void set_up(struct trial *t)
{
    struct deploying *d = t->own = xcalloc(1, sizeof *d);
    t->agents = &d->agents;
    if (!agents_up(&d->agents, &t->cluster, t->config.dir, t->config.agent, NODES)) {
        trial_fail(t, "the agents could not join: see agents.log");
        return;
    }
    for (unsigned i = 0; i < KINDS; i++) {
        recorder_start(&d->watches[i], t, watched[i]);
    }
    for (unsigned i = 0; i < KINDS;
         i++) { /* so that they are told all from the first on, and not the newest versions only */
        int64_t end_us = fault_now_us() + CONVERGE_MS * 1000;
        while (!__atomic_load_n(&d->watches[i].synced, __ATOMIC_ACQUIRE) && fault_now_us() < end_us) {
            trial_wait(t, 10);
        }
    }
    for (unsigned i = 0; i < DEPLOYMENTS; i++) {
        char text[1000], name[16];
        deployment_name(i, name);
        snprintf(text, sizeof text, manifest, name, 4u, name, name);
        if (apply(t->main, text) != HIST_OK) {
            trial_fail(t, "%s could not be made: %s", name, t->main->error.message);
        }
    }
    if (wait_converged(t)) {
        trial_say(t, "the Deployments are up");
    }
}

static void judge_end(struct trial *t, struct deploying *d)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf why = BUF_INIT;
    CLEANUP_LIST struct api_list pods = {0};
    const char *paths[NODES];
    arena_init(&a);
    for (unsigned i = 0; i < NODES; i++) {
        paths[i] = agents_journal(&a, &d->agents, i);
    }
    if (list(t, KIND_POD, &pods) != 0) {
        trial_fail(t, "pods: %s", t->main->error.message);
        return;
    }
    if (rollout_judge_journals(paths, NODES, &pods, &why) > 0) {
        trial_fail(t, "by the agents' journals: %s", buf_cstr(&why));
    }
}

static void finish(struct trial *t)
{
    CLEANUP_BUF struct buf why = BUF_INIT;
    CLEANUP_BUF struct buf all = BUF_INIT;
    char text[1000];
    struct deploying *d = t->own;
    if (wait_converged(t)) {
        judge_end(t, d);
    }
    snprintf(text, sizeof text, manifest, MARKER, 0u, MARKER, MARKER);
    if (apply(t->main, text) != HIST_OK || apply(t->main, marker_pod) != HIST_OK) {
        trial_fail(t, "the markers could not be made: %s", t->main->error.message);
    }
    struct rollout_events told[KINDS];
    for (unsigned i = 0; i < KINDS; i++) {
        recorder_join(&d->watches[i], t);
        told[i] = d->watches[i].events;
        rollout_print(&told[i], &all);
    }
    fault_write_file(arena_printf(&t->cluster.arena, "%s/rollout", t->config.dir), buf_cstr(&all));
    trial_say(t, "watches: %zu events of Deployments, %zu of ReplicaSets, %zu of pods", told[0].count, told[1].count,
              told[2].count);
    if (rollout_judge(told, KINDS, &why) > 0) {
        trial_fail(t, "%s", buf_cstr(&why));
    }
    for (unsigned i = 0; i < KINDS; i++) {
        rollout_events_close(&told[i]);
    }
    agents_kill(&d->agents);
}

const struct workload work_deploy = {
    .name = "deploy",
    .about = "2 Deployments scaled and rolled on 2 hollow nodes; surge, availability, no pod twice, converges",
    .clients = 2,
    .pause_ms = 500,
    .refusals = {ERR_CONFLICT},
    .set_up = set_up,
    .turn = turn,
    .finish = finish,
};
